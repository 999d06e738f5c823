"""A rationalization worksheet: one row for each alarm worth a look, and the columns of ISA-18.2 for people to fill in.

Plant texts can start with "=": every cell is written so that no spreadsheet takes it for a formula.
"""

import csv
import io
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

from factorylm_schema import BadRequestError

from factorylm_alarms.analysis import Analysis
from factorylm_alarms.findings import is_protective
from factorylm_alarms.untrusted import spreadsheet_safe, visible

MEASURED = ("alarm", "area", "priority", "text (from the plant)", "activations", "share %", "chattering triggers")
EVIDENCE = ("fleeting", "stale (certain)", "stale (at most)", "left with on-delay 30 s", "left with off-delay 30 s")
PLACE = ("no delay because", "first row", "last row", "log id")
BY_PEOPLE = (
    "set-point",
    "class",
    "cause",
    "consequence of no action",
    "operator action",
    "time to respond",
    "deadband and delays",
    "suppression logic",
    "justification",
)
HEADER = (*MEASURED, *EVIDENCE, *PLACE, *BY_PEOPLE)
MAX_ROWS = 500


def write_worksheet(analysis: Analysis, path: Path) -> None:
    """Write .csv or .xlsx, by the name of the file."""
    rows = worksheet_rows(analysis)
    if path.suffix.lower() == ".xlsx":
        path.write_bytes(_as_xlsx([HEADER, *rows]))
    elif path.suffix.lower() == ".csv":
        path.write_text(_as_csv([HEADER, *rows]), encoding="utf-8-sig", newline="")
    else:
        raise BadRequestError(f"{path.name} is no worksheet", hint="name it .csv or .xlsx")


Cell = str | int | float


def worksheet_rows(analysis: Analysis) -> list[tuple[Cell, ...]]:
    """The most frequent alarms, and all that chatter or were stale."""
    triggers = {one.alarm: one.triggers for one in analysis.chattering}
    fleeting = {alarm: count for alarm, count, _ in analysis.fleeting}
    stale = {alarm: (low, high) for alarm, low, high in analysis.stale_alarms}
    counts = dict(analysis.ranking)
    chosen = list(dict.fromkeys([*[alarm for alarm, _ in analysis.ranking[:50]], *triggers, *stale]))[:MAX_ROWS]
    return [
        (
            *_identity(analysis, alarm),
            counts[alarm],
            round(analysis.share_pct(counts[alarm]), 2),
            triggers.get(alarm, 0),
            fleeting.get(alarm, 0),
            *stale.get(alarm, (0, 0)),
            *_with_delays(analysis, alarm),
            *_place(analysis, alarm),
            *("",) * len(BY_PEOPLE),
        )
        for alarm in chosen
    ]


def _identity(analysis: Analysis, alarm: int) -> tuple[str, ...]:
    one = analysis.journal.alarms[alarm]
    return visible(one.name, 200), visible(one.area, 60), visible(one.priority, 30), visible(one.text, 200)


def _with_delays(analysis: Analysis, alarm: int) -> tuple[Cell, Cell]:
    """What 30 s would leave; nothing for an alarm that protects."""
    if is_protective(analysis.journal, alarm):
        return "", ""
    durations = analysis.intervals.duration[analysis.intervals.alarm == alarm]
    gaps = analysis.intervals.gap[analysis.intervals.alarm == alarm]
    return int((durations >= 30_000).sum()), int((gaps >= 30_000).sum())


def _place(analysis: Analysis, alarm: int) -> tuple[Cell, ...]:
    journal = analysis.journal
    rows = journal.activations.row[journal.activations.alarm == alarm]
    first, last = (journal.place_of_row(int(row))[1] for row in (rows.min(), rows.max()))
    return is_protective(journal, alarm), first, last, journal.log_id


def _as_csv(rows: list[tuple[Cell, ...]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in rows:
        writer.writerow([spreadsheet_safe(cell) if isinstance(cell, str) else cell for cell in row])
    return buffer.getvalue()


SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


def _as_xlsx(rows: list[tuple[Cell, ...]]) -> bytes:
    """A workbook of one sheet (ECMA-376). Texts are inline strings, which no program evaluates."""
    parts = {
        "[Content_Types].xml": f'{HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{CONTENT}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{CONTENT}.worksheet+xml"/></Types>',
        "_rels/.rels": f'{HEAD}<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{HEAD}<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="Rationalization" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{HEAD}<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1" '
        f'Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{HEAD}<worksheet xmlns="{SHEET}"><sheetData>'
        + "".join(_xml_row(row) for row in rows)
        + "</sheetData></worksheet>",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def _xml_row(row: tuple[Cell, ...]) -> str:
    cells = []
    for cell in row:
        if isinstance(cell, str):
            cells.append(f'<c t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>')
        else:
            cells.append(f"<c><v>{cell}</v></c>")
    return f"<row>{''.join(cells)}</row>"
