"""Which place of the inputs is best: a search inside the envelope, with the limits kept band and all."""

from dataclasses import dataclass, replace

import numpy as np
from factorylm_schema.errors import BadRequestError, UnknownNameError

from factorylm_twin.arrays import Floats
from factorylm_twin.changes import Course
from factorylm_twin.twin import REFUSED, OutputModel, Twin
from factorylm_twin.whatif import Limits, Past, Question

_SCATTERED = 24
_STRIDES = (0.25, 0.125, 0.06, 0.03, 0.015)
_SETTLING_ROWS = 600
_NUDGE = 0.02


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


def best_place(
    twin: Twin, goal: Goal, moved: tuple[str, ...], limits: Limits, past: Past | None = None
) -> Best:
    """Search the envelope: scattered places first, then ever smaller strides around the best of them."""
    if refused := _refusal(twin, goal, moved, limits):
        return _none(refused)
    past = past or Past(u=twin.last_u, y=twin.last_y)
    search = _Search(twin=twin, goal=goal, limits=limits, past=past)
    columns = [twin.wanted.inputs.index(name) for name in moved]
    low, high = (_ends(twin, limits, past, columns, side) for side in (0, 1))
    if (low > high).any():
        return _none("infeasible: the limits of an input lie outside what was seen")
    rng = np.random.default_rng(1)
    best = search.judged(past.u[-1])
    for share in rng.random((_SCATTERED, len(columns))):
        best = min(best, search.judged(_with(past.u[-1], columns, low + share * (high - low))), key=lambda j: j.badness)
    for stride in _STRIDES:
        best = _walked(search, best, columns, low, high, stride)
    if not np.isfinite(best.badness):
        return _none("infeasible: no place inside what was seen keeps all limits with their band")
    return _told(search, best, columns, low, high)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    place: Floats
    badness: float
    ends: dict[str, float]
    close: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Search:
    twin: Twin
    goal: Goal
    limits: Limits
    past: Past

    def judged(self, place: Floats) -> _Judged:
        """Steady outputs at this place; infinitely bad where a limit or the envelope is broken."""
        if self.twin.envelope.outside(self.twin.wanted.inputs, place):
            return _Judged(place=place, badness=float("inf"), ends={}, close=())
        ends = {o.name: self.end(o, j, place) for j, o in enumerate(self.twin.outputs) if self._counts(o)}
        close, kept = [], True
        for output in self.twin.outputs:
            if output.name in ends and output.name in self.limits:
                (low, high), half = self.limits[output.name], float(output.band[-1])
                kept &= low + half <= ends[output.name] <= high - half
                near = 0.05 * half + 1e-9
                close += [output.name] if min(ends[output.name] - half - low, high - half - ends[output.name]) < near else []
        badness = self.goal.badness(ends[self.goal.output]) if kept else float("inf")
        return _Judged(place=place, badness=badness, ends=ends, close=tuple(close))

    def end(self, output: OutputModel, column: int, place: Floats) -> float:
        """The steady value there."""
        course = Course(rows=(0,), places=place[None])
        asked = Question(past=self.past, course=course, limits={}, total_rows=0)
        assert output.part is not None
        return float(asked.future(output.part, column, course, _SETTLING_ROWS)[-1])

    def _counts(self, output: OutputModel) -> bool:
        return output.grade != REFUSED and (output.name == self.goal.output or output.name in self.limits)


def _walked(search: _Search, best: _Judged, columns: list[int], low: Floats, high: Floats, stride: float) -> _Judged:
    better = True
    while better:
        better = False
        for n, column in enumerate(columns):
            for side in (-1.0, 1.0):
                place = best.place.copy()
                place[column] = np.clip(place[column] + side * stride * (high[n] - low[n]), low[n], high[n])
                found = search.judged(place)
                if found.badness < best.badness - 1e-12 * abs(best.badness):
                    best, better = found, True
    return best


def _told(search: _Search, best: _Judged, columns: list[int], low: Floats, high: Floats) -> Best:
    twin = search.twin
    names = [twin.wanted.inputs[c] for c in columns]
    at = next(j for j, o in enumerate(twin.outputs) if o.name == search.goal.output)
    sensitivity, edge = {}, {}
    for n, (name, column) in enumerate(zip(names, columns, strict=True)):
        nudge = _NUDGE * (high[n] - low[n]) or 1e-9
        ends = [search.end(twin.outputs[at], at, best.place + side * nudge * _unit(column, best.place)) for side in (-1, 1)]
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
    unknown = [r for o in needed for n, r in zip(twin.wanted.inputs, o.input_refusals, strict=False) if r and n in moved]
    return refused or next(iter(unknown), "")


def _ends(twin: Twin, limits: Limits, past: Past, columns: list[int], side: int) -> Floats:
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
