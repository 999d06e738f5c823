"""A water rig, a chemical plant and a milling machine: alarms and fault names; and what many live tags cost."""

import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from factorylm_predictor.anomaly import Events, learn_detector
from factorylm_predictor.charts import TagCharts
from factorylm_predictor.faults import Derived, blocked_folds, held_out_shares, shuffled_folds, with_derived
from numpy.typing import NDArray
from pydantic_core import from_json

from predictor_sets.figures import Figure, Figures, figure, within
from predictor_sets.scores import Flags, Floats, alarm_rates, change_points, f1, nab_score

FLOW = 7  # SKAB's tag that carries the rig's function: its volume flow


def water_rig(data: Path, _: Path) -> Figures:
    """SKAB: the first 400 rows of each run fit, the rest is judged; rates over all rows together."""
    flags, events, truths, changes = [], [], [], []
    for file in sorted((data / "skab" / "data").glob("*/*.csv.gz")):
        if "anomaly-free" in file.name:
            continue
        with gzip.open(file, "rt") as lines:
            rows = np.loadtxt(lines, delimiter=";", skiprows=1, usecols=range(1, 11))
        values, none = rows[:, [FLOW]], np.empty((len(rows), 0))
        detector = learn_detector(none[:400], values[:400], ("flow",))
        flags.append(detector.judge(none, values).flags[400:])
        events.append(Events(5).next(flags[-1]))
        truths.append(rows[400:, 8] > 0)
        changes.append(rows[400:, 9] > 0)
    clock = [np.arange(400, 400 + len(t)) >= 600 for t in truths]
    return [
        *rates_figures("SKAB, flow tag", flags, truths, at_most=20.0),
        *rates_figures("SKAB, flow tag, events of 5 rows", events, truths),
        *rates_figures("  beside it: 'alarm after row 600'", clock, truths),
        figure(
            "SKAB change points, NAB standard",
            nab_score([change_points(e) for e in events], changes, 0.11),
            at_least=28,
        ),
        figure(
            "SKAB change points, NAB low false positives",
            nab_score([change_points(e) for e in events], changes, 0.22),
            at_least=23,
        ),
        figure(
            "  beside it: 'alarm after row 600', NAB standard",
            nab_score([change_points(c) for c in clock], changes, 0.11),
        ),
    ]


def rates_figures(
    name: str, flags: Sequence[Flags], truths: Sequence[Flags], *, at_most: float | None = None
) -> Figures:
    """(FAR + MAR) / 2 and its parts."""
    false, missed = alarm_rates(flags, truths)
    return [
        figure(f"{name}: (FAR + MAR) / 2, %", (false + missed) / 2, at_most=at_most),
        Figure(name=f"  {name}: FAR, MAR, %", value=f"{false:.3g}, {missed:.3g}"),
    ]


def chemical_plant(data: Path, _: Path) -> Figures:
    """TEP: fitted and calibrated on two normal runs; faults 1-10 without the invisible 3 and 9."""
    columns = [*range(22), *range(41, 52)]
    load = lambda name: np.loadtxt(data / "tep" / f"{name}.dat.gz")  # noqa: E731
    healthy = np.vstack([load("d00").T, load("d00_te_first480")])[:, columns]
    none = np.empty((2000, 0))
    detector = learn_detector(none[: len(healthy)], healthy, tuple(str(c) for c in columns))
    before, after, delays = [], [], []
    for fault in (1, 2, 4, 5, 6, 7, 8, 10):
        flags = detector.judge(none[:960], load(f"d{fault:02d}_te")[:, columns]).flags
        before.append(flags[:160].mean())
        after.append(flags[160:].mean())
        delays.append(3 * int(np.argmax(Events(5).next(flags)[160:])))
    return [
        figure("TEP false alarms before the faults, %", 100 * float(np.mean(before)), at_most=5),
        figure("TEP detection, faults 1-10 without 3 and 9, %", 100 * float(np.mean(after)), at_least=84),
        figure("  TEP median delay to an event of 5 rows, minutes", float(np.median(delays))),
        Figure(name="  beside it: the clock at row 160", value="perfect (the onset is fixed)"),
    ]


def milling_machine(data: Path, _: Path) -> Figures:
    """AI4I: fault yes or no from six raw columns and three physical ones, five folds."""
    with gzip.open(data / "ai4i" / "ai4i2020_part.csv.gz", "rt") as lines:
        header = lines.readline().strip().split(",")
        cells = np.array([line.strip().split(",") for line in lines])
    column = {name: cells[:, i] for i, name in enumerate(header)}
    names = [
        "Air temperature [K]",
        "Process temperature [K]",
        "Rotational speed [rpm]",
        "Torque [Nm]",
        "Tool wear [min]",
    ]
    raw = {n: column[n].astype(float) for n in names} | {
        "type": np.searchsorted(["H", "L", "M"], column["Type"]).astype(float)
    }
    air, process, speed, torque, wear = names
    derived = [
        Derived(name="dT", formula="temperature_difference_k", inputs=(process, air)),
        Derived(name="power", formula="shaft_power_w", inputs=(torque, speed)),
        Derived(name="strain", formula="wear_strain", inputs=(wear, torque)),
    ]
    truth = column["Machine_failure"].astype(int)
    modes = {n: column[n].astype(float) for n in ("TWF", "HDF", "PWF", "OSF")}
    physical = with_derived(raw, derived)
    return [
        *within("AI4I F1, raw and physical columns (above 0.93: leakage)", ai4i_f1(physical, truth), 0.88, 0.93),
        figure("  beside it: F1 without the physical columns", ai4i_f1(raw, truth)),
        figure("  beside it: F1 with the mode flags (leakage, > 0.93)", ai4i_f1(raw | modes, truth)),
        figure("  beside it: F1 on folds blocked in time", ai4i_f1(physical, truth, blocked=True)),
    ]


def ai4i_f1(columns: dict[str, Floats], truth: NDArray[np.int64], *, blocked: bool = False) -> float:
    """F1 of rows named by a forest that saw none of their fold; the set's rows are published as independent."""
    matrix = np.column_stack(list(columns.values())).astype(np.float32)
    folds = blocked_folds(truth) if blocked else shuffled_folds(truth, 1)
    shares = held_out_shares(matrix, truth, folds, 1)
    return f1(shares.argmax(axis=1) == 1, truth == 1)


def streaming(tags: int = 10_000) -> Figures:
    """A second of data of ten thousand tags: scored as an array, and from JSON text. The best of seven rounds.

    The text is read by the parser that comes with pydantic, which every skill brings: a third of json's time.
    """
    rng = np.random.default_rng(1)
    charts = TagCharts(rng.normal(size=(200, tags)))
    row = rng.normal(size=tags).astype(np.float32)
    text = json.dumps({f"plant.area.tag{n}": float(v) for n, v in enumerate(row)})
    scoring = best_ms(lambda: charts.score(row), 100)
    ingest = best_ms(lambda: charts.score(np.fromiter(from_json(text).values(), np.float32, tags)), 10)
    return [
        figure("scoring 10,000 tags, ms per second of data", scoring, at_most=0.2),
        figure("the same with JSON ingest, ms", ingest, at_most=5),
    ]


def best_ms(work: Callable[[], object], times: int, rounds: int = 7) -> float:
    """CPU milliseconds a call takes in the round least disturbed by others."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            work()
        spent.append(time.process_time() - start)
    return 1000 * min(spent) / times
