"""What the assistant is told: short tables of figures with their rules, plant texts capped and marked.

Floods are told in `told_floods`.
"""

from functools import partial
from typing import Any

import numpy as np
from factorylm_schema import BadRequestError
from factorylm_skill.untrusted import told_to_the_model

from factorylm_alarms.analysis import TOP, Analysis
from factorylm_alarms.answers import Answer, Row
from factorylm_alarms.cautions import cautions
from factorylm_alarms.clock import shown_time
from factorylm_alarms.delays import intervals_of, simulate
from factorylm_alarms.findings import is_protective
from factorylm_alarms.floods import DEFAULT, DEFINITION_TEXTS
from factorylm_alarms.measures import DEFINITION_TEXTS as MEASURE_TEXTS
from factorylm_alarms.report_data import NO_CERTIFICATE
from factorylm_alarms.summary import simulate_json

Listing = tuple[str, list[str], list[Row], list[str]]
LONGEST_NAME = 60
name_told = partial(told_to_the_model, limit=LONGEST_NAME)


def told_load(analysis: Analysis) -> Answer:
    """How the journal was read; what a person must hear before any figure."""
    journal, quality = analysis.journal, analysis.journal.quality
    rows: list[Row] = [
        ["period", f"{shown_time(journal, journal.first_ms)} to {shown_time(journal, journal.last_ms)}"],
        ["time zone", quality.zone],
        ["format", f"{journal.mapping.format} ({told_to_the_model(journal.mapping.evidence)})"],
        [
            "columns",
            ", ".join(f"{role}={told_to_the_model(str(n), 40)}" for role, n in journal.mapping.shown().items()),
        ],
        ["rows", quality.rows],
        *_class_rows(analysis),
        ["rejected rows", quality.rejected],
        ["exact duplicates", quality.duplicates],
        ["rows moved into order", quality.moved],
        ["activation after activation", int((journal.activations.ending == 1).sum())],
        ["open at the end", int((journal.activations.ending == 2).sum())],
        ["returns without activation", journal.activations.orphan_returns],
        ["finest time step", f"{quality.resolution_ms / 1000:g} s"],
        ["silences", len(quality.silences)],
    ]
    rejected = [f"line {line}: {reason}" for _, line, reason in quality.rejected_lines[:3]]
    return _whole(
        analysis,
        f"{len(journal.activations)} activations of {len(analysis.ranking)} alarms in {journal.hours:.1f} h",
        ["fact", "value"],
        rows,
        [
            *(f"CAUTION: {told_to_the_model(caution, 300)}" for caution in cautions(journal)),
            *(told_to_the_model(note, 150) for note in quality.notes[:4]),
            *rejected,
        ],
    )


def _class_rows(analysis: Analysis) -> list[Row]:
    return [[f"{kind} rows", count] for kind, count in analysis.journal.quality.rows_by_class.items()]


def _flood_figures(analysis: Analysis) -> list[Row]:
    return [
        [
            f"floods / time % {definition}",
            f"{len(found)} / {short(analysis.time_in_flood_pct[definition])}",
            "below 1 %",
        ]
        for definition, found in analysis.floods.items()
    ]


def told_kpis(analysis: Analysis) -> Answer:
    """The figures of ISA-18.2 clause 16, each with target and rule."""
    rates, stale = analysis.rates, analysis.stale
    shares = [value for value in analysis.time_in_flood_pct.values() if value is not None]
    chatter = sum(one.triggers > 0 for one in analysis.chattering)
    top = analysis.share_pct(sum(count for _, count in analysis.ranking[:TOP]))
    rows: list[Row] = [
        ["activations per hour", short(rates.per_hour), "about 6, at most 12"],
        ["activations per 10 min", short(rates.mean_10min), "about 1, at most 2"],
        ["10-min periods over 10, %", short(100 * (rates.share_over_10 or 0)), "below 1"],
        ["largest 10 min by clock / sliding", f"{rates.peak_10min} / {rates.peak_10min_sliding}", "at most 10"],
        *_flood_figures(analysis),
        ["share of the 10 most frequent, %", short(top), "1 to 5"],
        ["chattering alarms (3 in 60 s)", chatter, "none"],
        ["alarms with fleeting activations", len(analysis.fleeting), "none"],
        [
            "stale over 24 h: certain / likely / at most",
            f"{stale.low} / {stale.point:.1f} / {stale.high}",
            "under 5 a day",
        ],
        ["priorities, %", _priorities(analysis), "80/15/5"],
        ["acknowledge s: median / 90 %", _acks(analysis), ""],
    ]
    spread = (
        f"{min(shares):.1f} to {max(shares):.1f} % of time in flood over four definitions" if shares else "no time span"
    )
    keys = ("activation", "hours", "chattering", "stale")
    rules = [
        f"{DEFAULT}: {DEFINITION_TEXTS[DEFAULT]}",
        *(f"{key}: {MEASURE_TEXTS[key]}" for key in keys),
        NO_CERTIFICATE,
    ]
    return _whole(
        analysis,
        f"{short(rates.per_hour)} activations per hour; {spread}",
        ["measure", "value", "target"],
        rows,
        rules,
    )


def short(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _priorities(analysis: Analysis) -> str:
    counts = analysis.journal.priority_counts
    total = sum(counts.values())
    shown = [f"{told_to_the_model(name, 20)} {100 * count / total:.0f}" for name, count in list(counts.items())[:6]]
    return ", ".join(shown) or "not in this journal"


def _acks(analysis: Analysis) -> str:
    return "not in this journal" if analysis.ack_s is None else f"{analysis.ack_s[0]:.0f} / {analysis.ack_s[1]:.0f}"


def ranking_of(analysis: Analysis, by: str) -> Listing:
    """One of the lists of alarms."""
    return {
        "count": _by_count,
        "chattering": _by_chatter,
        "fleeting": _by_fleeting,
        "stale": _by_stale,
        "pairs": _by_pairs,
        "findings": _all_findings,
    }[by](analysis)


def _by_count(analysis: Analysis) -> Listing:
    activations = analysis.journal.activations
    size = len(analysis.journal.alarms)
    first, last = np.full(size, 2**32 - 1, np.int64), np.zeros(size, np.int64)
    np.minimum.at(first, activations.alarm, activations.row.astype(np.int64))
    np.maximum.at(last, activations.alarm, activations.row.astype(np.int64))
    rows: list[Row] = []
    for alarm, count in analysis.ranking:
        one = analysis.journal.alarms[alarm]
        lines = [analysis.journal.place_of_row(int(row))[1] for row in (first[alarm], last[alarm])]
        share = round(analysis.share_pct(count), 2)
        rows.append([name_told(one.name), count, share, told_to_the_model(one.priority, 20), f"{lines[0]}-{lines[1]}"])
    return f"{len(rows)} alarms by activations", ["alarm", "count", "share %", "priority", "rows"], rows, []


def _by_chatter(analysis: Analysis) -> Listing:
    rows: list[Row] = [
        [name_told(analysis.name(one.alarm)), one.triggers, _index(one.index), one.gaps] for one in analysis.chattering
    ]
    return (
        f"{len(rows)} chattering alarms",
        ["alarm", "3 in 60 s", "index 1/s", "gaps"],
        rows,
        [MEASURE_TEXTS["chattering"]],
    )


def _index(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _by_fleeting(analysis: Analysis) -> Listing:
    rows: list[Row] = [
        [name_told(analysis.name(a)), count, round(100 * share, 1)] for a, count, share in analysis.fleeting
    ]
    return (
        f"{len(rows)} alarms with fleeting activations",
        ["alarm", "times", "% of its own"],
        rows,
        [MEASURE_TEXTS["fleeting"]],
    )


def _by_stale(analysis: Analysis) -> Listing:
    rows: list[Row] = [[name_told(analysis.name(a)), low, high] for a, low, high in analysis.stale_alarms]
    headline = f"stale activations: {analysis.stale.low} for certain, {analysis.stale.high} at most"
    return headline, ["alarm", "certain", "at most"], rows, [MEASURE_TEXTS["stale"]]


def _by_pairs(analysis: Analysis) -> Listing:
    rows: list[Row] = [
        [
            name_told(analysis.name(pair.a)),
            name_told(analysis.name(pair.b)),
            round(100 * pair.a_with_b),
            round(100 * pair.b_with_a),
            pair.support,
            round(100 * pair.first_share),
        ]
        for pair in analysis.pairs
    ]
    columns = ["first", "second", "first has second %", "second has first %", "support", "first leads %"]
    return f"{len(rows)} pairs that come within 5 s of each other", columns, rows, ["order is evidence, not a cause"]


def _all_findings(analysis: Analysis) -> Listing:
    rows: list[Row] = []
    for one in analysis.findings:
        where = f"{one.evidence['first_row']}-{one.evidence['last_row']}" if "first_row" in one.evidence else None
        rows.append([one.kind, told_to_the_model(one.text, 420), where])
    return f"{len(rows)} findings, all candidates for review", ["kind", "finding", "rows"], rows, []


def told_effect(analysis: Analysis, alarm: int | None, *, on_s: float, off_s: float, tie: Any) -> Answer:
    """What a delay would have done, both costs stated; nothing for an alarm that protects."""
    journal = analysis.journal
    if alarm is not None and (reason := is_protective(journal, alarm)):
        raise BadRequestError(f"no delay is simulated for this alarm: {reason}", hint="review its set-point and cause")
    intervals = analysis.intervals if alarm is None else intervals_of(journal.activations, alarm)
    effect = simulate(intervals, on_ms=round(on_s * 1000), off_ms=round(off_s * 1000), tie=tie)
    found = simulate_json(journal, alarm, effect, on_s=on_s, off_s=off_s, tie=tie)
    change = 100 * (effect.after - effect.before) / max(1, effect.before)
    rows: list[Row] = [
        ["annunciations now", effect.before],
        ["with the delay", effect.after],
        [f"of them {on_s:g} s later", effect.delayed],
        ["activations never shown", effect.never_shown],
        ["activations inside an annunciation still standing", effect.joined],
        ["activations without a return", effect.unclosed],
    ]
    who = "all alarms" if alarm is None else name_told(analysis.name(alarm))
    costs = "check whether any activation that is never shown needed action; a candidate for the change procedure"
    return _whole(
        analysis,
        f"{who}: {effect.before} -> {effect.after} ({change:+.1f} %), tie {tie}",
        ["what", "count"],
        rows,
        [str(found["rule"]), costs, *(["protective alarms are included in the count"] if alarm is None else [])],
    )


def told_comparison(before: Analysis, after: Analysis) -> Answer:
    """Two journals side by side, and the alarms whose rate changed most."""
    hours = [max(one.journal.hours, 1e-9) for one in (before, after)]
    rows: list[Row] = [
        ["hours", *(short(one.journal.hours) for one in (before, after))],
        ["activations per hour", short(before.rates.per_hour), short(after.rates.per_hour)],
        ["largest 10 min", before.rates.peak_10min, after.rates.peak_10min],
        [f"floods {DEFAULT}", len(before.floods[DEFAULT]), len(after.floods[DEFAULT])],
        ["time in flood %", *(short(one.time_in_flood_pct[DEFAULT]) for one in (before, after))],
        ["chattering alarms", *(sum(c.triggers > 0 for c in one.chattering) for one in (before, after))],
        ["stale, certain", before.stale.low, after.stale.low],
    ]
    per_hour = [
        {one.name(alarm): count / span for alarm, count in one.ranking}
        for one, span in zip((before, after), hours, strict=True)
    ]
    names = sorted(
        set(per_hour[0]) | set(per_hour[1]), key=lambda n: -abs(per_hour[0].get(n, 0) - per_hour[1].get(n, 0))
    )
    rows += [[f"{name_told(name)} per hour", *(short(rate.get(name, 0.0)) for rate in per_hour)] for name in names[:12]]
    return Answer(
        log_id=after.journal.log_id,
        headline=f"{short(before.rates.per_hour)} -> {short(after.rates.per_hour)} activations per hour",
        columns=["measure", before.journal.log_id, after.journal.log_id],
        rows=rows,
        shown=len(rows),
        total=len(rows) - len(names[:12]) + len(names),
        truncated=len(names) > 12,
        rules=["alarms are matched by name; rates are per hour of each journal", NO_CERTIFICATE],
    )


def _whole(analysis: Analysis, headline: str, columns: list[str], rows: list[Row], rules: list[str]) -> Answer:
    return Answer(
        log_id=analysis.journal.log_id,
        headline=headline,
        columns=columns,
        rows=rows,
        shown=len(rows),
        total=len(rows),
        rules=rules,
        evidence=f"all rows of {told_to_the_model(analysis.journal.name, 100)}",
    )
