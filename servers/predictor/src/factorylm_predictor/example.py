"""Simulated pumps whose bearings wear out, with the truth known: to try the commands on, and to test them with."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.errors import DataError

COLUMNS = ("speed", "flow", "vibration", "bearing_temperature", "motor_current", "discharge_pressure")
SETTINGS = ("speed", "flow")
STEP_H = 8.0
_WEAR_STARTS = (0.25, 0.6)


@dataclass(frozen=True, kw_only=True)
class PumpLife:
    """One pump from commissioning to failure: a row every eight hours."""

    pump: str
    hours: Floats
    values: Floats
    life_h: float

    def until(self, hour: float) -> "PumpLife":
        """What is known at `hour`."""
        rows = self.hours <= hour
        return PumpLife(pump=self.pump, hours=self.hours[rows], values=self.values[rows], life_h=self.life_h)


def pump_life(pump: str, rng: np.random.Generator, *, mean_life_h: float = 1200.0) -> PumpLife:
    """A life: the bearing is sound for a while, then wear grows until it fails."""
    life_h = max(25, round(mean_life_h / STEP_H * 1.12 * float(rng.weibull(4.0)))) * STEP_H
    hours = np.arange(STEP_H, life_h + STEP_H / 2, STEP_H)
    started = rng.uniform(*_WEAR_STARTS) * life_h
    wear = np.clip((hours - started) / (life_h - started), 0, 1) ** rng.uniform(1.3, 2.2)
    return PumpLife(pump=pump, hours=hours, values=_measured(wear, rng), life_h=life_h)


def healthy_rows(rows: int, rng: np.random.Generator) -> Floats:
    """A sound pump, one row after another."""
    return _measured(np.zeros(rows), rng)


def _measured(wear: Floats, rng: np.random.Generator) -> Floats:
    """What a pump with this wear shows: every pump has its own levels, every row its own duty."""
    rows = len(wear)
    own = rng.normal(1.0, 0.06, 4)  # drawn first: the same seed is the same pump, however many rows
    speed = rng.choice([1450.0, 1750.0, 2900.0], size=rows, p=[0.5, 0.3, 0.2]) + rng.normal(0, 4, rows)
    flow = 0.02 * speed * rng.uniform(0.8, 1.1, rows)
    vibration = own[0] * (0.6 + speed / 2000) * (1 + 2.2 * wear) + rng.normal(0, 0.09, rows)
    temperature = 32 + 6 * own[1] + 0.006 * speed + 16 * wear + rng.normal(0, 1.2, rows)
    current = own[2] * (4 + 0.22 * flow) * (1 + 0.06 * wear) + rng.normal(0, 0.12, rows)
    pressure = own[3] * (speed / 1450) ** 2 * 3.1 - 0.01 * flow + rng.normal(0, 0.04, rows)
    return np.column_stack([speed, flow, vibration, temperature, current, pressure])


def write_example(folder: Path, seed: int = 1) -> list[Path]:
    """Files for every command: runs, today, healthy, watched, lives, costs."""
    rng = np.random.default_rng(seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        runs = [pump_life(f"P{n:02d}", rng) for n in range(1, 31)]
        running = [p.until(p.life_h * rng.uniform(0.4, 0.95)) for p in (pump_life(f"R{n}", rng) for n in range(1, 9))]
        wearing = np.concatenate([np.zeros(400), np.linspace(0, 0.6, 200)])
        return [
            _write_lives(folder / "runs.csv", runs),
            _write_lives(folder / "today.csv", running),
            _write_rows(folder / "healthy.csv", healthy_rows(800, np.random.default_rng(seed + 1))),
            _write_rows(folder / "watched.csv", _measured(wearing, np.random.default_rng(seed + 1))),
            _write_table(folder / "lives.csv", ("pump", "hours", "failed"), [(p.pump, p.life_h, 1) for p in runs]),
            _write_costs(folder / "costs.toml"),
        ]
    except OSError as error:
        raise DataError(f"the example cannot be written to {folder}: {error.strerror}") from error


def _write_lives(path: Path, lives: Sequence[PumpLife]) -> Path:
    rows = [
        (p.pump, h, *v) for p in lives for h, v in zip(p.hours.tolist(), np.round(p.values, 4).tolist(), strict=True)
    ]
    return _write_table(path, ("pump", "hours", *COLUMNS), rows)


def _write_rows(path: Path, values: Floats) -> Path:
    rows = [(n, *row) for n, row in enumerate(np.round(values, 4).tolist())]
    return _write_table(path, ("minutes", *COLUMNS), rows)


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def _write_costs(path: Path) -> Path:
    path.write_text(_COSTS, encoding="utf-8")
    return path


_COSTS = """# Costs in any one currency, times in the unit of the lives (here: running hours)
planned = 1200
unplanned = 6000
lead_time = 48          # until the bearing arrives
age = 600               # running hours of the machine in question
running_per_day = 20
now = 2026-03-02

[[slots]]
name = "Sunday 8 March"
start = 2026-03-08T06:00:00Z

[[slots]]
name = "night shift, Wednesday 11 March"
start = 2026-03-11T22:00:00Z
extra_cost = 300        # lost production

[[slots]]
name = "spring shutdown"
start = 2026-03-27T06:00:00Z

[[slots]]
name = "Easter"
start = 2026-04-05T06:00:00Z
crew = false            # nobody there: not considered
"""
