"""Samples summed up over windows: what is left of the past when the samples are gone, and what fits an answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from factorylm_schema import Value

from factorylm_edge.pack import pack_parts, pack_times, pack_values, unpack_parts, unpack_times, unpack_values
from factorylm_edge.sample import SECOND, Sample

# A value holds until the next one; but a gateway that was off has not seen it hold
HELD_AT_MOST_US = 90 * SECOND


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window; `mean` weighs each good value by how long it held, over `held_us`.

    `minimum`, `maximum` and `mean` stand only for numbers. `doubtful` counts samples that were not good.
    """

    start_us: int
    count: int
    doubtful: int
    held_us: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    last: Value | None


def windows_of(samples: Iterable[Sample], start_us: int, end_us: int, width_us: int) -> list[Window]:
    """Samples of one tag in order of time, as windows from `start_us` on; empty windows are left out.

    The last sample before `start_us` may be among them: its value holds into the first window.
    """
    parts: dict[int, list[tuple[Sample, int, int]]] = {}
    ordered = list(samples)
    for at, sample in enumerate(ordered):
        until = ordered[at + 1].time_us if at + 1 < len(ordered) else end_us
        until = min(until, sample.time_us + HELD_AT_MOST_US, end_us)
        for place, held_us in _shares(sample.time_us, until, start_us, width_us):
            if start_us + place * width_us < end_us:
                parts.setdefault(place, []).append((sample, held_us, start_us + place * width_us))
    return [_window(start_us + place * width_us, part) for place, part in sorted(parts.items())]


def combined(windows: Sequence[Window], start_us: int) -> Window:
    """Several windows, in order, as one."""
    held = sum(w.held_us for w in windows)
    with_mean = [(w.mean, w.held_us or 1) for w in windows if w.mean is not None]
    weight = sum(share for _, share in with_mean)
    return Window(
        start_us=start_us,
        count=sum(w.count for w in windows),
        doubtful=sum(w.doubtful for w in windows),
        held_us=held,
        minimum=min((w.minimum for w in windows if w.minimum is not None), default=None),
        maximum=max((w.maximum for w in windows if w.maximum is not None), default=None),
        mean=sum(mean * share for mean, share in with_mean) / weight if weight else None,
        last=next((w.last for w in reversed(windows) if w.last is not None), None),
    )


def regrouped(windows: Iterable[Window], start_us: int, width_us: int) -> list[Window]:
    """Narrow windows as wider ones, counted from `start_us`."""
    groups: dict[int, list[Window]] = {}
    for window in sorted(windows, key=lambda w: w.start_us):
        groups.setdefault(max(0, window.start_us - start_us) // width_us, []).append(window)
    return [combined(group, start_us + place * width_us) for place, group in sorted(groups.items())]


def pack_windows(windows: Sequence[Window]) -> bytes:
    """Column by column."""
    columns: list[list[Value | None]] = [
        [w.count for w in windows],
        [w.doubtful for w in windows],
        [w.held_us for w in windows],
        [w.minimum for w in windows],
        [w.maximum for w in windows],
        [w.mean for w in windows],
        [w.last for w in windows],
    ]
    return pack_parts([pack_times([w.start_us for w in windows]), *map(pack_values, columns)])


def unpack_windows(data: bytes) -> list[Window]:
    """What `pack_windows` was given."""
    times, *parts = unpack_parts(data)
    rows = zip(unpack_times(times), *map(unpack_values, parts), strict=True)
    return [
        Window(
            start_us=start, count=int(n or 0), doubtful=int(bad or 0), held_us=int(held or 0),
            minimum=_number(low), maximum=_number(high), mean=_number(mean), last=last,
        )
        for start, n, bad, held, low, high, mean, last in rows
    ]  # fmt: skip


def _shares(time_us: int, until_us: int, start_us: int, width_us: int) -> Iterable[tuple[int, int]]:
    """Which windows a value falls into, and how long it holds in each; its own window first, even for no time."""
    place = max(0, (time_us - start_us) // width_us)
    if time_us < start_us and until_us <= start_us:
        return
    while True:
        begin, end = start_us + place * width_us, start_us + (place + 1) * width_us
        yield place, max(0, min(until_us, end) - max(time_us, begin))
        if until_us <= end:
            return
        place += 1


def _window(start_us: int, part: list[tuple[Sample, int, int]]) -> Window:
    own = [sample for sample, _, begin in part if sample.time_us >= begin]
    good = [(sample.value, held) for sample, held, _ in part if sample.is_good and sample.value is not None]
    numbers = [(float(v), held) for v, held in good if not isinstance(v, bool | str)]
    weight = sum(held for _, held in numbers)
    shares = [(v, held) for v, held in numbers] if weight else [(v, 1) for v, _ in numbers]
    return Window(
        start_us=start_us,
        count=sum(sample.is_good for sample in own),
        doubtful=sum(not sample.is_good for sample in own),
        held_us=sum(held for _, held in good),
        minimum=min((v for v, _ in numbers), default=None),
        maximum=max((v for v, _ in numbers), default=None),
        mean=sum(v * share for v, share in shares) / sum(share for _, share in shares) if shares else None,
        last=good[-1][0] if good else None,
    )


def _number(value: Value | None) -> float | None:
    return None if value is None else float(value)
