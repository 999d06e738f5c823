"""What the assistant is told of floods: their list, their families, one of them whole, or one by its first minutes."""

import numpy as np
from factorylm_schema import BadRequestError
from factorylm_skill.untrusted import told_to_the_model

from factorylm_alarms.alignment import similarities, upper_bounds
from factorylm_alarms.analysis import Analysis
from factorylm_alarms.answers import Answer, Row
from factorylm_alarms.clock import shown_time
from factorylm_alarms.early import name_early
from factorylm_alarms.families import Family, flood_sequences
from factorylm_alarms.floods import DEFAULT, DEFINITION_TEXTS, Flood
from factorylm_alarms.told import Listing, name_told, short

ALIKE = 0.5
MAX_COMPARED = 2000


def flood_rows(analysis: Analysis, definition: str) -> Listing:
    """Floods in time order."""
    journal = analysis.journal
    rows: list[Row] = []
    for number, flood in enumerate(analysis.floods[definition], start=1):
        first = int(journal.activations.alarm[flood.first])
        if definition == DEFAULT:
            first = analysis.first_outs[number - 1].alarm
        start, end = (shown_time(journal, ms) for ms in (flood.start_ms, flood.end_ms))
        rows.append([number, start, end, flood.alarms, flood.peak, name_told(analysis.name(first))])
    share = analysis.time_in_flood_pct[definition]
    headline = f"{len(rows)} floods by {definition}, {short(share)} % of time, whole journal"
    columns = ["flood", "start", "end", "alarms", "peak", "first out"]
    return (
        headline,
        columns,
        rows,
        [f"{definition}: {DEFINITION_TEXTS[definition]}", "first out is order evidence, not a cause"],
    )


def family_rows(analysis: Analysis) -> Listing:
    """Families, the largest first."""
    if analysis.families is None:
        return "fewer than two floods: no families", ["family"], [], []
    rows: list[Row] = [
        [
            number,
            len(family.floods),
            name_told(analysis.name(family.first[0])),
            " > ".join(told_to_the_model(analysis.name(alarm), 30) for alarm in family.order[:5]),
            round(100 * family.order_share),
            family.example + 1,
        ]
        for number, family in enumerate(analysis.families.families, start=1)
    ]
    headline = (
        f"{len(rows)} families among {len(analysis.families.chosen)} of {analysis.families.total} floods ({DEFAULT})"
    )
    columns = ["family", "floods", "first alarm", "usual order", "follow it %", "example flood"]
    return headline, columns, rows, ["floods alike in which alarms are active when; repeats within a minute count once"]


def told_flood(analysis: Analysis, number: int) -> Answer:
    """The order of one flood's alarms, its family, and the floods most like it."""
    floods = analysis.floods[DEFAULT]
    _numbered(floods, number)
    journal, flood = analysis.journal, floods[number - 1]
    first, activations = analysis.first_outs[number - 1], analysis.journal.activations
    sequence = flood_sequences(journal, [flood])[0]
    rows: list[Row] = []
    for alarm in list(dict.fromkeys(sequence.alarm.tolist()))[:15]:
        at = int(sequence.time[np.argmax(sequence.alarm == alarm)])
        count = int((activations.alarm[flood.first : flood.last] == alarm).sum())
        rows.append([name_told(analysis.name(alarm)), round((at - flood.start_ms) / 1000, 3), count])
    total = len(set(activations.alarm[flood.first : flood.last].tolist()))
    alike = ", ".join(f"flood {other} ({value:.2f})" for other, value in alike_floods(analysis, number - 1)) or "none"
    return Answer(
        log_id=journal.log_id,
        headline=f"flood {number}: {flood.alarms} activations of {total} alarms "
        f"from {shown_time(journal, flood.start_ms)}, peak {flood.peak}; "
        f"first out {name_told(analysis.name(first.alarm))}",
        columns=["alarm", "first after s", "times"],
        rows=rows,
        shown=len(rows),
        total=total,
        truncated=total > len(rows),
        rules=[
            _family_of(analysis, number - 1),
            f"most alike in order (alignment, 1 is equal): {alike}",
            f"{len(first.skipped)} everyday alarms were passed over for the first out; order is evidence, not a cause",
        ],
        evidence=_lines_of(analysis, flood),
    )


def _family_of(analysis: Analysis, place: int) -> str:
    found = analysis.families
    if found is None or place not in found.chosen:
        return "not among the floods sorted into families"
    family = found.family_of[found.chosen.index(place)]
    size = len(found.families[family].floods)
    return f"family {family + 1} of {size} floods" if size > 1 else "not seen before: alone in its family"


def alike_floods(analysis: Analysis, place: int) -> list[tuple[int, float]]:
    """(flood number, similarity) of the five most alike; floods that cannot reach ALIKE are not aligned."""
    floods = analysis.floods[DEFAULT]
    near = range(max(0, place - MAX_COMPARED // 2), min(len(floods), place + MAX_COMPARED // 2))
    sequences = flood_sequences(analysis.journal, [floods[i] for i in near])
    alarms, me = len(analysis.journal.alarms), place - near.start
    bounds = upper_bounds(sequences, alarms)[me]
    others = [i for i in np.flatnonzero(bounds >= ALIKE).tolist() if i != me]
    values = similarities(sequences[me], [sequences[i] for i in others], alarms)
    ranked = sorted(zip(others, values.tolist(), strict=True), key=lambda pair: -pair[1])
    return [(near.start + i + 1, value) for i, value in ranked[:5] if value >= ALIKE]


def told_early(analysis: Analysis, number: int, *, first_s: float) -> Answer:
    """The family a flood's first seconds speak for, by the floods before it, or "not seen before"."""
    journal, floods = analysis.journal, analysis.floods[DEFAULT]
    _numbered(floods, number)
    found = name_early(journal, floods, number - 1, within_ms=round(first_s * 1000))
    begun = f"flood {number} by its first {first_s:g} s ({found.alarms} activations)"
    said = "not seen before" if found.family is None else f"like {len(found.family.floods)} earlier floods"
    rows = [] if found.family is None else _usual(analysis, found.family)
    votes = (
        f"{found.votes} of the {found.asked} most alike are of this family; nearest: flood {(found.nearest or 0) + 1}"
    )
    return Answer(
        log_id=journal.log_id,
        headline=f"{begun}: {said}, among {found.earlier} before it",
        columns=["alarm", "in % of the family's floods"],
        rows=rows,
        shown=len(rows),
        total=len(rows),
        rules=[
            *([votes] if found.family else []),
            "only the floods before it were looked at, and of this one nothing later",
            "rows in the family's usual order, which is evidence and not a cause",
        ],
        evidence=_lines_of(analysis, floods[number - 1]),
    )


def _usual(analysis: Analysis, family: Family) -> list[Row]:
    shares = dict(family.common)
    return [[name_told(analysis.name(alarm)), round(100 * shares.get(alarm, 0))] for alarm in family.order]


def _numbered(floods: list[Flood], number: int) -> None:
    if number > len(floods):
        raise BadRequestError(f"there is no flood {number}", hint=f"floods are numbered 1 to {len(floods)} ({DEFAULT})")


def _lines_of(analysis: Analysis, flood: Flood) -> str:
    journal, rows = analysis.journal, analysis.journal.activations.row
    first, last = (journal.place_of_row(int(rows[place]))[1] for place in (flood.first, flood.last - 1))
    return f"rows {first} to {last} of the journal behind {journal.log_id}"
