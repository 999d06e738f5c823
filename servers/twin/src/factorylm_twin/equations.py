"""Grey-box templates: small named equations of a steady value, each behind one lag, fitted on the simulation error.

    pump       flow = sqrt(a n^2 - b) against a static head, pressure = a n^2 + b, power = a n^3 + b n
    fan        flow = a n, pressure = a n^2, power = a n^3
    exchanger  out = in - e (in - coolant), e of a counter-current exchanger with flow-dependent capacity ratio
    motor      temperature = a + b current^2, or ambient + a + b current^2
    conveyor   current = a + b speed, or a + b speed load

The bounds of the constants are the physics: nothing falls with the speed, and no stream cools below its coolant.
Where a template has several equations, the one whose free run is best is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from factorylm_twin.arrays import Floats

_MOST_CALLS = 60
_MOST_ROWS = 20_000
Curve = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Equation:
    """One steady law: from constants (all at least 0) and scaled inputs to the output."""

    template: str
    words: str
    inputs: tuple[str, ...]
    constants: int
    curve: Curve


def _effectiveness(c: Floats, u: Floats) -> Floats:
    """Transfer units per stream: c0 is UA over the product's capacity, c1 the coolant's capacity per unit of flow."""
    coolant = np.maximum(c[1] * u[:, 0], 1e-6)
    small, large = np.minimum(1.0, coolant), np.maximum(1.0, coolant)
    units, ratio = c[0] / small, np.minimum(small / large, 0.999)
    decay = np.exp(-units * (1.0 - ratio))
    share = (1.0 - decay) / (1.0 - ratio * decay) * small
    return np.asarray(u[:, 1] - np.minimum(share, 1.0) * (u[:, 1] - u[:, 2]))


EQUATIONS: dict[str, Equation] = {
    e.words.split(":")[0]: e
    for e in (
        Equation(
            template="pump",
            words="pump flow: against a static head",
            inputs=("speed",),
            constants=2,
            curve=lambda c, u: np.sqrt(np.maximum(c[0] * u[:, 0] ** 2 - c[1], 0.0)),
        ),
        Equation(
            template="pump",
            words="pump pressure: with the square of the speed",
            inputs=("speed",),
            constants=2,
            curve=lambda c, u: c[0] * u[:, 0] ** 2 + c[1],
        ),
        Equation(
            template="pump",
            words="pump power: with the cube of the speed, and friction",
            inputs=("speed",),
            constants=2,
            curve=lambda c, u: c[0] * u[:, 0] ** 3 + c[1] * u[:, 0],
        ),
        Equation(
            template="fan",
            words="fan flow: with the speed",
            inputs=("speed",),
            constants=1,
            curve=lambda c, u: c[0] * u[:, 0],
        ),
        Equation(
            template="fan",
            words="fan pressure: with the square of the speed",
            inputs=("speed",),
            constants=1,
            curve=lambda c, u: c[0] * u[:, 0] ** 2,
        ),
        Equation(
            template="fan",
            words="fan power: with the cube of the speed",
            inputs=("speed",),
            constants=1,
            curve=lambda c, u: c[0] * u[:, 0] ** 3,
        ),
        Equation(
            template="exchanger",
            words="exchanger outlet: by effectiveness and transfer units",
            inputs=("coolant flow", "inlet temperature", "coolant's inlet temperature"),
            constants=2,
            curve=_effectiveness,
        ),
        Equation(
            template="motor",
            words="motor temperature: with the square of the current",
            inputs=("current",),
            constants=2,
            curve=lambda c, u: c[0] + c[1] * u[:, 0] ** 2,
        ),
        Equation(
            template="motor",
            words="motor temperature above ambient: with the square of the current",
            inputs=("current", "ambient"),
            constants=2,
            curve=lambda c, u: u[:, 1] + c[0] + c[1] * u[:, 0] ** 2,
        ),
        Equation(
            template="conveyor",
            words="conveyor current: with the speed",
            inputs=("speed",),
            constants=2,
            curve=lambda c, u: c[0] + c[1] * u[:, 0],
        ),
        Equation(
            template="conveyor",
            words="conveyor current with load: with speed times load",
            inputs=("speed", "load"),
            constants=2,
            curve=lambda c, u: c[0] + c[1] * u[:, 0] * u[:, 1],
        ),
    )
}
TEMPLATES = tuple(dict.fromkeys(e.template for e in EQUATIONS.values()))


@dataclass(frozen=True, kw_only=True)
class Law:
    """A fitted equation; inputs and output are divided by their scales, the time constant is in rows.

    `wait` is how much of a row passes before an input acts: 1 where the output is read before the input is set, 0
    where it is set first. Without it a lag of a few rows is found too short or too long.
    """

    equation: str
    constants: Floats
    scales: Floats
    scale: float
    time: float
    wait: float
    low: float
    high: float

    def run(self, u: Floats, start: Floats) -> Floats:
        """Free run; what the start lies beside the equation fades with the lag."""
        found = self.scale * _answered(
            EQUATIONS[self.equation], self.constants, (self.time, self.wait), u / self.scales
        )
        given = len(start)
        near = slice(max(0, given - 5), given)
        after = np.arange(len(u)) - given + 1.0
        found = found + float(np.mean(start[near] - found[near])) * np.exp(-np.maximum(after, 0.0) / self.time)
        found = np.clip(found, self.low, self.high)
        found[:given] = start
        return np.asarray(found)


def equations_of(template: str, inputs: int) -> list[str]:
    """The template's equations that take so many inputs."""
    return [name for name, e in EQUATIONS.items() if e.template == template and len(e.inputs) == inputs]


def wanted_inputs(template: str) -> str:
    """What the template's inputs are, in order."""
    choices = dict.fromkeys(e.inputs for e in EQUATIONS.values() if e.template == template)
    return " or ".join(", ".join(names) for names in choices)


def fit_law(u: Floats, y: Floats, name: str, near: Law | None = None) -> Law:
    """Constants and time constant by bounded least squares on the simulation error."""
    from scipy.optimize import least_squares

    u, y = u[:_MOST_ROWS], y[:_MOST_ROWS]
    equation, known = EQUATIONS[name], np.isfinite(y)
    scale = float(np.nanmax(np.abs(y)))
    # temperatures keep one scale, so that their differences mean what they meant
    scales = np.array([scale if _is_temperature(n) else max(float(np.abs(c).max()), 1e-12) for n, c in _named(u, name)])

    def error(found: Floats) -> Floats:
        lag = (float(np.exp(found[-2])), float(found[-1]))
        return np.asarray((_answered(equation, found[:-2], lag, u / scales) - y / scale)[known])

    low = np.concatenate([np.zeros(equation.constants), [np.log(0.05), 0.0]])
    high = np.concatenate([np.full(equation.constants, np.inf), [np.log(len(u) / 2), 1.0]])
    tries = [
        least_squares(error, np.clip(begin, low + 1e-9, high - 1e-3), bounds=(low, high), max_nfev=_MOST_CALLS)
        for begin in _begins(equation, near)
    ]
    best = min(tries, key=lambda t: float(t.cost))
    bottom, top = float(np.nanmin(y)), float(np.nanmax(y))
    room = 0.5 * (top - bottom)
    return Law(
        equation=name,
        constants=np.asarray(best.x[:-2], dtype=np.float64),
        scales=scales,
        scale=scale,
        time=float(np.exp(best.x[-2])),
        wait=float(best.x[-1]),
        low=0.0 if 0.0 <= bottom < room else bottom - room,
        high=top + room,
    )


def _begins(equation: Equation, near: Law | None) -> list[Floats]:
    if near:
        return [np.concatenate([near.constants, [np.log(near.time), near.wait]])]
    ones = np.ones(equation.constants)
    return [np.concatenate([c * ones, [np.log(time), 0.5]]) for c in (0.5, 2.0) for time in (1.0, 20.0)]


def _named(u: Floats, name: str) -> list[tuple[str, Floats]]:
    return list(zip(EQUATIONS[name].inputs, u.T, strict=True))


def _is_temperature(name: str) -> bool:
    return "temperature" in name or name == "ambient"


def _answered(equation: Equation, constants: Floats, lag: tuple[float, float], scaled: Floats) -> Floats:
    from scipy.signal import lfilter

    time, wait = lag
    steady, keep = equation.curve(constants, scaled), float(np.exp(-1.0 / time))
    at_once = (1.0 - wait) * (1.0 - keep)
    begin = [(1.0 - at_once) * steady[0]]
    return np.asarray(lfilter([at_once, wait * (1.0 - keep)], [1.0, -keep], steady, zi=begin)[0])
