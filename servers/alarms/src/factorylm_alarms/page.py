"""The report as one self-contained page: no network, no script, readable on a phone, printable.

Its order follows ISA-TR18.2.5: data quality, performance, diagnosis, floods, priorities, changes, suggestions,
definitions.
"""

from html import escape
from itertools import pairwise

import numpy as np

from factorylm_alarms import floods as flood_definitions
from factorylm_alarms import measures
from factorylm_alarms.analysis import TOP, Analysis
from factorylm_alarms.cautions import cautions
from factorylm_alarms.clock import shown_duration, shown_time
from factorylm_alarms.floods import DEFAULT, WINDOW_MS, bucket_counts
from factorylm_alarms.page_parts import (
    WEEKDAYS,
    bars,
    behind,
    curve_chart,
    heat_map,
    matrix_chart,
    number,
    rate_chart,
    said,
    table,
    tile,
)
from factorylm_alarms.page_style import STYLE
from factorylm_alarms.report_data import NO_CERTIFICATE, TARGETS, priority_pct, quality_json

SECTIONS = {
    "quality": "Data quality",
    "performance": "Performance",
    "diagnosis": "Which alarms",
    "floods": "Floods and families",
    "priorities": "Priorities",
    "changes": "Suppression and changes",
    "suggestions": "What deserves a look",
    "definitions": "Definitions",
}
LISTED = 50
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_page(analysis: Analysis) -> str:
    """The whole page."""
    journal = analysis.journal
    nav = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title in SECTIONS.items())
    parts = (_quality, _performance, _diagnosis, _floods, _priorities, _changes, _suggestions, _definitions)
    body = "".join(
        f'<section id="{key}"><h2>{escape(title)}</h2>{part(analysis)}</section>'
        for (key, title), part in zip(SECTIONS.items(), parts, strict=True)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Alarm report</title><style>{STYLE}</style></head><body><main>"
        f"<h1>Alarm report: {said(journal.name, 120)}</h1>"
        f'<p class="soft">{shown_time(journal, journal.first_ms)} to {shown_time(journal, journal.last_ms)}, '
        f"{shown_duration(journal.hours * 3600)}, time zone {escape(journal.quality.zone)}, {journal.log_id}</p>"
        f"{_cautions(analysis)}{_tiles(analysis)}<p>{escape(NO_CERTIFICATE)}</p><nav>{nav}</nav>{body}</main></body></html>\n"
    )


def _cautions(analysis: Analysis) -> str:
    return "".join(f'<p class="caution">{escape(caution)}</p>' for caution in cautions(analysis.journal))


def _tiles(analysis: Analysis) -> str:
    rates, spread = analysis.rates, _flood_spread(analysis)
    share = analysis.share_pct(sum(count for _, count in analysis.ranking[:TOP]))
    return (
        '<div class="tiles">'
        + tile("activations an hour", number(rates.per_hour), "about 6, at most about 12")
        + tile("largest 10 minutes", number(rates.peak_10min), "at most 10")
        + tile("time in flood", f"{number(analysis.time_in_flood_pct[DEFAULT])} %", f"below about 1 %; {spread}")
        + tile("10 most frequent", f"{number(share)} %", "about 1 to 5 %")
        + tile("chattering alarms", number(sum(one.triggers > 0 for one in analysis.chattering)), "none")
        + tile("stale over 24 h", f"{analysis.stale.low}–{analysis.stale.high}", "certain to possible")
        + "</div>"
    )


def _flood_spread(analysis: Analysis) -> str:
    shares = [value for value in analysis.time_in_flood_pct.values() if value is not None]
    return f"{min(shares):.1f} to {max(shares):.1f} % over 4 definitions" if shares else "no time span"


def _quality(analysis: Analysis) -> str:
    journal, quality = analysis.journal, analysis.journal.quality
    facts = quality_json(journal)
    unpaired = {
        "activations after an activation": (journal.activations.ending == 1).sum(),
        "open at the end": (journal.activations.ending == 2).sum(),
        "returns without activation": journal.activations.orphan_returns,
        "acknowledgements without activation": journal.activations.orphan_acks,
    }
    rows = [
        ("rows read", number(quality.rows)),
        ("rows rejected", number(quality.rejected)),
        ("exact duplicates", f"{number(quality.duplicates)} ({facts['duplicates_rule']})"),
        ("rows moved into time order", number(quality.moved)),
        *((f"{kind} rows", number(count)) for kind, count in quality.rows_by_class.items()),
        *((kind, number(int(count))) for kind, count in unpaired.items()),
        ("finest time step seen", f"{quality.resolution_ms / 1000:g} s"),
        ("time zone", escape(quality.zone)),
        ("silences", _silences(analysis)),
        ("clock steps", number(len(quality.clock_steps))),
        ("format", f"{escape(journal.mapping.format)} ({escape(journal.mapping.evidence)})"),
        (
            "columns",
            "; ".join(f"{escape(role)} = {said(str(name), 60)}" for role, name in journal.mapping.shown().items()),
        ),
        ("notes", "; ".join(said(note, 200) for note in quality.notes)),
    ]
    listed = table(("fact", "value"), [(escape(name), text) for name, text in rows])
    if quality.rejected_lines:
        shown = quality.rejected_lines[:LISTED]
        lines = table(("file", "line", "reason"), [(said(f), str(line), escape(why)) for f, line, why in shown])
        listed += behind(f"rejected rows: {len(shown)} of {quality.rejected}", lines)
    if quality.unknown_words:
        words = table(
            ("word", "rows"), [(said(word), number(n)) for word, n in quality.unknown_words.items()], numeric=[1]
        )
        listed += behind("event words without a meaning here, counted as other", words)
    return listed


def _silences(analysis: Analysis) -> str:
    journal = analysis.journal
    gaps = journal.quality.silences
    if not gaps:
        return "none"
    shown = "; ".join(f"{shown_time(journal, a)} to {shown_time(journal, b)}" for a, b in gaps[:5])
    return f"{len(gaps)}: {shown}{' …' if len(gaps) > 5 else ''} (rates count them as time; silence is not good news)"


def _performance(analysis: Analysis) -> str:
    rates = analysis.rates
    rows = [
        ("per hour", number(rates.per_hour, 2), TARGETS["per_hour"]),
        ("per 10 min (mean)", number(rates.mean_10min, 2), TARGETS["per_10min"]),
        ("per day", number(rates.per_day), "EEMUA 191 and IEC 62682:2014: about 144, at most about 288"),
        ("10-min periods over 10", f"{number(None if rates.share_over_10 is None else 100 * rates.share_over_10, 2)} %",
         TARGETS["share_over_10"]),
        ("largest 10 min, by the clock", number(rates.peak_10min), TARGETS["peak_10min"]),
        ("largest 10 min, sliding", number(rates.peak_10min_sliding), TARGETS["peak_10min"]),
        ("largest hour / day", f"{number(rates.peak_hour)} / {number(rates.peak_day)}", ""),
        ("mean of each day's worst 10 min", number(rates.mean_daily_worst_10min), "EEMUA 191: judged on its own"),
        ("acknowledge time: median / 90 % / 99 %", _ack(analysis), "no target in the standards"),
    ]  # fmt: skip
    edges = [*map(str, measures.HISTOGRAM_EDGES)]
    labels = [f"{a}–{int(b) - 1}" if int(b) - int(a) > 1 else a for a, b in pairwise(edges)]
    histogram = bars(
        (f"{label} in 10 min", count, number(count))
        for label, count in zip([*labels, f"{edges[-1]}+"], rates.histogram, strict=True)
    )
    heat = table(
        ("day", *map(str, range(24))),
        [(day, *map(str, row)) for day, row in zip(WEEKDAYS, analysis.heat_map, strict=True)],
        numeric=range(1, 25),
    )
    return (
        table(
            ("measure", "value", "target (approximate)"), [(escape(a), b, escape(c)) for a, b, c in rows], numeric=[1]
        )
        + _consoles(analysis)
        + f"<h3>Activations in 10 minutes, floods shaded ({escape(DEFAULT)})</h3>{_rate(analysis)}"
        + f"<h3>How full the 10-minute periods are</h3>{histogram}"
        + f"<h3>By hour and weekday</h3>{heat_map(analysis.heat_map)}{behind('the numbers', heat)}"
    )


def _ack(analysis: Analysis) -> str:
    if analysis.ack_s is None:
        return "not in this journal"
    return " / ".join(shown_duration(value) for value in analysis.ack_s)


def _consoles(analysis: Analysis) -> str:
    if not analysis.consoles:
        return '<p class="soft">One console: the journal names no areas, or only one. Figures are for all of it.</p>'
    rows = [
        (
            said(console.area),
            number(console.activations),
            number(console.peak_10min),
            *(f"{len(console.floods[d])} / {number(console.time_in_flood_pct[d])} %" for d in console.floods),
        )
        for console in analysis.consoles
    ]
    header = ("area", "activations", "largest 10 min", *(f"floods / time, {d}" for d in analysis.floods))
    return f"<h3>By area</h3>{table(header, rows, numeric=range(1, 7))}"


def _rate(analysis: Analysis) -> str:
    journal = analysis.journal
    bucket, found = bucket_counts(journal.activations.start)
    first, last = journal.first_ms // WINDOW_MS, journal.last_ms // WINDOW_MS
    counts = np.zeros(last - first + 1, np.int64)
    counts[bucket - first] = found
    origin, span = first * WINDOW_MS, len(counts) * WINDOW_MS
    shaded = [
        ((flood.start_ms - origin) / span, min(1.0, (flood.end_ms - origin) / span))
        for flood in analysis.floods[DEFAULT]
    ]
    axis = [shown_time(journal, origin + span * part // 4)[:16].replace("T", " ") for part in range(0, 5, 2)]
    note = f"{len(shaded)} floods, largest 10 minutes {analysis.rates.peak_10min}; dashed line: 10"
    return rate_chart(counts.tolist(), shaded, axis, 10, note) + f'<p class="soft">{escape(note)}</p>'


def _diagnosis(analysis: Analysis) -> str:
    total, so_far = max(1, len(analysis.journal.activations)), 0
    pareto = []
    for alarm, count in analysis.ranking[:20]:
        so_far += count
        pareto.append((said(analysis.name(alarm), 60), count, f"{number(count)} · {100 * so_far / total:.0f} %"))
    chatter = [
        (said(analysis.name(one.alarm)), number(one.triggers), number(one.index, 3), number(one.gaps))
        for one in analysis.chattering[:LISTED]
    ]
    fleeting = [
        (said(analysis.name(alarm)), number(count), f"{100 * share:.0f} %")
        for alarm, count, share in analysis.fleeting[:LISTED]
    ]
    stale = [(said(analysis.name(alarm)), str(low), str(high)) for alarm, low, high in analysis.stale_alarms[:LISTED]]
    pairs = [
        (
            said(analysis.name(pair.a)),
            said(analysis.name(pair.b)),
            *(f"{share:.0%}" for share in (pair.a_with_b, pair.b_with_a)),
            number(pair.support),
            number(pair.lift),
            f"{pair.first_share:.0%}",
        )
        for pair in analysis.pairs[:LISTED]
    ]
    pair_header = ("alarm", "with", "share of the first", "share of the second", "support", "lift", "first leads")
    tables = (
        ("Chattering", analysis.chattering, ("alarm", "3 in 60 s", "index 1/s", "gaps"), chatter),
        ("Fleeting (gone within 10 s)", analysis.fleeting, ("alarm", "times", "of its own"), fleeting),
        ("Stale (over 24 h)", analysis.stale_alarms, ("alarm", "for certain", "at most"), stale),
    )
    lists = [_list(title, len(all_), table(head, rows, numeric=[1, 2, 3])) for title, all_, head, rows in tables]
    together = _list("Come together", len(analysis.pairs), table(pair_header, pairs, numeric=range(2, 7)))
    return f"<h3>Most frequent, with cumulative share</h3>{bars(pareto)}{''.join(lists)}{together}"


def _list(title: str, count: int, content: str) -> str:
    if not count:
        return f"<h3>{escape(title)}</h3><p>None in this journal.</p>"
    return f"<h3>{escape(title)}: {count}{f', the first {LISTED}' if count > LISTED else ''}</h3>{content}"


def _floods(analysis: Analysis) -> str:
    journal = analysis.journal
    rows = [
        (escape(d), number(len(found)), number(sum(f.alarms for f in found)),
         number(max((f.peak for f in found), default=0)), f"{number(analysis.time_in_flood_pct[d], 2)} %")
        for d, found in analysis.floods.items()
    ]  # fmt: skip
    largest = sorted(range(len(analysis.first_outs)), key=lambda i: -analysis.floods[DEFAULT][i].alarms)[:LISTED]
    listed = []
    for place in sorted(largest):
        flood, first = analysis.floods[DEFAULT][place], analysis.first_outs[place]
        then = ", ".join(said(analysis.name(alarm), 30) for alarm in first.then[:3])
        start = shown_time(journal, flood.start_ms).replace("T", " ")
        lasts = shown_duration((flood.end_ms - flood.start_ms) / 1000)
        sizes = (number(flood.alarms), number(flood.peak))
        listed.append((str(place + 1), start, lasts, *sizes, said(analysis.name(first.alarm), 40), then))
    header = ("no.", "start", "lasts", "activations", "peak", "first out", "then")
    return (
        table(("definition", "floods", "activations in them", "peak", "time in flood"), rows, numeric=[1, 2, 3, 4])
        + _list(
            f"Floods by {DEFAULT} (order evidence, not causes)",
            len(analysis.first_outs),
            table(header, listed, numeric=[0, 3, 4]),
        )
        + _families(analysis)
    )


def _families(analysis: Analysis) -> str:
    found = analysis.families
    if found is None:
        return "<h3>Families</h3><p>Fewer than two floods: no families.</p>"
    rows = [
        (
            str(place),
            number(len(family.floods)),
            f"{said(analysis.name(family.first[0]), 40)} ({family.first[1]:.0%})",
            " › ".join(said(analysis.name(alarm), 30) for alarm in family.order),
            f"{family.order_share:.0%}",
            " / ".join(shown_duration(value) for value in family.duration_s),
            str(family.example + 1),
        )
        for place, family in enumerate(found.families[:LISTED], start=1)
    ]
    header = ("family", "floods", "first alarm", "usual order", "follow it", "lasts min / median / max", "example")
    pictured = len(found.likeness)
    order = sorted(range(pictured), key=lambda i: (found.family_of[i], i))
    note = f"how alike the first {pictured} floods are, sorted by family"
    text = f"{len(found.chosen)} of {found.total} floods compared (the largest); {len(found.families)} families."
    return (
        f"<h3>Families: floods that are the same thing again</h3><p>{text}</p>"
        + table(header, rows, numeric=[0, 1, 4, 6])
        + matrix_chart(found.likeness.tolist(), order, found.family_of, note)
        + f'<p class="soft">{note}; darker is more alike, frames are families.</p>'
    )


def _priorities(analysis: Analysis) -> str:
    shares = priority_pct(analysis.journal)
    if not shares:
        return "<p>This journal has no priorities.</p>"
    rows = ((said(name, 40), share, f"{share:.1f} %") for name, share in shares.items())
    direction = analysis.journal.mapping.worst
    worst = f"the {direction} numbers are the worst" if direction else "which end is the worst is not stated"
    return bars(rows) + f'<p class="soft">{escape(TARGETS["priority_pct"])}. As the journal names them; {worst}.</p>'


def _changes(analysis: Analysis) -> str:
    changes = analysis.journal.changes
    if not changes:
        return "<p>Not in this journal: it has no rows of suppression, shelving or setting changes.</p>"
    rows = [(escape(kind), said(what), number(count)) for kind, what, count in changes[:LISTED]]
    return _list("Recorded", len(changes), table(("class", "what", "rows"), rows, numeric=[2]))


def _suggestions(analysis: Analysis) -> str:
    items = "".join(
        f'<li><span class="kind">{escape(one.kind)}</span>{escape(one.text)}{_where(one.evidence)}</li>'
        for one in analysis.findings
    )
    curves = "".join(_curve(analysis, alarm, curve) for alarm, curve in list(analysis.curves.items())[:5])
    whole = _one_curve("all alarms with the same delay", analysis.curve_of_all, len(analysis.journal.activations))
    listed = items or "<li>Nothing stood out.</li>"
    return f'<ul class="findings">{listed}</ul><h3>Delay curves: what would be left</h3>{whole}{curves}'


def _where(evidence: dict[str, object]) -> str:
    if "first_row" not in evidence:
        return ""
    rows = f"rows {evidence['first_row']} to {evidence['last_row']}"
    return f' <span class="soft">[{said(str(evidence["file"]), 60)} {rows}]</span>'


def _curve(analysis: Analysis, alarm: int, curve: list[tuple[int, int, int]]) -> str:
    return _one_curve(said(analysis.name(alarm), 60), curve, dict(analysis.ranking)[alarm])


def _one_curve(title: str, curve: list[tuple[int, int, int]], before: int) -> str:
    rows = [(f"{delay} s", number(on), number(off)) for delay, on, off in curve]
    key = (
        '<span class="key" style="background:var(--blue)"></span>on-delay (each remaining one comes later)'
        '<span class="key" style="background:var(--orange)"></span>off-delay, dashed (episodes close later)'
    )
    numbers = table(("delay", "left with on-delay", "left with off-delay (tie clear)"), rows, numeric=[1, 2])
    return (
        f'<h3>{title}: {number(before)} now</h3><p class="soft">{key}</p>'
        f"{curve_chart(curve, before, 'annunciations left over the delay')}{behind('the numbers', numbers)}"
    )


def _definitions(_: Analysis) -> str:
    texts = {**measures.DEFINITION_TEXTS, **flood_definitions.DEFINITION_TEXTS}
    return table(("measure", "definition"), [(escape(name), escape(text)) for name, text in texts.items()])
