"""Offline HTML pages: what a model is, and what a change would do."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from factorylm_twin.answers import twin_card
from factorylm_twin.changes import course_of, held
from factorylm_twin.charts import place_strip, run_chart
from factorylm_twin.twin import REFUSED, Twin
from factorylm_twin.whatif import Limits, Past, Question

_STYLE = """
:root{color-scheme:light dark}
:root{--ground:#fff;--ink:#1b2430;--quiet:#4c5866;--line:#0b5c9e;--other:#a3450f}
:root{--band:#0b5c9e2e;--grid:#8886;--card:#f3f5f8}
@media(prefers-color-scheme:dark){
:root{--ground:#10161d;--ink:#e8edf2;--quiet:#b3bfcb;--line:#74baf4;--other:#f2a877}
:root{--band:#74baf433;--card:#1a232d}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:0}
main{max-width:46rem;margin:auto;padding:1rem}
h1{font-size:1.5rem;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.5rem;margin:.6rem 0}
.facts div{background:var(--card);border-radius:.5rem;padding:.45rem .7rem}
.facts dt{color:var(--quiet);font-size:.85rem}.facts dd{margin:0;font-weight:600;overflow-wrap:anywhere}
.told{background:var(--card);border-left:.3rem solid var(--other);padding:.6rem .9rem;overflow-wrap:anywhere}
figure{margin:0}figcaption{color:var(--quiet);font-size:.9rem}
.key{display:inline-block;width:1.6rem;height:0;border-top:.16rem solid var(--line)}
.key{margin:0 .3rem 0 0;vertical-align:middle}.one{display:inline-block;margin-right:.8rem}
.key.dash{border-top-style:dashed;border-color:var(--other)}.key.area{height:.8rem;border:0;background:var(--band)}
svg{width:100%;height:auto;display:block}text{font-size:13px;fill:var(--quiet)}
@media(max-width:30rem){text{font-size:21px}}
.line{fill:none;stroke:var(--line);stroke-width:2}
.other{fill:none;stroke:var(--other);stroke-width:2;stroke-dasharray:6 4}
.band{fill:var(--band)}.grid{stroke:var(--grid)}.limit{stroke:var(--other);stroke-width:1.5;stroke-dasharray:2 3}
.seen{fill:var(--band)}.dots{fill:var(--line);opacity:.5}
.asked{stroke:var(--other);stroke-width:4}.quiet{color:var(--quiet)}
@media print{.facts div,.told{border:1px solid var(--grid)}}
"""
_FAN = 3.0
"""The fan shows so many settling times."""


def model_page(twin: Twin, identity: str) -> str:
    """Grades, measured against simulated over the newest rows, and the envelope."""
    parts = [
        f"<h1>Twin of {escape(', '.join(twin.wanted.outputs))}: grade {escape(twin.grade)}</h1>",
        f"<p class=quiet>model {escape(identity)}, learned from {twin.rows} rows, {_clock(twin)}</p>",
    ]
    for j, (output, card) in enumerate(zip(twin.outputs, twin_card(twin)["outputs"], strict=True)):
        parts.append(f"<h2>{escape(output.name)}</h2>")
        if output.reason:
            parts.append(f"<p class=told><b>Refused:</b> {escape(output.reason)}</p>")
        if output.part is None:
            continue
        facts = {
            "grade": output.grade,
            "free run explains": f"{card['free_run_fit_percent']} %",
            "free-run error": card["free_run_rmse"],
            "90 % band, half": card["band_90_at_longest_horizon"],
        }
        parts.append(_facts(facts) + f"<p class=quiet>{escape(output.words)}</p>")
        given = len(twin.last_y) // 4
        run = output.part.run(twin.last_u, twin.last_y[:given, j])
        half = np.where(np.arange(len(run)) < given, 0.0, output.band_at(np.arange(1.0, len(run) + 1.0) - given))
        chart = run_chart(
            f"{output.name}, measured and simulated", run, twin.last_y[:, j], (run - half, run + half), "rows"
        )
        parts.append(_figure(chart, _keys("simulated, left alone after the first quarter", "measured")))
    parts.append("<h2>Where the inputs were</h2>")
    parts += [_strip(twin, i) for i in range(len(twin.wanted.inputs))]
    parts.append("<p class=quiet>Outside the shaded range the twin refuses to answer.</p>")
    return _page("Twin", parts)


def change_page(
    twin: Twin, changes: Sequence[str], past: Past | None, told: dict[str, Any], limits: Limits | None = None
) -> str:
    """The answer as a fan per output."""
    past, limits = past or Past(u=twin.last_u, y=twin.last_y), limits or {}
    course = course_of(twin, list(changes), past.u[-1])
    asked = Question(past=past, course=course, limits=limits, total_rows=0)
    parts = [f"<h1>What if {escape(', '.join(changes))}?</h1>"]
    for j, output in enumerate(twin.outputs):
        effect = told["outputs"][output.name]
        parts.append(f"<h2>{escape(output.name)}</h2>")
        if output.part is None or output.grade == REFUSED or effect["change"] is None:
            parts.append(f"<p class=told><b>Refused:</b> {escape(effect['reason'])}</p>")
            continue
        facts = {
            "now, held": effect["baseline"],
            "then": effect["new"],
            "90 % band": f"{effect['lo']} to {effect['hi']}",
            "change": effect["change"],
            "settled after": f"{effect['settling']} {twin.time_unit}",
            "grade": output.grade,
        }
        parts.append(_facts(facts))
        crossed = [f"{c['side']} limit after {c['after']} {twin.time_unit}" for c in effect["limits_crossed"]]
        if crossed:
            parts.append(f"<p class=told><b>Crosses</b> its {escape(' and its '.join(crossed))}.</p>")
        rows = max(60, int(_FAN * effect["settling"] / twin.step))
        still, moved = (asked.future(output.part, j, c, rows) for c in (held(asked.now), course))
        half = output.band_at(np.arange(1.0, rows + 1.0))
        ends = [v for v in limits.get(output.name, ()) if np.isfinite(v)]
        chart = run_chart(
            f"{output.name}, changed and held", moved, still, (moved - half, moved + half), "rows from now", ends
        )
        parts.append(_figure(chart, _keys("changed", "inputs held")))
    parts.append("<h2>Where the inputs were, and where they would go</h2>")
    parts += [_strip(twin, i, float(course.end[i])) for i in range(len(twin.wanted.inputs))]
    parts.append("<p class=quiet>A proposal for review by a person, never a command.</p>")
    return _page("What if", parts)


def _strip(twin: Twin, column: int, asked: float | None = None) -> str:
    name, envelope = twin.wanted.inputs[column], twin.envelope
    chart = place_strip(name, twin.last_u[:, column], float(envelope.low[column]), float(envelope.high[column]), asked)
    where = "" if asked is None else f", asked: {asked:.5g} (the bar)"
    return _figure(chart, f"{escape(name)}: newest rows{where}")


def _clock(twin: Twin) -> str:
    return f"one every {twin.step:g} {escape(twin.time_unit)}" if twin.wanted.time else "without a clock"


def _facts(facts: dict[str, Any]) -> str:
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in facts.items())
    return f"<dl class=facts>{cells}</dl>"


def _keys(line: str, dashed: str) -> str:
    return (
        f"<span class=one><span class=key></span>{escape(line)}</span> "
        f"<span class=one><span class='key dash'></span>{escape(dashed)}</span> "
        "<span class=one><span class='key area'></span>90 % band</span>"
    )


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )
