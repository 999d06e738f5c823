"""Simulated plants with known truth."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from factorylm_twin import learn
from factorylm_twin.tables import Wanted, record_of

Columns = dict[str, np.ndarray]
Learn = Callable[..., object]


def steps(rng: np.random.Generator, rows: int, low: float, high: float, hold: int) -> np.ndarray:
    """An operator's moves: levels held for a while."""
    return np.repeat(rng.uniform(low, high, rows // hold + 1), hold)[:rows]


def first_order(u: np.ndarray, gain: float, time: float, delay: int, offset: float) -> np.ndarray:
    """gain / (time s + 1) after a dead time, exact between rows."""
    keep, y = np.exp(-1 / time), np.empty(len(u))
    y[0] = offset + gain * u[0]
    for k in range(1, len(u)):
        y[k] = keep * y[k - 1] + (1 - keep) * (offset + gain * u[max(0, k - 1 - delay)])
    return y


def levels(rng: np.random.Generator, low: float, high: float, rows: int, hold: int = 30) -> np.ndarray:
    """Levels held for `hold` rows."""
    return np.repeat(rng.uniform(low, high, rows // hold + 1), hold)[:rows]


def behind_a_lag(steady: np.ndarray, time: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """What a machine makes of its steady values."""
    return first_order(steady, 1.0, time, 0, 0.0) + rng.normal(0, noise, len(steady))


def station(seed: int) -> Columns:
    """A pump against a static head and a valve: flow by the curve, power by flow and speed."""
    rng = np.random.default_rng(seed)
    speed, valve = levels(rng, 1000, 1400, 1500), levels(rng, 0.5, 1.0, 1500, 25)
    flow = np.sqrt(52 * (speed / 1480) ** 2 - 8) / 0.116 * valve
    power = 4.0 * (speed / 1480) ** 3 + 0.02 * flow
    return {
        "speed": speed,
        "valve": valve,
        "flow": behind_a_lag(flow, 3.0, 0.1, rng),
        "power": behind_a_lag(power, 2.0, 0.01, rng),
    }


@pytest.fixture(scope="session")
def plants() -> SimpleNamespace:
    """The generators, for tests that draw their own."""
    return SimpleNamespace(levels=levels, behind_a_lag=behind_a_lag, station=station, first_order=first_order)


@pytest.fixture(scope="session")
def pump() -> Columns:
    """speed drives flow: gain 0.08, time constant 6 rows, dead time 3 rows, noise 0.2."""
    rng = np.random.default_rng(3)
    speed = steps(rng, 1200, 1000, 1400, 40)
    flow = first_order(speed, 0.08, 6.0, 3, -20.0) + rng.normal(0, 0.2, 1200)
    return {"speed": speed, "flow": flow}


@pytest.fixture(scope="session")
def loop() -> Callable[..., Columns]:
    """A plant of gain 2 held by a PI controller; the set-point moves by `moves` every 300 rows."""

    def made(moves: float, seed: int = 1, rows: int = 4800, grain: float = 0.0) -> Columns:
        rng = np.random.default_rng(seed)
        sp = 5.0 + moves * np.where((np.arange(rows) // 600) % 2 == 0, 1.0, -1.0)
        u, y, disturbance, total = np.zeros(rows), np.zeros(rows), 0.0, 0.0
        for k in range(rows):
            disturbance = 0.98 * disturbance + rng.normal(0, 0.015)
            if k:
                y[k] = 0.9 * y[k - 1] + 0.2 * u[k - 1] + disturbance + rng.normal(0, 0.01)
            total += 0.02 * (sp[k] - y[k])
            u[k] = 0.5 * (sp[k] - y[k]) + total
            if grain:
                u[k] = round(u[k] / grain) * grain
        return {"valve": u, "level": y, "wanted": sp, "mode": np.full(rows, 1)}

    return made


@pytest.fixture(scope="session")
def learned() -> Learn:
    def learn_from(columns, inputs, outputs, template="", signs=(), **more: str):
        texts = {name: [repr(float(v)) for v in values] for name, values in columns.items()}
        wanted = Wanted(inputs=tuple(inputs), outputs=tuple(outputs), **more)
        return learn(record_of(texts, wanted, "test.csv"), template, signs=signs)

    return learn_from


@pytest.fixture(scope="session")
def pump_twin(pump, learned):
    return learned(pump, ["speed"], ["flow"])


@pytest.fixture(scope="session")
def write_csv() -> Callable[[Path, Columns], Path]:
    def write(path: Path, columns: Columns) -> Path:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            rows = zip(*columns.values(), strict=True)
            writer.writerows([["" if v != v else v for v in row] for row in rows])
        return path

    return write
