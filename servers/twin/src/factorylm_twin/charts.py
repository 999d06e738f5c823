"""Inline SVG of the pages: a run with its band, and where the inputs were."""

from collections.abc import Sequence
from html import escape

import numpy as np

from factorylm_twin.arrays import Floats

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 250, 66, 40, 14
_MOST_POINTS = 400
_STRIP = 64


def run_chart(
    name: str, line: Floats, other: Floats, band: tuple[Floats, Floats], x_name: str, level: Sequence[float] = ()
) -> str:
    """A line with its band, another one dashed, limits as levels; gaps in the dashed one stay gaps."""
    every = max(1, len(line) // _MOST_POINTS)
    length = len(line)
    line, other, low, high = (v[::every] for v in (line, other, *band))
    values = np.concatenate([line, other, low, high, np.array(level)])
    bottom, top = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.05 * ((top - bottom) or abs(top) or 1.0)
    bottom, top = bottom - margin, top + margin

    def y_of(value: float) -> float:
        return float(_HEIGHT - _BOTTOM - (value - bottom) / (top - bottom) * (_HEIGHT - _BOTTOM - _TOP))

    def points(ys: Floats) -> list[str]:
        xs = np.linspace(_LEFT, _WIDTH - 12, len(ys))
        return [f"{x:.1f},{y_of(float(y)):.1f}" for x, y in zip(xs, ys, strict=True) if np.isfinite(y)]

    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 12}" y1="{y_of(v):.1f}" y2="{y_of(v):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y_of(v) + 4:.1f}" text-anchor="end">{v:.4g}</text>'
        for v in np.linspace(bottom + margin, top - margin, 3).tolist()
    )
    limits = "".join(
        f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - 12}" y1="{y_of(v):.1f}" y2="{y_of(v):.1f}"/>' for v in level
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(name, quote=True)}">{grid}'
        f'<polygon class="band" points="{" ".join(points(low) + points(high)[::-1])}"/>{limits}'
        f'<polyline class="other" points="{" ".join(points(other))}"/>'
        f'<polyline class="line" points="{" ".join(points(line))}"/>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 12}">0</text>'
        f'<text x="{_WIDTH - 12}" y="{_HEIGHT - 12}" text-anchor="end">{length} {escape(x_name)}</text></svg>'
    )


def place_strip(name: str, seen: Floats, low: float, high: float, asked: float | None = None) -> str:
    """Where an input was, the envelope's ends, and where it is asked to go."""
    places = [low, high, *seen.tolist(), *([asked] if asked is not None else [])]
    bottom, top = min(places), max(places)
    margin = 0.06 * ((top - bottom) or 1.0)
    bottom, top = bottom - margin, top + margin

    def x_of(value: float) -> float:
        return float(_LEFT + (value - bottom) / (top - bottom) * (_WIDTH - 12 - _LEFT))

    every = max(1, len(seen) // _MOST_POINTS)
    dots = "".join(f'<circle cx="{x_of(v):.1f}" cy="22" r="3"/>' for v in seen[::every].tolist())
    mark = "" if asked is None else f'<path class="asked" d="M{x_of(asked):.1f} 6v32"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_STRIP}" role="img" aria-label="{escape(name, quote=True)}: where it was">'
        f'<rect class="seen" x="{x_of(low):.1f}" y="10" width="{x_of(high) - x_of(low):.1f}" height="24"/>'
        f'<g class="dots">{dots}</g>{mark}'
        f'<text x="{x_of(low):.1f}" y="54">{low:.5g}</text>'
        f'<text x="{x_of(high):.1f}" y="54" text-anchor="end">{high:.5g}</text></svg>'
    )
