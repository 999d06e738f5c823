"""Closed loop records: the plant shows itself only where the operator moves the set-point (or the input, by hand).

A controller makes the input a function of past outputs, so that a regression gives the controller back: stable under
bootstrap, and wrong. Four rules must hold before a gain is told: external moves, their strength in input and output,
two estimates that agree, and a sign that holds in resampled blocks.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from factorylm_twin.arrays import Floats
from factorylm_twin.lag import Lag, LagShape
from factorylm_twin.narx import Narx, Shape, fit_narx, gain_of
from factorylm_twin.tables import Record, filled

_UNSETTLED, _UNSETTLED_BY_HAND = 150, 40
_FEWEST_STRETCHES = 4
_STRENGTH = 3.0
_AGREE = 1.5
_SIGN = 0.95
_SAMPLES = 300
_LONGEST_DELAY = 10
_LONGEST_TIME = 2_000
EXPERIMENT = "move the set-point by +-5 % four times, hold each level for 5 time constants"


@dataclass(frozen=True, kw_only=True)
class Gain:
    """The long-run change of an output per unit of an input, or why it is not told."""

    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    time: float = 1.0
    delay: int = 1
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    z: float
    u: float
    y: float


def gain_by_moves(record: Record, column: int, output: int) -> Gain:
    """The gain of one input on one output by the four rules."""
    u, y = filled(record.u)[:, column], filled(record.y)[:, output]
    name, target = record.wanted.inputs[column], record.wanted.outputs[output]
    stretches = _stretches(record, u, y)
    levels = {round(s.z, 9) for s in stretches}
    repeated = sum(sum(abs(s.z - level) < 1e-6 for s in stretches) >= 2 for level in levels)
    if len(stretches) < _FEWEST_STRETCHES or len(levels) < 2 or (repeated < 2 and len(stretches) < 6):
        held = f"{len(stretches)} settled stretches on {len(levels)} levels of the set-point"
        return Gain(refused=f"not_excited: {held} ({name} by hand where manual); {EXPERIMENT}")
    z = np.array([s.z for s in stretches])
    du, strength = _slope(z, np.array([s.u for s in stretches]))
    dy, seen = _slope(z, np.array([s.y for s in stretches]))
    needed = _needed(len(stretches))
    if strength < needed:
        return Gain(
            refused=f"weak_moves: the set-point moves shift {name} by too little against its noise "
            f"(t = {strength:.1f}, {needed:.1f} needed); {EXPERIMENT}"
        )
    if seen < needed:
        return Gain(
            refused=f"no_effect_found: {target} does not follow the moves (t = {seen:.1f}, {needed:.1f} needed)"
        )
    return _agreed(u, y, dy / du, name, 2.0 / min(strength, seen))


def _needed(stretches: int) -> float:
    """The strength asked of t: as unlikely by chance as 3.2 standard errors, however few the stretches."""
    from scipy.special import ndtr, stdtrit

    return float(stdtrit(max(stretches - 2, 1), ndtr(_STRENGTH)))


def _agreed(u: Floats, y: Floats, by_levels: float, name: str, unsure: float) -> Gain:
    model = _regression(u[:, None], y)
    by_model = gain_of(model, 0)
    ratio = by_model / by_levels if by_levels else 0.0
    if not 1 / _AGREE <= ratio <= _AGREE:
        return Gain(
            refused=f"estimates_disagree: settled levels say {by_levels:.3g}, the regression {by_model:.3g} "
            f"per unit of {name}; {EXPERIMENT}"
        )
    value = float(np.sign(by_levels) * np.sqrt(by_levels * by_model))
    sampled = _resampled(u, y, model.shape)
    if np.mean(np.sign(sampled) == np.sign(value)) < _SIGN:
        return Gain(refused=f"sign_unsure: resampled blocks disagree on the sign of the effect of {name}; {EXPERIMENT}")
    low, high = np.quantile(sampled, [0.05, 0.95]) * (value / by_model)
    return Gain(
        value=value,
        low=min(float(low), by_levels, by_model, value - unsure * abs(value)),
        high=max(float(high), by_levels, by_model, value + unsure * abs(value)),
        time=_time_constant(model),
        delay=model.shape.delays[0] - 1,
    )


def lag_of(record: Record, gains: list[Gain], output: int) -> Lag:
    """The told gains as a model that keeps the offset it starts with: disturbances stay where they are."""
    u, y = filled(record.u), filled(record.y)[:, output]
    values = np.array([[0.0 if g.refused else g.value] for g in gains])
    middle = u.mean(axis=0)
    room = 0.5 * float(np.ptp(y))
    return Lag(
        shape=LagShape(delays=tuple(g.delay for g in gains), degree=1, order=1),
        gains=values,
        times=np.array([g.time for g in gains]),
        level=float(y.mean()),
        middle=middle,
        spread=np.ones(len(middle)),
        low=float(y.min()) - room,
        high=float(y.max()) + room,
        holds_offset=True,
    )


def passing(model: Lag) -> Lag:
    """The same model, where what the start lies beside it fades with the lag."""
    return replace(model, holds_offset=False)


def _stretches(record: Record, u: Floats, y: Floats) -> list[_Stretch]:
    """Constant stretches of what was moved from outside, without their unsettled beginnings, of the usual mode."""
    automatic = record.automatic
    z = np.where(automatic, filled(record.setpoint[:, None])[:, 0], u)
    breaks = np.flatnonzero((np.diff(z) != 0) | (np.diff(automatic.astype(np.int8)) != 0)) + 1
    edges = [0, *breaks.tolist(), len(z)]
    found: dict[bool, list[_Stretch]] = {True: [], False: []}
    for begin, end in pairwise(edges):
        by_hand = not automatic[begin]
        drop = min(_UNSETTLED_BY_HAND if by_hand else _UNSETTLED, int(0.4 * (end - begin)))
        if end - begin - drop >= 10:
            kept = slice(begin + drop, end)
            found[not by_hand].append(_Stretch(z=float(z[begin]), u=float(u[kept].mean()), y=float(y[kept].mean())))
    return max(found.values(), key=len)


def _slope(z: Floats, values: Floats) -> tuple[float, float]:
    """Slope over the level, and how many standard errors it is; two levels give the usual t test."""
    centred = z - z.mean()
    slope = float(centred @ values / (centred @ centred))
    rest = values - values.mean() - slope * centred
    error = np.sqrt(float(rest @ rest) / max(len(z) - 2, 1) / float(centred @ centred))
    return slope, abs(slope) / error if error > 1e-12 * abs(slope) else float("inf")


def _regression(u: Floats, y: Floats) -> Narx:
    """Two lags each (the second takes up a slow disturbance), with the dead time that explains the next row best."""
    shapes = [Shape(na=2, nb=2, delays=(d,), degree=1, ridge=0.0) for d in range(1, _LONGEST_DELAY + 1)]
    return fit_narx(u, y, min(shapes, key=lambda s: _one_step(u[:, 0], y, s.delays[0])))


def _one_step(u: Floats, y: Floats, delay: int) -> float:
    terms, target = _rows(u, y, delay)
    return float(np.mean((target - terms @ np.linalg.lstsq(terms, target, rcond=None)[0]) ** 2))


def _rows(u: Floats, y: Floats, delay: int) -> tuple[Floats, Floats]:
    """The regression's rows; all dead times are compared on the same ones."""
    first = np.arange(_LONGEST_DELAY + 1, len(y))
    lags = [y[first - 1], y[first - 2], u[first - delay], u[first - delay - 1]]
    return np.column_stack([*lags, np.ones(len(first))]), y[first]


def _time_constant(model: Narx) -> float:
    """Rows after the dead time until 63 % of a step is reached."""
    a1, a2, b1, b2 = (model.weights[:-1] / model.spread).tolist()
    end, now, before = gain_of(model, 0), 0.0, 0.0
    for row in range(_LONGEST_TIME):
        now, before = a1 * now + a2 * before + b1 + (b2 if row else 0.0), now
        if now / end >= 1.0 - np.exp(-1.0):
            return row + 1.0
    return float(_LONGEST_TIME)


def _resampled(u: Floats, y: Floats, shape: Shape) -> Floats:
    """Gains from blocks drawn with replacement."""
    terms, target = _rows(u, y, shape.delays[0])
    size = int(2 * np.sqrt(len(target)))
    blocks = [slice(b, b + size) for b in range(0, len(target) - size + 1, size)]
    grams = np.array([terms[b].T @ terms[b] for b in blocks])
    rights = np.array([terms[b].T @ target[b] for b in blocks])
    rng = np.random.default_rng(1)
    found = np.empty(_SAMPLES)
    for n in range(_SAMPLES):
        drawn = rng.integers(0, len(blocks), len(blocks))
        a1, a2, b1, b2, _ = np.linalg.lstsq(grams[drawn].sum(axis=0), rights[drawn].sum(axis=0), rcond=None)[0]
        found[n] = (b1 + b2) / (1.0 - a1 - a2)
    return found
