"""Offline HTML pages: what a model is, and what a change would do; charts are inline SVG."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from factorylm_twin.answers import twin_card
from factorylm_twin.arrays import Floats
from factorylm_twin.twin import REFUSED, Twin
from factorylm_twin.whatif import Past, changed_inputs

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 240, 60, 34, 12
_MOST_POINTS = 400
_STYLE = """

:root{color-scheme:light dark}
:root{--ink:#1b2430;--quiet:#5d6b7a;--line:#0b62a8;--other:#b3541e;--band:#0b62a833;--grid:#8884}
@media(prefers-color-scheme:dark){
:root{--ink:#e8edf2;--quiet:#a2afbd;--line:#6fb6f2;--other:#f0a36f;--band:#6fb6f233}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);margin:0}main{max-width:44rem;margin:auto;padding:1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .5rem;border-bottom:1px solid var(--grid)}
svg{width:100%;height:auto}text{font-size:12px;fill:var(--quiet)}.line{fill:none;stroke:var(--line);stroke-width:2}
.other{fill:none;stroke:var(--other);stroke-width:2;stroke-dasharray:6 4}.band{fill:var(--band)}
.grid{stroke:var(--grid)}.quiet{color:var(--quiet)}
"""


def model_page(twin: Twin, identity: str) -> str:
    """Measured against simulated over the newest rows, grades, and the envelope."""
    card = twin_card(twin)
    rows = [
        [o["name"], o["grade"], o["free_run_fit_percent"], o["free_run_rmse"], o["model"], o["reason"]]
        for o in card["outputs"]
    ]
    parts = [
        f"<h1>Twin, grade {escape(twin.grade)}</h1><p class=quiet>model {escape(identity)}, {twin.rows} rows</p>",
        _table(["output", "grade", "free-run fit %", "RMSE", "model", "reason"], rows),
    ]
    for j, output in enumerate(twin.outputs):
        if output.part is not None:
            given = len(twin.last_y) // 4
            run = output.part.run(twin.last_u, twin.last_y[:given, j])
            half = np.where(np.arange(len(run)) < given, 0.0, output.band_at(np.arange(1.0, len(run) + 1.0) - given))
            parts.append(f"<h2>{escape(output.name)}: measured (dashed) and simulated</h2>")
            parts.append(_chart(run, twin.last_y[:, j], run - half, run + half, "rows"))
    parts.append("<h2>Envelope of the inputs</h2>")
    parts.append(_table(["input", "from", "to"], [[n, *ends] for n, ends in card["envelope"].items()]))
    return _page("Twin", parts)


def change_page(twin: Twin, changes: Sequence[str], past: Past | None, told: dict[str, Any]) -> str:
    """The answer as a fan per output."""
    past = past or Past(u=twin.last_u, y=twin.last_y)
    parts = [f"<h1>What if {escape(', '.join(changes))}</h1>"]
    if told["refused"]:
        parts.append(f"<p><b>Refused:</b> {escape(told['reason'])}</p>")
    keys = ["baseline", "new", "lo", "hi", "change", "settling", "grade", "reason"]
    parts.append(_table(["output", *keys], [[n, *(e[k] for k in keys)] for n, e in told["outputs"].items()]))
    for j, output in enumerate(twin.outputs):
        effect = told["outputs"][output.name]
        if output.part is None or output.grade == REFUSED or effect["change"] is None:
            continue
        rows = max(60, int(3 * effect["settling"] / twin.step))
        after = changed_inputs(twin, list(changes), past.u[-1])
        held, moved = (
            output.part.run(np.concatenate([past.u, np.repeat(u[None], rows, axis=0)]), past.y[:, j])[len(past.u) :]
            for u in (past.u[-1], after)
        )
        half = output.band_at(np.arange(1.0, rows + 1.0))
        parts.append(f"<h2>{escape(output.name)}: changed, and held (dashed)</h2>")
        parts.append(_chart(moved, held, moved - half, moved + half, "rows from now"))
    parts.append("<p class=quiet>A proposal for review by a person, never a command.</p>")
    return _page("What if", parts)


def _chart(line: Floats, other: Floats, low: Floats, high: Floats, x_name: str) -> str:
    every = max(1, len(line) // _MOST_POINTS)
    line, other, low, high = (v[::every] for v in (line, other, low, high))
    values = np.concatenate([line, other, low, high])
    bottom, top = float(np.nanmin(values)), float(np.nanmax(values))
    span = (top - bottom) or 1.0

    def points(ys: Floats) -> list[str]:
        xs = np.linspace(_LEFT, _WIDTH - 10, len(ys))
        heights = _HEIGHT - _BOTTOM - (ys - bottom) / span * (_HEIGHT - _BOTTOM - _TOP)
        return [f"{x:.1f},{y:.1f}" for x, y in zip(xs, heights, strict=True)]

    ticks = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{bottom + share * span:.4g}</text>'
        for share in (0.0, 0.5, 1.0)
        for y in [_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)]
    )
    end = f"{len(line) * every} {escape(x_name)}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="over {escape(x_name)}">{ticks}'
        f'<polygon class="band" points="{" ".join(points(low) + points(high)[::-1])}"/>'
        f'<polyline class="other" points="{" ".join(points(other))}"/>'
        f'<polyline class="line" points="{" ".join(points(line))}"/>'
        f'<text x="{_WIDTH - 10}" y="{_HEIGHT - 10}" text-anchor="end">{end}</text></svg>'
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )
