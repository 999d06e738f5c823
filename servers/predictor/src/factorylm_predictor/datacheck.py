"""The data check that comes first: what is wrong with a file, in plain words, before anything is learned from it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from factorylm_predictor.arrays import Flags
from factorylm_predictor.fleet import unfit_columns
from factorylm_predictor.histories import Histories, History

Severity = Literal["stop", "look", "note"]
_GAP_INTERVALS = 3
_FROZEN_ROWS = 20
_JUMP_SPREADS = 12.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing noticed. `stop`: a model from this would be wrong; `look`: check it; `note`: good to know."""

    severity: Severity
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What a file holds and what is wrong with it."""

    source: str
    rows: int
    units: int
    columns: tuple[str, ...]
    interval: float
    findings: tuple[Finding, ...]


def check_data(histories: Histories, *, now: float | None = None) -> DataCheck:
    """Look at gaps, flat lines, jumps, clocks, missing values and leakage."""
    findings = [
        *(Finding(severity="note", kind="reading", text=t) for t in histories.notes),
        *_clock_faults(histories, now),
        *_gaps(histories),
        *_missing(histories),
        *_flat_lines(histories),
        *_jumps(histories),
        *_leaks(histories),
        *_lengths(histories),
    ]
    order: dict[Severity, int] = {"stop": 0, "look": 1, "note": 2}
    return DataCheck(
        source=histories.source,
        rows=histories.rows_read,
        units=len(histories.units),
        columns=histories.columns,
        interval=histories.interval(),
        findings=tuple(sorted(findings, key=lambda f: order[f.severity])),
    )


def _clock_faults(histories: Histories, now: float | None) -> list[Finding]:
    found = []
    for history in histories.units:
        if histories.clock == "timestamp" and now is not None and history.times[-1] > now + 1:
            ahead = history.times[-1] - now
            text = f"unit {history.unit}: its last time lies {ahead:.1f} h in the future"
            found.append(Finding(severity="stop", kind="clock", text=text))
        doubled = int((np.diff(history.times) == 0).sum())
        if doubled:
            text = f"unit {history.unit}: {doubled} rows repeat the time before them"
            found.append(Finding(severity="look", kind="clock", text=text))
    return _some(found)


def _gaps(histories: Histories) -> list[Finding]:
    found = []
    usual = histories.interval()
    for history in histories.units:
        gaps = np.diff(history.times)
        wide = np.flatnonzero(gaps > _GAP_INTERVALS * usual)
        if usual > 0 and len(wide):
            at, longest = float(history.times[wide[0]]), float(gaps.max())
            text = f"unit {history.unit}: {len(wide)} gaps, the first at {at:.6g}, the longest {longest:.6g}"
            found.append(Finding(severity="look", kind="gap", text=text))
    return _some(found)


def _missing(histories: Histories) -> list[Finding]:
    found = []
    for place, name in enumerate(histories.columns):
        absent = np.concatenate([np.isnan(h.values[:, place]) for h in histories.units])
        if absent.any():
            longest = max(_longest_run(np.isnan(h.values[:, place])) for h in histories.units)
            severity: Severity = "look" if absent.mean() > 0.05 or longest > _FROZEN_ROWS else "note"
            text = f"'{name}': {absent.mean():.1%} of its values are missing, at most {longest} rows in a row"
            found.append(Finding(severity=severity, kind="missing", text=text))
    return found


def _flat_lines(histories: Histories) -> list[Finding]:
    """A sensor that moves elsewhere and stands still here."""
    found = []
    for place, name in enumerate(histories.columns):
        runs = [_longest_run(np.diff(h.values[:, place]) == 0) + 1 for h in histories.units if len(h) > 1]
        changes = sum(int((np.diff(h.values[:, place]) != 0).sum()) for h in histories.units)
        usual = sum(len(h) for h in histories.units) / max(1, changes)
        for history, run in zip((h for h in histories.units if len(h) > 1), runs, strict=True):
            if changes and run > max(_FROZEN_ROWS, _FROZEN_ROWS * usual):
                text = f"'{name}' of unit {history.unit} stands still for {run} rows"
                found.append(Finding(severity="look", kind="flat line", text=text))
    return _some(found)


def _jumps(histories: Histories) -> list[Finding]:
    found = []
    for history in histories.units:
        for place, name in enumerate(histories.columns):
            size, row = _largest_jump(history, place)
            if size > _JUMP_SPREADS:
                at = float(history.times[row])
                what = f"'{name}' of unit {history.unit} jumps at {at:.6g} and stays"
                text = f"{what}: a change of unit, or a swapped column?"
                found.append(Finding(severity="stop", kind="jump", text=text))
    return _some(found)


def _largest_jump(history: History, place: int, side: int = 10) -> tuple[float, int]:
    """The largest lasting step against the scatter on its quieter side; settings that switch often do not count."""
    values = history.values[:, place]
    known = np.isfinite(values)
    values, rows = values[known], np.flatnonzero(known)
    if len(values) < 4 * side:
        return 0.0, 0
    sums = np.r_[0.0, np.cumsum(values - values.mean())]
    squares = np.r_[0.0, np.cumsum((values - values.mean()) ** 2)]
    means = (sums[side:] - sums[:-side]) / side
    scatter = np.sqrt(np.maximum((squares[side:] - squares[:-side]) / side - means**2, 0.0))
    steps = np.abs(means[side:] - means[:-side])
    around = np.minimum(scatter[side:], scatter[:-side])
    usual = max(float(np.median(scatter)), 1e-9 * float(np.abs(values).max(initial=0)), 1e-300)
    at = int(np.argmax(steps / np.maximum(around, usual)))
    before, after = values[: at + side], values[at + side :]
    apart = max(before.min(), after.min()) > min(before.max(), after.max())
    return (float(steps[at] / max(around[at], usual)) if apart else 0.0), int(rows[at + side])


def _leaks(histories: Histories) -> list[Finding]:
    return [Finding(severity="look", kind="column", text=text) for text in unfit_columns(histories)]


def _lengths(histories: Histories) -> list[Finding]:
    short = [h.unit for h in histories.units if len(h) < 10]
    if not short:
        return []
    text = f"{len(short)} units have fewer than 10 rows: {', '.join(short[:5])}"
    return [Finding(severity="look", kind="short", text=text)]


def _longest_run(flags: Flags) -> int:
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0]))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _some(findings: list[Finding], limit: int = 10) -> list[Finding]:
    """The first few; a fleet with one fault a hundred times needs no hundred lines."""
    if len(findings) <= limit:
        return findings
    more = f"and {len(findings) - limit} more of this kind"
    return [*findings[:limit], Finding(severity=findings[0].severity, kind=findings[0].kind, text=more)]
