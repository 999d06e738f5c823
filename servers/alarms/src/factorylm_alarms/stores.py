"""Journals that are no text: SQLite, Parquet, JSON lines and the history store of factorylm-edge, as blocks of CSV."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from factorylm_schema import MissingPartError

from factorylm_alarms.errors import LogError

TABLE_ORDER = ("alarm_events", "CDBEventJournal", "v_AlarmHistory", "Events", "events", "alarms")
HISTORY_TABLES = {"meta", "tag", "event", "chunk"}
"""What tells a history of factorylm-edge from any other database."""
ROWS_A_BLOCK = 20_000
Row = tuple[object, ...]


def sqlite_blocks(path: Path) -> Iterator[bytes]:
    """The journal's table, or the alarm events of a history store; also while another process writes the file."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            names = {
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            }
            if names >= HISTORY_TABLES:
                yield from _history_blocks(database, path)
                return
            table = _journal_table(names, path).replace('"', '""')
            cursor = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608  a name from the database itself, quoted
            yield from _as_csv([column[0] for column in cursor.description], cursor)
    except sqlite3.DatabaseError as error:
        raise LogError(
            f"{path.name} is not a readable SQLite file: {error}", hint="copy it again, with the writer stopped"
        ) from error


def _journal_table(names: set[str], path: Path) -> str:
    table = next((name for name in TABLE_ORDER if name in names), None)
    if table is None and len(names) != 1:
        raise LogError(
            f"{path.name} holds the tables {', '.join(sorted(names))[:200] or '(none)'}",
            hint=f"keep one journal table in it, or call it one of {', '.join(TABLE_ORDER)}",
        )
    return table or next(iter(names))


def _history_blocks(database: sqlite3.Connection, path: Path) -> Iterator[bytes]:
    """One snapshot of the alarm events that were collected so far."""
    (count,) = database.execute("SELECT count(*) FROM event").fetchone()
    if not count:
        raise LogError(
            f"{path.name} is a history without alarm events",
            hint="let a gateway collect from devices that tell their alarms (OPC UA), or export the journal",
        )
    cursor = database.execute("SELECT data FROM event ORDER BY time, id")
    names = _event_defaults()
    yield from _as_csv(list(names), _cells((row[0] for row in cursor), names))


def parquet_blocks(path: Path) -> Iterator[bytes]:
    """All columns of a Parquet file."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # an optional part without types
        import pyarrow.csv as arrow_csv  # type: ignore[import-untyped]
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPartError(
            "reading Parquet needs pyarrow", hint="pip install 'factorylm-alarms[parquet]'"
        ) from error
    try:
        file = parquet.ParquetFile(path)
        for number, batch in enumerate(file.iter_batches(batch_size=65_536)):
            sink = io.BytesIO()
            arrow_csv.write_csv(batch, sink, arrow_csv.WriteOptions(include_header=number == 0))
            yield sink.getvalue()
    except pa.ArrowInvalid as error:
        raise LogError(f"{path.name} is not a readable Parquet file: {error}", hint="write it again") from error


def json_blocks(path: Path) -> Iterator[bytes]:
    """One JSON object a line. Of alarm events everything that is left out has its default."""
    names: dict[str, object] = {}
    for line in _lines(path):
        found = _object(line)
        names.update(dict.fromkeys(found or (), None))
    if {"time", "source", "name", "active"} <= names.keys() <= (event := _event_defaults()).keys():
        names = event
    return _as_csv(list(names), _cells(_lines(path), names))


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file


def _event_defaults() -> dict[str, object]:
    """The fields of an alarm event, in order, with what counts where one is left out."""
    from factorylm_schema import AlarmEvent  # brings pydantic, which a CSV does not need

    return {name: None if field.is_required() else field.default for name, field in AlarmEvent.model_fields.items()}


def _object(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _cells(lines: Iterable[str], names: dict[str, object]) -> Iterator[Row]:
    for line in lines:
        found = _object(line)
        if found is not None:
            yield tuple(found.get(name, default) for name, default in names.items())
        elif line.strip():
            yield (line.strip(),)  # the wrong number of cells: rejected and counted like any broken row


def _as_csv(header: list[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """Rows of a table as blocks of CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for number, row in enumerate(rows, start=1):
        writer.writerow(["" if cell is None else cell for cell in row])
        if number % ROWS_A_BLOCK == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()
