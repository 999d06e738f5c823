"""Twins of invented plants beside the plants' own equations: signs, gains, band coverage and refusals.

    ./run bench twin-plants                every kind of plant, 8 seeds each
    ./run bench twin-plants --seeds 40     more of each
    ./run bench twin-plants --only lag     one kind

Each plant is drawn at random: gain of either sign, time constants, dead time, how it is moved, noise, slow
disturbances, units. A twin learns one record of it; a second record, moved anew, says how often the 90 % band covers
what is measured; the plant's equation says whether the what-if has the sign, the size and the band right.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from factorylm_twin import learn, what_if
from factorylm_twin.arrays import Floats
from factorylm_twin.tables import Record, Wanted, record_of
from factorylm_twin.twin import REFUSED, simulated

START = 50
ROWS = 2400


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A drawn plant: its record, a second one, and the steady change of `y` per change of `u` from where it is."""

    first: Record
    second: Record
    steady: Callable[[Floats, Floats], float] | None  # from inputs to inputs; None where a refusal is due


@dataclass
class Count:
    """What was found over the seeds of one kind."""

    answered: int = 0
    refused: int = 0
    wrong_sign: int = 0
    errors: list[float] = field(default_factory=list)
    inside: int = 0
    covered: list[float] = field(default_factory=list)
    grades: str = ""
    reasons: list[str] = field(default_factory=list)


def moved(rng: np.random.Generator, rows: int, kind: int, hold: int) -> Floats:
    """How an input moves between 0 and 1: levels held, two levels, ramps, or levels held for uneven times."""
    levels = rng.uniform(0, 1, rows // hold + 2)
    if kind == 0:
        return np.repeat(levels, hold)[:rows]
    if kind == 1:
        return np.repeat((levels > 0.5).astype(float), hold)[:rows]
    if kind == 2:
        return np.interp(np.arange(rows), np.arange(len(levels)) * hold, levels)
    lengths = rng.integers(hold // 2 + 1, 2 * hold + 2, rows // hold * 4 + 4)
    return np.repeat(rng.uniform(0, 1, len(lengths)), lengths)[:rows]


def disturbed(rng: np.random.Generator, rows: int, size: float, pole: float) -> Floats:
    """White noise, or (with a pole) noise on a slow wander."""
    noise = rng.normal(0, 1, rows)
    if not pole:
        return size * noise
    wander = np.zeros(rows)
    for k in range(1, rows):
        wander[k] = pole * wander[k - 1] + rng.normal(0, np.sqrt(1 - pole**2))
    return size * (0.7 * noise + 0.7 * wander)


def lagged(values: Floats, times: Sequence[float], delay: int) -> Floats:
    """A row of first-order lags after a dead time."""
    out = np.concatenate([np.full(delay, values[0]), values[: len(values) - delay]]) if delay else values.copy()
    for time in times:
        keep, state, source = exp(-1 / time), out[0], out
        out = np.empty(len(source))
        for k in range(len(source)):
            out[k] = state
            state = keep * state + (1 - keep) * source[k]
    return out


def record(columns: dict[str, Floats], inputs: tuple[str, ...], **more: str) -> Record:
    """The columns as a CSV would bring them."""
    texts = {n: [f"{v:.7g}" for v in values] for n, values in columns.items()}
    return record_of(texts, Wanted(inputs=inputs, outputs=("y",), **more), "drawn")


def open_loop(rng: np.random.Generator, orders: int, delays: int, inputs: int, bent: float) -> Plant:
    """Lags in a row per input, a gain that may bend, a dead time."""
    times = [[float(rng.uniform(2, 20)) for _ in range(orders)] for _ in range(inputs)]
    waits = [int(rng.integers(0, delays + 1)) for _ in range(inputs)]
    gains = [float(rng.choice([-1, 1]) * 10 ** rng.uniform(-0.3, 0.3)) for _ in range(inputs)]
    bends = [float(rng.uniform(-0.4, 0.4)) * bent for _ in range(inputs)]
    scales = [(float(10 ** rng.uniform(-2, 3)), float(rng.uniform(-2, 5))) for _ in range(inputs)]
    size, offset = float(10 ** rng.uniform(-2, 3)), float(rng.uniform(-3, 10))
    noise = float(rng.uniform(0.02, 0.12)) * 0.3 * max(abs(g) for g in gains)
    pole = float(rng.choice([0.0, rng.uniform(0.9, 0.99)]))
    ways = [(int(rng.integers(4)), max(3, int(sum(times[i]) * rng.uniform(1.5, 5)))) for i in range(inputs)]

    def curve(x: float | Floats, i: int) -> float | Floats:
        return gains[i] * (x + bends[i] * x * x)

    def made() -> Record:
        xs = [moved(rng, ROWS, *ways[i]) for i in range(inputs)]
        y = sum(lagged(np.asarray(curve(x, i)), times[i], waits[i]) for i, x in enumerate(xs))
        y = np.asarray(y) + disturbed(rng, ROWS, noise, pole)
        columns = {f"u{i}": scales[i][0] * (x + scales[i][1]) for i, x in enumerate(xs)}
        return record(columns | {"y": size * (y + offset)}, tuple(columns))

    def steady(now: Floats, then: Floats) -> float:
        ends = ([v / scales[i][0] - scales[i][1] for i, v in enumerate(side)] for side in (now, then))
        before, after = (sum(float(curve(x, i)) for i, x in enumerate(side)) for side in ends)
        return size * (after - before)

    return Plant(first=made(), second=made(), steady=steady)


def closed_loop(
    rng: np.random.Generator,
    moves: float,
    *,
    named: bool = True,
    orders: int = 1,
    hand: bool = False,
    rounded: bool = False,
) -> Plant:
    """The same under a PI controller whose set-point is held, or moved by `moves` times the usual disturbance."""
    gain = float(rng.choice([-1, 1]) * 10 ** rng.uniform(-0.5, 1))
    times, wait = [float(rng.uniform(3, 12)) for _ in range(orders)], int(rng.integers(0, 3))
    strength = 0.4 / gain / (1 + wait)
    reset = strength / (2.5 * sum(times))
    pole, wide = float(rng.uniform(0.95, 0.99)), float(rng.uniform(0.05, 0.2))
    hold, base = int(rng.uniform(25, 50) * sum(times)), float(rng.uniform(-5, 20))

    def made() -> Record:
        rows = 4800
        sp = base + moves * wide * np.repeat(rng.choice([-1.0, 0.0, 1.0], rows // hold + 1), hold)[:rows]
        by_hand = np.repeat(rng.choice([0.0, 1.0], rows // hold + 1), hold)[:rows] / abs(gain)
        u, y, states, wander, total = np.zeros(rows), np.zeros(rows), [0.0] * orders, 0.0, base / gain
        states = [base] * orders
        for k in range(rows):
            wander = pole * wander + rng.normal(0, wide * np.sqrt(1 - pole**2))
            y[k] = states[-1] + wander + rng.normal(0, 0.1 * wide)
            error = sp[k] - y[k]
            total += reset * error
            u[k] = base / gain + by_hand[k] if hand else total + strength * error
            if rounded:
                grain = 0.3 * wide / abs(gain)
                u[k] = round(u[k] / grain) * grain
            drive = gain * u[max(0, k - wait)]
            for n, time in enumerate(times):
                drive, states[n] = states[n], states[n] + (1 - exp(-1 / time)) * (drive - states[n])
        columns = {"u": u, "y": y, "sp": sp, "mode": np.full(rows, 0.0 if hand else 1.0)}
        return record(columns, ("u",), **({"setpoint": "sp", "mode": "mode"} if named else {}))

    due = moves >= 1 or hand
    return Plant(first=made(), second=made(), steady=(lambda a, b: gain * float(b[0] - a[0])) if due else None)


def level(rng: np.random.Generator, *, held: bool) -> Plant:
    """A vessel that integrates; its pump is moved by hand around balance, or by a level controller."""
    area, balance = float(rng.uniform(50, 300)), float(rng.uniform(2, 10))
    sign = float(rng.choice([-1, 1]))

    def made() -> Record:
        u, y, here, wander, total = np.zeros(ROWS), np.zeros(ROWS), 5.0, 0.0, 0.0
        hand = np.repeat(rng.uniform(-1, 1, ROWS // 20 + 1), 20)[:ROWS]
        for k in range(ROWS):
            wander = 0.98 * wander + rng.normal(0, 0.05)
            y[k] = here + rng.normal(0, 0.01)
            error = 5.0 - y[k]
            total += 0.02 * error
            u[k] = balance + sign * (3 * error + total if held else hand[k] + 0.5 * round(5.0 - here))
            here += (sign * (u[k] - balance) + (wander if held else 0.2 * wander)) / area
        return record({"u": u, "y": y}, ("u",))

    return Plant(first=made(), second=made(), steady=None)


KINDS: dict[str, Callable[[np.random.Generator], Plant]] = {
    "lag": lambda rng: open_loop(rng, 1, 0, 1, 0),
    "two lags": lambda rng: open_loop(rng, 2, 0, 1, 0),
    "dead time": lambda rng: open_loop(rng, 1, 12, 1, 0),
    "two inputs": lambda rng: open_loop(rng, 1, 5, 2, 0),
    "three inputs": lambda rng: open_loop(rng, 1, 5, 3, 0),
    "bent gain": lambda rng: open_loop(rng, 1, 3, 1, 1),
    "loop held": lambda rng: closed_loop(rng, 0),
    "loop held, unnamed": lambda rng: closed_loop(rng, 0, named=False),
    "loop held, rounded, unnamed": lambda rng: closed_loop(rng, 0, named=False, rounded=True),
    "loop small moves": lambda rng: closed_loop(rng, 0.1),
    "loop moved": lambda rng: closed_loop(rng, 5),
    "loop moved, unnamed": lambda rng: closed_loop(rng, 5, named=False),
    "loop of two lags moved": lambda rng: closed_loop(rng, 5, orders=2),
    "loop by hand": lambda rng: closed_loop(rng, 5, hand=True),
    "level by hand": lambda rng: level(rng, held=False),
    "level held": lambda rng: level(rng, held=True),
}

REFUSAL_DUE = {kind for kind in KINDS if "held" in kind or "level" in kind or "small" in kind}


def judge(count: Count, plant: Plant) -> None:
    """One plant: the fit, the change to the middle of the envelope, and the second record."""
    twin = learn(plant.first)
    count.grades += twin.grade[0] if twin.grade != REFUSED else "-"
    now = twin.last_u[-1]
    place = 0
    aims = twin.envelope.low + np.array([0.25, 0.75])[:, None] * (twin.envelope.high - twin.envelope.low)
    far = int(np.argmax(np.abs(aims[:, place] - now[place])))
    target = float(aims[far, place])
    answer = what_if(twin, [f"{twin.wanted.inputs[place]}=={target!r}"])
    effect = answer.effects[0]
    then = now.copy()
    then[place] = target
    if effect.change is None or effect.low is None or effect.high is None or effect.new is None:
        count.refused += 1
        count.reasons.append(effect.reason[:44])
    else:
        count.answered += 1
        if plant.steady is not None:
            true = plant.steady(now, then)
            count.wrong_sign += effect.change * true < 0
            count.errors.append(abs(effect.change / true - 1))
            assert effect.change_low is not None
            assert effect.change_high is not None
            count.inside += effect.change_low <= true <= effect.change_high
    if twin.grade != REFUSED:
        [(_, low, high)] = simulated(twin, plant.second.u, plant.second.y, START)
        y = plant.second.y[START:, 0]
        count.covered.append(100 * float(np.mean((low[START:] <= y) & (y <= high[START:]))))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and the figures; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="plants of each kind; default: %(default)s")
    parser.add_argument("--first", type=int, default=1, help="the first seed; default: %(default)s")
    parser.add_argument("--only", choices=list(KINDS), action="append")
    options = parser.parse_args(argv)
    counts: dict[str, Count] = {}
    print(f"# {'plant':<28} answered  wrong sign  gain error median / 95 %  in its band  coverage  grades")
    for kind in options.only or KINDS:
        count = counts[kind] = Count()
        for seed in range(options.first, options.first + options.seeds):
            judge(count, KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind)])))
        errors = np.array(count.errors) if count.errors else np.array([np.nan])
        covered = (
            f"{np.mean(count.covered):5.1f} ({min(count.covered):.0f}-{max(count.covered):.0f})"
            if count.covered
            else "-"
        )
        print(
            f"# {kind:<28} {count.answered:>3} of {options.seeds:<3} {count.wrong_sign:>8}  "
            f"{100 * np.median(errors):>12.1f} / {100 * np.quantile(errors, 0.95):>6.1f} %  "
            f"{count.inside:>4} of {len(count.errors):<3}  {covered:<18} {count.grades}",
            flush=True,
        )
        for reason in sorted(set(count.reasons)):
            print(f"#      {count.reasons.count(reason)} x {reason}", file=sys.stderr)
    return int(not all(bounds_kept(counts)))


def bounds_kept(counts: dict[str, Count]) -> list[bool]:
    """The promised figures over all kinds."""
    all_of = list(counts.values())
    covered = [c for count in all_of for c in count.covered]
    due = [count for kind, count in counts.items() if kind in REFUSAL_DUE]
    kept = [figure("wrong signs of what-if answers", sum(c.wrong_sign for c in all_of), most=0)]
    if due:
        kept.append(figure("answers where a refusal is due", sum(c.answered for c in due), most=0))
    if covered:
        kept.append(figure("mean coverage of the 90 % band on second records, %", float(np.mean(covered)), least=85))
        kept.append(figure("mean coverage of the 90 % band on second records, %", float(np.mean(covered)), most=95))
    return kept


def figure(what: str, measured: float, *, most: float = float("inf"), least: float = float("-inf")) -> bool:
    """Print one figure with its bound; whether it is kept."""
    bound = f"at most {most:g}" if most < float("inf") else f"at least {least:g}"
    kept = least <= measured <= most
    print(f"{what:<74}  {measured:>9.3f}   {bound:<16} {'kept' if kept else 'BROKEN'}", flush=True)
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
