"""What a change would do: two free runs from the same past, one with the inputs held, one with them changed."""

from dataclasses import dataclass

import numpy as np

from factorylm_twin.arrays import Floats
from factorylm_twin.changes import Course, course_of, held
from factorylm_twin.choosing import Part
from factorylm_twin.tanks import Tanks
from factorylm_twin.twin import REFUSED, OutputModel, Twin

_FIRST_HORIZON, _LONGEST_HORIZON = 600, 38_400
_STILL = 1e-3
_SETTLED = 0.02
_SHARE_OF_RECORD = 0.3


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One output's answer; times in the twin's unit, None where refused.

    `totals` are output times time over the asked time, inputs held and changed: kW over seconds are kJ.
    """

    output: str
    baseline: float | None = None
    new: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    settling: float | None = None
    crossed: tuple[tuple[str, float], ...] = ()
    totals: tuple[float, float] | None = None
    grade: str = REFUSED
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Past:
    """The newest rows, without gaps."""

    u: Floats
    y: Floats


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said about one change."""

    inputs: tuple[tuple[str, float, float], ...]
    in_envelope: bool
    refused: bool
    reason: str
    effects: tuple[Effect, ...]


Limits = dict[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of each output."""

    past: Past
    course: Course
    limits: Limits
    total_rows: int

    @property
    def now(self) -> Floats:
        """The inputs before any change."""
        return np.asarray(self.past.u[-1])

    def future(self, part: Part, column: int, course: Course, rows: int) -> Floats:
        """The coming rows of one output."""
        drive = np.concatenate([self.past.u, course.over(rows)])
        return part.run(drive, self.past.y[:, column])[len(self.past.u) :]


def what_if(
    twin: Twin, changes: list[str], past: Past | None = None, limits: Limits | None = None, over: float = 0.0
) -> Answer:
    """The answer for every output, or the refusal with its reason; `over` is the time for which totals are wanted."""
    past = past or Past(u=twin.last_u, y=twin.last_y)
    course = course_of(twin, changes, past.u[-1])
    question = Question(past=past, course=course, limits=limits or {}, total_rows=round(over / twin.step))
    names = twin.wanted.inputs
    inputs = tuple((n, float(a), float(b)) for n, a, b in zip(names, past.u[-1], course.end, strict=True) if a != b)
    places = (twin.envelope.outside(names, place) for place in course.places if not np.array_equal(place, past.u[-1]))
    outside = next((reason for reason in places if reason), "")
    effects = tuple(
        _none(output, outside) if outside and output.grade != REFUSED else _effect(twin, output, j, question)
        for j, output in enumerate(twin.outputs)
    )
    reasons = [e.reason for e in effects if e.grade == REFUSED]
    return Answer(
        inputs=inputs,
        in_envelope=not outside,
        refused=len(reasons) == len(effects),
        reason=reasons[0] if reasons else "",
        effects=effects,
    )


def _none(output: OutputModel, reason: str) -> Effect:
    return Effect(output=output.name, grade=REFUSED, reason=reason)


def _effect(twin: Twin, output: OutputModel, column: int, asked: Question) -> Effect:
    now = asked.now
    if output.grade == REFUSED or output.part is None:
        return _none(output, output.reason)
    for i, refusal in enumerate(output.input_refusals):
        if refusal and (asked.course.places[:, i] != now[i]).any():
            return _none(output, refusal)
    longest = max(_FIRST_HORIZON, twin.rows)
    still, moved = _runs(output.part, column, asked, longest)
    if still is None or moved is None:
        return _none(output, _restless(twin, output, "keeps moving with these inputs held"))
    if _settling(moved - still) - asked.course.rows[-1] > _SHARE_OF_RECORD * twin.rows:
        return _none(output, _restless(twin, output, "would settle so slowly that the record cannot show where"))
    if _at_an_end(output.part, still) or _at_an_end(output.part, moved):
        return _none(output, f"outside_envelope: {output.name} would leave the range that the record covers")
    baseline, new = float(still[-1]), float(moved[-1])
    low, high = _change_band(output, column, asked, new - baseline, longest)
    if len(asked.course.rows) == 1 and new != baseline and low < 0.0 < high:
        return _none(
            output, f"sign_unsure: models of parts of the record disagree whether {output.name} rises or falls"
        )
    half = max(float(output.band_at(np.array([float(len(moved))]))[0]), (high - low) / 2)
    return Effect(
        output=output.name,
        baseline=baseline,
        new=new,
        change=new - baseline,
        low=new - half,
        high=new + half,
        change_low=low,
        change_high=high,
        settling=_settling(moved - still) * twin.step,
        crossed=_crossed(moved, asked.limits.get(output.name), twin.step),
        totals=_totals(output.part, column, asked, twin.step),
        grade=output.grade,
    )


def _restless(twin: Twin, output: OutputModel, what: str) -> str:
    hours = f"{twin.rows * twin.step:.4g} {twin.time_unit}"
    return (
        f"never_settles: {output.name} {what} (it has {hours}); a level or a count that adds up has no new steady value"
    )


def _at_an_end(part: Part, run: Floats) -> bool:
    """Stopped by the model's bounds, which lie beyond what was seen; an empty vessel or a flow of 0 is no such end."""
    return bool(run[-1] >= part.high or (run[-1] <= part.low and part.low != 0.0)) and not isinstance(part, Tanks)


def _runs(part: Part, column: int, asked: Question, longest: int) -> tuple[Floats | None, Floats | None]:
    """Both futures, long enough to come to rest; None for what never does."""
    last = asked.course.rows[-1]
    for rows in sorted({_FIRST_HORIZON, min(4 * _FIRST_HORIZON, longest), min(longest, _LONGEST_HORIZON)}):
        still = asked.future(part, column, held(asked.now), last + rows)
        moved = asked.future(part, column, asked.course, last + rows)
        if _rests(still, moved, last) and _rests(moved, still, last):
            return still, moved
    return None, None


def _totals(part: Part, column: int, asked: Question, step: float) -> tuple[float, float] | None:
    if not asked.total_rows:
        return None
    runs = (asked.future(part, column, course, asked.total_rows) for course in (held(asked.now), asked.course))
    still, moved = (float(run.sum()) * step for run in runs)
    return still, moved


def _rests(run: Floats, other: Floats, last: int) -> bool:
    moved = max(float(np.ptp(run)), float(np.ptp(other)), abs(float(run[-1] - other[-1])), 1e-12)
    return float(np.ptp(run[-(len(run) - last) // 5 :])) <= _STILL * 5 * moved


def _change_band(output: OutputModel, column: int, asked: Question, change: float, longest: int) -> tuple[float, float]:
    """How far the change itself is known: by resampled gains, or by models that each lack a part of the record."""
    steps = asked.course.end - asked.now
    if len(output.gain_low):
        ends = np.array([output.gain_low * steps, output.gain_high * steps])
        return float(np.nansum(ends.min(axis=0))), float(np.nansum(ends.max(axis=0)))

    def told(model: Part) -> float:
        still, moved = _runs(model, column, asked, longest)
        return float(moved[-1] - still[-1]) if still is not None and moved is not None else float("nan")

    found = np.array([told(sibling) for sibling in output.siblings])
    apart = [abs(told(rival) - change) for rival in output.rivals]
    # the blocks are a grouped jackknife: its standard error is sqrt(g - 1) times the spread of the groups' answers
    found = found if np.isfinite(found).sum() < len(found) - 1 else found[np.isfinite(found)]  # one may go astray
    error = np.sqrt(len(found) - 1) * float(np.std(found)) if np.isfinite(found).all() else np.inf
    apart += np.abs(found - change).tolist()
    half = max(_t_90(len(found) - 1) * error, *(a for a in apart if np.isfinite(a)))
    return change - half, change + half


def _t_90(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.95))


def _settling(difference: Floats) -> float:
    """Rows until the change stays at its end, within 2 % of the largest way it went."""
    away = np.flatnonzero(np.abs(difference - difference[-1]) > _SETTLED * float(np.abs(difference).max()))
    return float(away[-1] + 2) if len(away) else 0.0


def _crossed(run: Floats, limits: tuple[float, float] | None, step: float) -> tuple[tuple[str, float], ...]:
    if limits is None:
        return ()
    sides = (("low", run < limits[0]), ("high", run > limits[1]))
    return tuple((side, float(np.argmax(beyond) + 1) * step) for side, beyond in sides if beyond.any())
