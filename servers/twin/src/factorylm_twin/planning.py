"""Which place of the inputs is best: a search inside the envelope, with the limits kept band and all."""

from dataclasses import dataclass, replace

import numpy as np
from factorylm_schema.errors import BadRequestError, UnknownNameError

from factorylm_twin.arrays import Floats
from factorylm_twin.changes import Course
from factorylm_twin.twin import REFUSED, OutputModel, Twin
from factorylm_twin.whatif import Limits, Past, Question

_SCATTERED, _WALKS, _STEPS = 24, 3, 30
_KEPT = 1e-3  # of the band: as exactly as the search keeps a limit
_SETTLING_ROWS = 600
_NUDGE = 0.02
_INSIDE = 1e-4  # so that a rounded place is still inside


@dataclass(frozen=True, kw_only=True)
class Goal:
    """`aim` is "max", "min", or a number that the output should reach."""

    output: str
    aim: str | float

    def badness(self, value: float) -> float:
        """Smaller is better."""
        if self.aim == "max":
            return -value
        return value if self.aim == "min" else abs(value - float(self.aim))


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best place found, or the reason why none is told.

    `sensitivity` is the goal's output per unit of each input there; `to_the_edge` the share of the seen range that is
    left to its nearer end.
    """

    place: dict[str, float]
    expected: dict[str, float]
    sensitivity: dict[str, float]
    to_the_edge: dict[str, float]
    binding: tuple[str, ...]
    refused: str = ""


def best_place(twin: Twin, goal: Goal, moved: tuple[str, ...], limits: Limits, past: Past | None = None) -> Best:
    """Search the envelope: scattered places first, then ever smaller strides around the best of them."""
    if refused := _refusal(twin, goal, moved, limits):
        return _none(refused)
    past = past or Past(u=twin.last_u, y=twin.last_y)
    search = _Search(twin=twin, goal=goal, limits=limits, past=past)
    columns = [twin.wanted.inputs.index(name) for name in moved]
    low, high = (_ends(twin, limits, columns, side) for side in (0, 1))
    if (low > high).any():
        return _none("infeasible: the limits of an input lie outside what was seen")
    low, high = low + _INSIDE * (high - low), high - _INSIDE * (high - low)
    rng = np.random.default_rng(1)
    shares = rng.random((_SCATTERED, len(columns)))
    seen = [search.judged(_with(past.u[-1], columns, low + share * (high - low))) for share in shares]
    inside = [s for s in seen if s.ends]
    nearest = sorted(inside, key=lambda j: (j.broken, goal.badness(j.ends[goal.output])))[:_WALKS]
    best = min([search.judged(past.u[-1]), *seen], key=lambda j: j.badness)
    for start in nearest:
        best = min(best, _walked(search, start, columns, low, high), key=lambda j: j.badness)
    if not np.isfinite(best.badness):
        return _none("infeasible: no place inside what was seen keeps all limits with their band")
    return _told(search, best, columns, low, high)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """`broken` is how far the worst limit is missed, in bands; a place with a broken limit is infinitely bad."""

    place: Floats
    badness: float
    ends: dict[str, float]
    broken: float
    close: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Search:
    twin: Twin
    goal: Goal
    limits: Limits
    past: Past

    def judged(self, place: Floats) -> _Judged:
        """Steady outputs at this place."""
        if self.twin.envelope.outside(self.twin.wanted.inputs, place):
            return _Judged(place=place, badness=float("inf"), ends={}, broken=float("inf"), close=())
        ends = self.ends(place)
        room = self.room(ends)
        broken = max([0.0, *(-r for r in room.values())])
        badness = self.goal.badness(ends[self.goal.output]) if broken <= _KEPT else float("inf")
        close = tuple(name for name, left in room.items() if left < 50 * _KEPT)
        return _Judged(place=place, badness=badness, ends=ends, broken=broken, close=close)

    def ends(self, place: Floats) -> dict[str, float]:
        """Steady values of the outputs that are aimed at or limited."""
        wanted = {self.goal.output, *self.limits}
        return {o.name: self.end(o, j, place) for j, o in enumerate(self.twin.outputs) if o.name in wanted}

    def room(self, ends: dict[str, float]) -> dict[str, float]:
        """What is left to each limit beyond the output's band, in bands."""
        left = {}
        for output in self.twin.outputs:
            if output.name in ends and output.name in self.limits:
                low, high = self.limits[output.name]
                half = max(float(output.band[-1]), 1e-12)
                left[output.name] = min(ends[output.name] - half - low, high - half - ends[output.name]) / half
        return left

    def end(self, output: OutputModel, column: int, place: Floats) -> float:
        """The steady value there."""
        course = Course(rows=(0,), places=place[None])
        asked = Question(past=self.past, course=course, limits={}, total_rows=0)
        assert output.part is not None
        return float(asked.future(output.part, column, course, _SETTLING_ROWS)[-1])


def _walked(search: _Search, start: _Judged, columns: list[int], low: Floats, high: Floats) -> _Judged:
    """Follow the slope, along limits where there are some."""
    from scipy.optimize import minimize

    span = np.where(high > low, high - low, 1.0)
    scale = max(abs(start.ends[search.goal.output]), 1e-9)

    def place(shares: Floats) -> Floats:
        return _with(start.place, columns, low + np.clip(shares, 0.0, 1.0) * (high - low))

    def badness(shares: Floats) -> float:
        value = search.goal.badness(search.ends(place(shares))[search.goal.output]) / scale
        return value if isinstance(search.goal.aim, str) else value**2

    def room(shares: Floats) -> Floats:
        return np.array(list(search.room(search.ends(place(shares))).values()))

    def inside(shares: Floats) -> float:
        apart = place(shares) - search.twin.envelope.middle
        return 1.0 - float(apart @ search.twin.envelope.inverse @ apart) / search.twin.envelope.farthest

    rules = [{"type": "ineq", "fun": inside}]
    if search.room(start.ends):
        rules.append({"type": "ineq", "fun": room})
    found = minimize(
        badness,
        (start.place[columns] - low) / span,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(columns),
        constraints=rules,
        options={"maxiter": _STEPS, "eps": 1e-4, "ftol": 1e-7},
    )
    return search.judged(place(np.asarray(found.x)))


def _told(search: _Search, best: _Judged, columns: list[int], low: Floats, high: Floats) -> Best:
    twin = search.twin
    names = [twin.wanted.inputs[c] for c in columns]
    at = next(j for j, o in enumerate(twin.outputs) if o.name == search.goal.output)
    sensitivity, edge = {}, {}
    for n, (name, column) in enumerate(zip(names, columns, strict=True)):
        nudge = _NUDGE * (high[n] - low[n]) or 1e-9
        ends = [
            search.end(twin.outputs[at], at, best.place + side * nudge * _unit(column, best.place)) for side in (-1, 1)
        ]
        sensitivity[name] = (ends[1] - ends[0]) / (2 * nudge)
        bottom, top = float(twin.envelope.low[column]), float(twin.envelope.high[column])
        edge[name] = max(0.0, min(float(best.place[column]) - bottom, top - float(best.place[column])) / (top - bottom))
    at_edge = tuple(f"{name} at the end of its range" for name in names if edge[name] < 0.01)
    return Best(
        place={name: float(best.place[c]) for name, c in zip(names, columns, strict=True)},
        expected=best.ends,
        sensitivity=sensitivity,
        to_the_edge=edge,
        binding=(*(f"limit of {name}" for name in best.close), *at_edge),
    )


def _refusal(twin: Twin, goal: Goal, moved: tuple[str, ...], limits: Limits) -> str:
    outputs = {o.name: o for o in twin.outputs}
    if goal.output not in outputs:
        raise UnknownNameError("output", goal.output, outputs)
    for name in moved:
        if name not in twin.wanted.inputs:
            raise UnknownNameError("input", name, twin.wanted.inputs)
    if not moved:
        raise BadRequestError("no input may be moved", hint=f"name some of {', '.join(twin.wanted.inputs)}")
    for name in limits:
        if name not in outputs and name not in twin.wanted.inputs:
            raise UnknownNameError("column", name, [*outputs, *twin.wanted.inputs])
    needed = [outputs[n] for n in {goal.output, *limits} if n in outputs]
    refused = next((o.reason for o in needed if o.grade == REFUSED or o.part is None), "")
    unknown = [
        r for o in needed for n, r in zip(twin.wanted.inputs, o.input_refusals, strict=False) if r and n in moved
    ]
    return refused or next(iter(unknown), "")


def _ends(twin: Twin, limits: Limits, columns: list[int], side: int) -> Floats:
    seen = (twin.envelope.low, twin.envelope.high)[side]
    pick = (max, min)[side]
    none = (float("-inf"), float("inf"))
    return np.array([pick(float(seen[c]), limits.get(twin.wanted.inputs[c], none)[side]) for c in columns])


def _with(place: Floats, columns: list[int], values: Floats) -> Floats:
    result = place.copy()
    result[columns] = values
    return result


def _unit(column: int, place: Floats) -> Floats:
    result = np.zeros_like(place)
    result[column] = 1.0
    return result


def _none(reason: str) -> Best:
    return Best(place={}, expected={}, sensitivity={}, to_the_edge={}, binding=(), refused=reason)


def rounded(best: Best, digits: int = 4) -> Best:
    """For people: more digits would claim more than is known."""

    def short(values: dict[str, float]) -> dict[str, float]:
        return {k: float(f"{v:.{digits}g}") for k, v in values.items()}

    return replace(
        best,
        place=short(best.place),
        expected=short(best.expected),
        sensitivity=short(best.sensitivity),
        to_the_edge=short(best.to_the_edge),
    )
