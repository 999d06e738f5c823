"""Small charts as inline SVG, coloured by the page's own CSS variables, so that dark and light both work."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from factorylm_predictor.arrays import Floats

_WIDTH, _HEIGHT = 640, 350
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 16, 52, 80
"""On a phone the picture is half as large and its letters nearly twice, so the margins are wide."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The plot area and its scales."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    height: int = _HEIGHT

    def x(self, value: float) -> float:
        """Horizontal place."""
        span = self.x_high - self.x_low or 1.0
        return _LEFT + (value - self.x_low) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Vertical place."""
        span = self.y_high - self.y_low or 1.0
        return self.height - _BOTTOM - (value - self.y_low) / span * (self.height - _TOP - _BOTTOM)

    def points(self, xs: Sequence[float] | Floats, ys: Sequence[float] | Floats) -> str:
        """Points of a line."""
        return " ".join(f"{self.x(float(a)):.1f},{self.y(float(b)):.1f}" for a, b in zip(xs, ys, strict=True))


def fan(times: Floats, low: Floats, middle: Floats, high: Floats, x_name: str, y_name: str) -> str:
    """A line within its band; where it was refused (NaN) there is a gap."""
    known = np.isfinite(middle)
    if not known.any():
        return ""
    frame = Frame(x_low=float(times[0]), x_high=float(times[-1]), y_low=0.0, y_high=1.05 * float(np.nanmax(high)))
    parts = []
    for piece in _pieces(known):
        xs, band = times[piece], [*zip(times[piece], high[piece], strict=True)]
        band += reversed([*zip(xs, low[piece], strict=True)])
        outline = frame.points([b[0] for b in band], [b[1] for b in band])
        parts.append(f'<polygon class="band" points="{outline}"/>')
        parts.append(f'<polyline class="line" points="{frame.points(xs, middle[piece])}"/>')
    last = int(np.flatnonzero(known)[-1])
    x, y = frame.x(float(times[last])), frame.y(float(middle[last]))
    parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    return _picture(frame, "".join(parts), x_name, y_name)


def lines(times: Floats, named: Sequence[tuple[str, Floats]], x_name: str, y_name: str) -> str:
    """Up to three lines over time, told apart by dashes as well as by colour."""
    values = np.concatenate([v for _, v in named])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    frame = Frame(x_low=float(times[0]), x_high=float(times[-1]), y_low=min(low, 0.0), y_high=max(high, 1e-9) * 1.05)
    drawn = "".join(
        f'<polyline class="line l{i}" points="{frame.points(times, v)}"/>' for i, (_, v) in enumerate(named)
    )
    legend = "".join(
        f'<span><svg viewBox="0 0 24 8"><line class="line l{i}" x2="24" y1="4" y2="4"/></svg>{escape(name)}</span>'
        for i, (name, _) in enumerate(named)
    )
    return f'<p class="legend">{legend}</p>' + _picture(frame, drawn, x_name, y_name)


def reliability(rows: Sequence[tuple[float, float]]) -> str:
    """Declared against measured coverage; honest intervals lie on the diagonal."""
    frame = Frame(x_low=0.4, x_high=1.0, y_low=0.4, y_high=1.0)
    diagonal = f'<polyline class="guide" points="{frame.points([0.4, 1], [0.4, 1])}"/>'
    dots = "".join(
        f'<circle class="dot" cx="{frame.x(a):.1f}" cy="{frame.y(max(b, 0.4)):.1f}" r="5"/>' for a, b in rows
    )
    return _picture(frame, diagonal + dots, "declared coverage", "measured")


def _picture(frame: Frame, inside: str, x_name: str, y_name: str) -> str:
    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{frame.y(v):.1f}" y2="{frame.y(v):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{frame.y(v) + 6:.1f}" text-anchor="end">{v:g}</text>'
        for v in ticks(frame.y_low, frame.y_high)
    )
    along = ticks(frame.x_low, frame.x_high)
    crowded, below = len(along) > 4, frame.height - _BOTTOM + 36
    marks = "".join(
        f'<text class="tick{" half" if crowded and number % 2 else ""}" x="{frame.x(v):.1f}" y="{below}" '
        f'text-anchor="middle">{v:g}</text>'
        for number, v in enumerate(along)
    )
    names = (
        f'<text class="name" x="{_WIDTH - _RIGHT}" y="{frame.height - 8}" text-anchor="end">{escape(x_name)}</text>'
        f'<text class="name" x="4" y="24">{escape(y_name)}</text>'
    )
    title = escape(f"{y_name} over {x_name}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {frame.height}" role="img" aria-label="{title}">{grid}{marks}{inside}{names}</svg>'
    )


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers between the ends."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / 5
    power = 10 ** np.floor(np.log10(raw))
    step = float(next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw))
    first = np.ceil(low / step) * step
    return [round(float(v), 10) + 0.0 for v in np.arange(first, high + step * 1e-9, step)]


def _pieces(known: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> list["slice[int, int, None]"]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
