"""What a change would do: two free runs from the same past, one with the inputs held, one with them changed."""

import re
from dataclasses import dataclass

import numpy as np
from factorylm_schema.errors import BadRequestError, UnknownNameError

from factorylm_twin.arrays import Floats
from factorylm_twin.choosing import Part
from factorylm_twin.tanks import Tanks
from factorylm_twin.twin import REFUSED, OutputModel, Twin

_FIRST_HORIZON, _LONGEST_HORIZON = 600, 38_400
_STILL = 1e-3
_SETTLED = 0.02
_SHARE_OF_RECORD = 0.3
_CHANGE = re.compile(
    r"^(?P<name>.+?)\s*=\s*(?P<sign>[+-]?)\s*(?P<number>\d*\.?\d+(?:[eE][+-]?\d+)?)\s*(?P<percent>%?)$"
)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One output's answer; times in the twin's unit, None where refused."""

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


def changed_inputs(twin: Twin, changes: list[str], now: Floats) -> Floats:
    """The inputs after the changes: `A=+10%` of now, `A=-0.5` from now, `A=7` the value itself (also `A==-7`)."""
    names, after = twin.wanted.inputs, now.copy()
    for text in changes:
        found = _CHANGE.match(text.strip())
        absolute = re.match(r"^(?P<name>.+?)==(?P<number>.+)$", text.strip())
        name = (absolute or found or re.match(r"^(?P<name>[^=]*)", text))["name"].strip()  # type: ignore[index]
        if name not in names:
            raise UnknownNameError("input", name, names, hint="a change is written A=+10%, A=-0.5 or A=7")
        if absolute is None and found is None:
            raise BadRequestError(f"{text[:80]!r} is no change", hint="write A=+10%, A=-0.5, A=7 or A==-7")
        place = names.index(name)
        after[place] = _number(absolute["number"]) if absolute else _moved(found, now[place])  # type: ignore[arg-type]
    return after


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BadRequestError(f"{text[:40]!r} is no number", hint="write A==-7") from error


def _moved(found: re.Match[str], now: float) -> float:
    number = float(found["number"]) * (-1.0 if found["sign"] == "-" else 1.0)
    if found["percent"]:
        return now * (1.0 + number / 100.0) if found["sign"] else now * number / 100.0
    return now + number if found["sign"] else number


def what_if(twin: Twin, changes: list[str], past: Past | None = None, limits: Limits | None = None) -> Answer:
    """The answer for every output, or the refusal with its reason."""
    past = past or Past(u=twin.last_u, y=twin.last_y)
    now = past.u[-1]
    after = changed_inputs(twin, changes, now)
    names = twin.wanted.inputs
    moved = tuple((n, float(a), float(b)) for n, a, b in zip(names, now, after, strict=True) if a != b)
    outside = twin.envelope.outside(names, after)
    effects = tuple(
        _none(output, outside)
        if outside and output.grade != REFUSED
        else _effect(twin, output, j, past, after, limits or {})
        for j, output in enumerate(twin.outputs)
    )
    reasons = [e.reason for e in effects if e.grade == REFUSED]
    refused = len(reasons) == len(effects)
    return Answer(
        inputs=moved,
        in_envelope=not outside,
        refused=refused,
        reason=reasons[0] if reasons else "",
        effects=effects,
    )


def _none(output: OutputModel, reason: str) -> Effect:
    return Effect(output=output.name, grade=REFUSED, reason=reason)


def _effect(twin: Twin, output: OutputModel, column: int, past: Past, after: Floats, limits: Limits) -> Effect:
    now = past.u[-1]
    if output.grade == REFUSED or output.part is None:
        return _none(output, output.reason)
    for i, refusal in enumerate(output.input_refusals):
        if refusal and after[i] != now[i]:
            return _none(output, refusal)
    longest = max(_FIRST_HORIZON, twin.rows)
    held, moved = _runs(output.part, past, column, after, longest)
    if held is None or moved is None:
        return _none(output, _restless(twin, output, "keeps moving with these inputs held"))
    if _settling(moved - held) > _SHARE_OF_RECORD * twin.rows:
        return _none(output, _restless(twin, output, "would settle so slowly that the record cannot show where"))
    if _at_an_end(output.part, held) or _at_an_end(output.part, moved):
        return _none(output, f"outside_envelope: {output.name} would leave the range that the record covers")
    baseline, new = float(held[-1]), float(moved[-1])
    low, high = _change_band(output, past, column, after, new - baseline, longest)
    if new != baseline and low < 0.0 < high:
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
        settling=_settling(moved - held) * twin.step,
        crossed=_crossed(moved, limits.get(output.name), twin.step),
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


def _runs(part: Part, past: Past, column: int, after: Floats, longest: int) -> tuple[Floats | None, Floats | None]:
    """Both futures, long enough to come to rest; None for what never does."""
    for rows in sorted({_FIRST_HORIZON, min(4 * _FIRST_HORIZON, longest), min(longest, _LONGEST_HORIZON)}):
        held, moved = (_future(part, past, column, u, rows) for u in (past.u[-1], after))
        if _rests(held, moved) and _rests(moved, held):
            return held, moved
    return None, None


def _future(part: Part, past: Past, column: int, u: Floats, rows: int) -> Floats:
    drive = np.concatenate([past.u, np.repeat(u[None], rows, axis=0)])
    return part.run(drive, past.y[:, column])[len(past.u) :]


def _rests(run: Floats, other: Floats) -> bool:
    moved = max(float(np.ptp(run)), float(np.ptp(other)), abs(float(run[-1] - other[-1])), 1e-12)
    return float(np.ptp(run[-len(run) // 5 :])) <= _STILL * 5 * moved


def _change_band(
    output: OutputModel, past: Past, column: int, after: Floats, change: float, longest: int
) -> tuple[float, float]:
    """How far the change itself is known: by resampled gains, or by models that each lack a part of the record."""
    steps = after - past.u[-1]
    if len(output.gain_low):
        ends = np.array([output.gain_low * steps, output.gain_high * steps])
        return float(np.nansum(ends.min(axis=0))), float(np.nansum(ends.max(axis=0)))

    def told(model: Part) -> float:
        held, moved = _runs(model, past, column, after, longest)
        return float(moved[-1] - held[-1]) if held is not None and moved is not None else float("nan")

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
    """Rows until the change stays within 2 % of its end."""
    away = np.flatnonzero(np.abs(difference - difference[-1]) > _SETTLED * abs(float(difference[-1])))
    return float(away[-1] + 2) if len(away) else 0.0


def _crossed(run: Floats, limits: tuple[float, float] | None, step: float) -> tuple[tuple[str, float], ...]:
    if limits is None:
        return ()
    sides = (("low", run < limits[0]), ("high", run > limits[1]))
    return tuple((side, float(np.argmax(beyond) + 1) * step) for side, beyond in sides if beyond.any())
