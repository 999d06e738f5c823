"""What makes a record unfit to learn from, each with its reason in plain words and the data that would help."""

from itertools import combinations

import numpy as np

from factorylm_twin.arrays import Flags, Floats
from factorylm_twin.tables import Record, filled

_FEWEST_ROWS = 100
_LONGEST_GAP, _MOST_MISSING = 0.03, 0.1
_FEWEST_MOVES = 3
_ALIKE = 0.985
_NEARLY_ALL, _MOST_OF_IT, _PART_OF_IT = 0.8, 0.6, 0.2
_RESTS, _FEWEST_TO_JUDGE = 4, 30
# What one unit of measure is in another: per second/minute/hour, thousandths, percent, kPa, psi, bar, US gallons
_FACTORS = (3.6, 6.89476, 10.0, 14.5038, 60.0, 100.0, 1000.0, 3.78541, 2.54, 1e5, 1e6, 3600.0)


def unfit(record: Record) -> str:
    """Why nothing may be learned from this record; empty when something may."""
    checks = (_too_short, _missing, _changed_unit, _still_output)
    return next((reason for check in checks if (reason := check(record))), "")


def unfit_inputs(record: Record) -> str:
    """Why the inputs of an open loop record say nothing; a closed loop has its own test."""
    checks = (_still_input, _alike, _fed_back)
    return next((reason for check in checks if (reason := check(record))), "")


def _too_short(record: Record) -> str:
    rows = int(np.isfinite(record.y).all(axis=1).sum())
    if rows >= _FEWEST_ROWS:
        return ""
    return f"too_short: {rows} rows with all outputs; {_FEWEST_ROWS} are needed at least"


def _missing(record: Record) -> str:
    for name, values in _columns(record):
        gone = ~np.isfinite(values)
        longest, where = _longest(gone)
        if longest >= max(20, _LONGEST_GAP * len(values)) or gone.mean() > _MOST_MISSING:
            return (
                f"missing_data: {name} has no value in {gone.mean():.0%} of the rows, the longest gap is {longest} "
                f"rows from row {where + 1} on; name a stretch without such gaps"
            )
    return ""


def _longest(gone: Flags) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gone.astype(np.int8), [0]])))
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    return (int(lengths.max()), int(begins[int(np.argmax(lengths))])) if len(lengths) else (0, 0)


def _still_input(record: Record) -> str:
    for name, values in zip(record.wanted.inputs, record.u.T, strict=True):
        known = values[np.isfinite(values)]
        moves = int(np.sum(np.diff(known) != 0))
        if moves < _FEWEST_MOVES:
            did = "never moves" if moves == 0 else f"moves only {moves} times"
            return (
                f"constant_input: {name} {did}, so its effect cannot be seen; "
                "move it up and down four times and hold each level for 5 time constants"
            )
    return ""


def _still_output(record: Record) -> str:
    for name, values in zip(record.wanted.outputs, record.y.T, strict=True):
        if np.nanstd(values) <= 1e-9 * max(1.0, float(np.nanmax(np.abs(values)))):
            return f"constant_output: {name} never changes; is the sensor frozen?"
    return ""


def _alike(record: Record) -> str:
    if record.u.shape[1] < 2:
        return ""
    names, values = record.wanted.inputs, filled(record.u)
    alike = np.atleast_2d(np.corrcoef(values.T))
    for a, b in combinations(range(len(names)), 2):
        if abs(alike[a, b]) > _ALIKE:
            return (
                f"collinear_inputs: {names[a]} and {names[b]} always move together (correlation {alike[a, b]:.3f}), "
                "so their effects cannot be told apart; move one without the other, or drop one"
            )
    smallest, vector = np.linalg.eigh(alike)
    if smallest[0] < 1 - _ALIKE:
        involved = [n for n, w in zip(names, vector[:, 0], strict=True) if abs(w) > 0.2]
        return f"collinear_inputs: {', '.join(involved)} always move together; move one of them alone"
    return ""


def _changed_unit(record: Record) -> str:
    for name, values in _columns(record):
        known = np.flatnonzero(np.isfinite(values))
        found = _jump(values[known])
        if found:
            row, words = found
            return (
                f"changed_unit: {name} changes its scale at row {known[row] + 1} ({words}); "
                "was its unit of measure changed? bring both parts to one unit"
            )
    return ""


def _jump(values: Floats) -> tuple[int, str] | None:
    """A single step after which nothing lies where it lay before, by a factor that units differ by."""
    edge = max(20, len(values) // 20)
    if len(values) < 3 * edge:
        return None
    highest, lowest = np.maximum.accumulate(values), np.minimum.accumulate(values)
    later_low = np.minimum.accumulate(values[::-1])[::-1]
    later_high = np.maximum.accumulate(values[::-1])[::-1]
    apart = (highest[:-1] < later_low[1:]) | (lowest[:-1] > later_high[1:])
    for row in np.flatnonzero(apart) + 1:
        if edge <= row <= len(values) - edge:
            words = _unit_words(values[:row], values[row:])
            if words and _at_once(values, int(row)):
                return int(row), words
    return None


def _at_once(values: Floats, row: int) -> bool:
    """Most of the way is made in one row: a unit changes between two samples, a machine takes its time."""
    before, after = float(np.median(values[:row])), float(np.median(values[row:]))
    return abs(float(values[row] - values[row - 1])) > 0.6 * abs(after - before)


def _unit_words(before: Floats, after: Floats) -> str:
    middles, widths = (np.median(before), np.median(after)), (_width(before), _width(after))
    if min(widths) <= 0 or len(np.unique(before)) < 5 or len(np.unique(after)) < 5:
        return ""
    for small, large, low, high in ((*widths, *middles), (*widths[::-1], *middles[::-1])):
        wide = large / small
        for factor in _FACTORS:
            if abs(wide / factor - 1) < 0.5 and low != 0 and abs(high / low / factor - 1) < 0.2:
                return f"about {factor:g} times"
        if 1.2 < wide < 2.7 and abs((1.8 * low + 32) - high) < 0.15 * abs(high) and high > low:
            return "as from °C to °F"
        if 0.5 < wide < 2 and abs(low + 273.15 - high) < 0.15 * abs(high - low):
            return "as from °C to K"
    return ""


def _width(values: Floats) -> float:
    low, high = np.quantile(values, [0.1, 0.9])
    return float(high - low)


def _fed_back(record: Record) -> str:
    """A controller moves an input by a fixed rule of the output; then the record shows the rule, not the plant."""
    u, y = filled(record.u), filled(record.y)
    for i, name in enumerate(record.wanted.inputs):
        for j, output in enumerate(record.wanted.outputs):
            if _follows(u[:, i], y[:, j]):
                return (
                    f"closed_loop: a controller seems to move {name} from {output}; name its set-point and mode "
                    "columns (--setpoint, --mode), and have the set-point moved by +-5 % four times, each level held "
                    "for 5 time constants"
                )
    return ""


def _follows(u: Floats, y: Floats) -> bool:
    """Whether the newest outputs explain the input's moves beyond the input's own past.

    Rows in which it stands still do not count: a controller's rounded output stands still, too. A machine that answers
    within a row explains the move by the same row's output as well; so what the same row says must be nearly all, or
    earlier outputs must say part of it. An input that rests after each move is set by hand: only earlier outputs count.
    """
    rests = np.diff(np.flatnonzero(np.diff(u)))
    by_hand = len(rests) > 0 and float(np.quantile(rests, 0.25)) >= _RESTS
    earlier = _explained(u, y, (1, 2, 3))
    if by_hand:
        return earlier > _MOST_OF_IT
    same = _explained(u, y, (0, 1, 2))
    return same > _NEARLY_ALL or (same > _MOST_OF_IT and earlier > _PART_OF_IT)


def _explained(u: Floats, y: Floats, lags: tuple[int, ...]) -> float:
    """The share of the input's moves that the outputs so many rows before explain, less what chance does."""
    move = np.diff(u)[3:]
    own = np.column_stack([np.ones(len(move)), *(u[3 - lag : len(u) - 1 - lag] for lag in range(4))])
    past = np.column_stack([y[4 - lag : len(y) - lag] for lag in lags])
    own, past, move = own[move != 0.0], past[move != 0.0], move[move != 0.0]
    freedom = len(move) - own.shape[1] - past.shape[1]
    if freedom < _FEWEST_TO_JUDGE:
        return 0.0
    alone, both = _rest(own, move), _rest(np.column_stack([own, past]), move)
    share = 1.0 - both / alone if alone > 1e-9 * len(move) * float(np.var(move)) else 0.0
    return float(1.0 - (1.0 - share) * len(move) / freedom)


def _rest(terms: Floats, target: Floats) -> float:
    scaled = terms / np.maximum(np.abs(terms).max(axis=0), 1e-300)
    return float(np.sum((target - scaled @ np.linalg.lstsq(scaled, target, rcond=None)[0]) ** 2))


def _columns(record: Record) -> list[tuple[str, Floats]]:
    named = [*zip(record.wanted.inputs, record.u.T, strict=True), *zip(record.wanted.outputs, record.y.T, strict=True)]
    return [(name, np.asarray(values)) for name, values in named]
