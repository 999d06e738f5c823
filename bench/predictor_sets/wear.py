"""Bearing wear with known truth: does the interval hold it, and do healthy months stay quiet?

A demo plant's export is judged in the same way: a folder with runs.csv and today.csv (unit, time, tags), truth.csv
(unit, remaining), healthy.csv and months.csv (rows of a sound machine), all under the same column names.
"""

import csv
from pathlib import Path

import numpy as np
from factorylm_predictor.anomaly import learn_detector
from factorylm_predictor.example import COLUMNS, SETTINGS, PumpLife, healthy_rows, pump_life

from predictor_sets.figures import Figures, command, figure

SEEDS = 40
UNIT, TIME = "unit", "hours"


def wear(export: Path, folder: Path) -> Figures:
    """Judge an export if there is one, else simulated pumps."""
    if not (export / "runs.csv").is_file():
        export = folder / "pumps"
        simulate(export)
    model = folder / "wear.model"
    header = (export / "runs.csv").open().readline().strip().split(",")
    settings = ",".join(s for s in SETTINGS if s in header)
    fit = ("fit", "--data", str(export / "runs.csv"), "--unit", UNIT, "--time", TIME, "--out", str(model))
    card = command(*fit, *(("--settings", settings) if settings else ()))[0]["card"]
    words = ("--model", str(model), "--data", str(export / "today.csv"), "--out", str(folder / "wear.csv"))
    answers = command("predict", *words)[0]["answers"]
    with (export / "truth.csv").open(newline="") as lines:
        truth = {row["unit"]: float(row["remaining"]) for row in csv.DictReader(lines)}
    answered = [a for a in answers if a["status"] == "estimate"]
    held = [a["low"] <= min(truth[a["unit"]], card["horizon"]["cap"]) <= a["high"] for a in answered]
    return [
        figure(
            f"injected wear: interval holds the truth, % of {len(answered)} seeds", 100 * np.mean(held), at_least=85
        ),
        figure("  refused, %", 100 * (1 - len(answered) / len(answers))),
        figure("  declared coverage, %", 100 * card["interval"]["declared_coverage"]),
        *quiet_months(export),
    ]


def quiet_months(export: Path) -> Figures:
    """Alarms per row in healthy months against the declared rate."""
    names = (export / "healthy.csv").open().readline().strip().split(",")
    tags = [names.index(n) for n in names if n in COLUMNS and n not in SETTINGS] or list(range(1, len(names)))
    settings = [names.index(n) for n in SETTINGS if n in names]
    healthy, months = (np.loadtxt(export / f, delimiter=",", skiprows=1) for f in ("healthy.csv", "months.csv"))
    detector = learn_detector(healthy[:, settings], healthy[:, tags], tuple(names[t] for t in tags))
    rate = 100 * float(detector.judge(months[:, settings], months[:, tags]).flags.mean())
    return [figure("healthy months: rows in alarm, %", rate, at_most=100 * detector.false_alarm_rate)]


def simulate(folder: Path) -> None:
    """Thirty lives to learn from, forty other pumps on their way, and a sound one."""
    folder.mkdir()
    runs = [pump_life(f"P{n}", np.random.default_rng(n)) for n in range(30)]
    rngs = [np.random.default_rng(1000 + n) for n in range(SEEDS)]
    lives = [pump_life(f"seed {n}", rng) for n, rng in enumerate(rngs)]
    today = [p.until(p.life_h * rng.uniform(0.5, 0.97)) for p, rng in zip(lives, rngs, strict=True)]
    write_lives(folder / "runs.csv", runs)
    write_lives(folder / "today.csv", today)
    remaining = [(p.pump, p.life_h - p.hours[-1]) for p in today]
    write(folder / "truth.csv", ["unit", "remaining"], remaining)
    rows = healthy_rows(12_000, np.random.default_rng(5))
    write(folder / "healthy.csv", COLUMNS, rows[:3000].tolist())
    write(folder / "months.csv", COLUMNS, rows[3000:].tolist())


def write_lives(path: Path, lives: list[PumpLife]) -> None:
    """Histories as a plant would export them."""
    write(
        path, [UNIT, TIME, *COLUMNS], [[p.pump, h, *v] for p in lives for h, v in zip(p.hours, p.values, strict=True)]
    )


def write(path: Path, columns: list[str] | tuple[str, ...], rows: list) -> None:
    """A CSV file."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
