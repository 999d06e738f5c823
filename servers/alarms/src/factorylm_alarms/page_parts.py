"""The pieces of the report page. Texts of the plant pass through `said`, and nothing else puts them on the page."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

from factorylm_alarms.untrusted import visible

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
COLUMNS = 800
"""A time series is drawn with at most this many points; each shows the largest value of its stretch."""


def said(text: str, limit: int = 80) -> str:
    """A text from the plant: capped, invisible characters visible, markup without power."""
    return f'<span class="plant">{escape(visible(text, limit))}</span>'


def number(value: int | float | None, digits: int = 1) -> str:
    """A number for people, with thin spaces between thousands."""
    if value is None:
        return "–"
    shown = f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"
    return shown.replace(",", " ")


def tile(label: str, value: str, note: str = "") -> str:
    """One headline figure."""
    return f'<div class="tile"><span>{escape(label)}</span><b>{value}</b><span>{escape(note)}</span></div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Iterable[int] = ()) -> str:
    """A table of ready HTML cells."""
    right = set(numeric)

    def cell(tag: str, place: int, text: str) -> str:
        kind = ' class="n"' if place in right else ' class="name"' if tag == "td" else ""
        return f"<{tag}{kind}>{text}</{tag}>"

    head = "".join(cell("th", i, escape(text)) for i, text in enumerate(header))
    body = "".join("<tr>" + "".join(cell("td", i, text) for i, text in enumerate(row)) + "</tr>" for row in rows)
    rolled = 'class="scroll" tabindex="0" role="group" aria-label="table"'
    return f"<div {rolled}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def behind(title: str, content: str) -> str:
    """The data behind a picture, folded away."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def bars(rows: Iterable[tuple[str, float, str]]) -> str:
    """Horizontal bars: (label as HTML, length, value as HTML)."""
    listed = list(rows)
    longest = max((length for _, length, _ in listed), default=0) or 1
    parts = [
        f'<div class="bar"><span class="label">{label}</span><span class="track"><span class="fill" '
        f'style="width:{100 * length / longest:.2f}%"></span></span><span class="value">{value}</span></div>'
        for label, length, value in listed
    ]
    return f'<div class="bars">{"".join(parts)}</div>'


def heat_map(counts: Sequence[Sequence[int]]) -> str:
    """Weekday by hour; each square says its count."""
    most = max(max(row) for row in counts) or 1
    cells = ["<span></span>"]
    cells += [f"<span{' class=odd' if hour % 2 else ''}>{hour}</span>" for hour in range(24)]
    for day, row in zip(WEEKDAYS, counts, strict=True):
        cells.append(f"<span>{day}</span>")
        cells += [
            f'<i style="--o:{count / most:.2f}" title="{day} {hour}:00, {count} activations"></i>'
            for hour, count in enumerate(row)
        ]
    return f'<div class="heat">{"".join(cells)}</div>'


def rate_chart(
    counts: Sequence[int], shaded: Sequence[tuple[float, float]], axis: Sequence[str], limit: int, note: str
) -> str:
    """Counts over time with floods shaded; `shaded` in parts of the width."""
    points = thinned(counts)
    top = max(max(points, default=0), limit * 1.2, 1)
    width = max(len(points), 1)
    floods = "".join(
        f'<rect x="{start * width:.2f}" y="0" width="{max((end - start) * width, width / 900):.2f}" height="100" '
        'fill="var(--shade)"/>'
        for start, end in merged(shaded, 1 / (2 * COLUMNS))
    )
    line = " ".join(f"{i},{100 - 96 * v / top:.1f} {i + 1},{100 - 96 * v / top:.1f}" for i, v in enumerate(points))
    level = 100 - 96 * limit / top
    return (
        f'<div class="chart"><svg viewBox="0 0 {width} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(note)}">{floods}<polyline points="{line}" fill="none" stroke="var(--blue)" '
        f'stroke-width="1.4" vector-effect="non-scaling-stroke"/><line x1="0" x2="{width}" y1="{level:.1f}" '
        f'y2="{level:.1f}" stroke="var(--red)" stroke-dasharray="5 4" vector-effect="non-scaling-stroke"/></svg>'
        f"{axis_labels(axis)}</div>"
    )


def axis_labels(labels: Sequence[str]) -> str:
    """Labels spread under a chart."""
    return '<div class="axis">' + "".join(f"<span>{escape(label)}</span>" for label in labels) + "</div>"


def thinned(counts: Sequence[int]) -> list[int]:
    """At most COLUMNS values, each the largest of its stretch."""
    if len(counts) <= COLUMNS:
        return list(counts)
    edges = [len(counts) * i // COLUMNS for i in range(COLUMNS + 1)]
    return [max(counts[a:b]) for a, b in pairwise(edges)]


def merged(spans: Sequence[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Spans nearer to each other than a pixel become one."""
    out: list[tuple[float, float]] = []
    for start, end in spans:
        if out and start - out[-1][1] <= gap:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def curve_chart(curve: Sequence[tuple[int, int, int]], before: int, note: str) -> str:
    """What is left over the delay, for on-delay and off-delay; the delay axis is by step, not to scale."""
    steps = len(curve)

    def line(place: int, color: str, dash: str) -> str:
        points = [f"0,{100 - 96:.1f}"]
        points += [f"{i + 1},{100 - 96 * row[place] / max(before, 1):.1f}" for i, row in enumerate(curve)]
        return (
            f'<polyline points="{" ".join(points)}" fill="none" stroke="var(--{color})" stroke-width="2" '
            f'{dash}vector-effect="non-scaling-stroke"/>'
        )

    on, off = line(1, "blue", ""), line(2, "orange", 'stroke-dasharray="6 3" ')
    return (
        f'<div class="chart"><svg viewBox="0 0 {steps} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(note)}">{on}{off}</svg>'
        f"{axis_labels(['0 s', *(f'{row[0]} s' for row in curve)][::2])}</div>"
    )


def matrix_chart(likeness: Sequence[Sequence[float]], order: Sequence[int], groups: Sequence[int], note: str) -> str:
    """How alike floods are, sorted by family; family borders are drawn."""
    size = len(order)
    squares = []
    for y, a in enumerate(order):
        for x, b in enumerate(order):
            value = likeness[a][b]
            if value > 0.05:
                squares.append(f'<rect x="{x}" y="{y}" width="1" height="1" fill-opacity="{value:.2f}"/>')
    borders = [
        f'<rect x="{a}" y="{a}" width="{b - a}" height="{b - a}" fill="none" stroke="var(--orange)" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/>'
        for a, b in _runs([groups[i] for i in order])
    ]
    return (
        f'<div class="chart square"><svg viewBox="0 0 {size} {size}" role="img" aria-label="{escape(note)}">'
        f'<g fill="var(--blue)">{"".join(squares)}</g>{"".join(borders)}</svg></div>'
    )


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    edges = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1]), len(values)]
    return list(pairwise(edges))
