"""C-MAPSS turbofans: remaining life, refusal, and the cost of decisions."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from factorylm_predictor.boosting import Recipe, out_of_bag, train_bag
from factorylm_predictor.conformal import calibrate
from factorylm_predictor.fitting import fleet_and_rows
from factorylm_predictor.histories import read_histories
from factorylm_predictor.tables import TableFile
from factorylm_predictor.window import Costs, Slot, rank_slots

from predictor_sets.figures import Figure, Figures, command, figure, within
from predictor_sets.scores import Floats, bootstrap_interval, nasa_score, rmse

CAP = 125.0
SETTINGS = ("set1", "set2", "set3")
COLUMNS = ["unit", "cycle", *SETTINGS, *(f"s{n}" for n in range(1, 22))]


def turbofan_csv(data: Path, name: str, folder: Path) -> Path:
    """A headerless text file of the set, as the CSV a plant would export."""
    made = folder / f"{name}.csv"
    if not made.exists():
        with gzip.open(data / "cmapss" / f"{name}.txt.gz", "rt") as lines, made.open("w") as out:
            out.write(",".join(COLUMNS) + "\n")
            out.writelines(",".join(line.split()) + "\n" for line in lines)
    return made


def fit_turbofan(train: Path, model: Path, seed: int) -> tuple[dict[str, Any], float, float]:
    """Fit one subset through the command."""
    return command(
        *("fit", "--data", str(train), "--unit", "unit", "--time", "cycle", "--settings", ",".join(SETTINGS)),
        *("--cap", str(CAP), "--seed", str(seed), "--out", str(model), "--replace"),
    )


def predict_turbofan(model: Path, data: Path) -> list[dict[str, Any]]:
    """Answers of every unit of a file."""
    out = model.with_suffix(".csv")
    return command("predict", "--model", str(model), "--data", str(data), "--out", str(out))[0]["answers"]


def remaining_life(data: Path, folder: Path, seeds: int) -> Figures:
    """FD001 and FD003 on their official test units."""
    found: Figures = []
    for name, goal in (("FD001", (12.0, 230, 5.0)), ("FD003", (11.0, 250, 4.5))):
        train, test = (turbofan_csv(data, f"{part}_{name}", folder) for part in ("train", "test"))
        truth = np.loadtxt(data / "cmapss" / f"RUL_{name}.txt")
        runs = []
        for seed in range(1, seeds + 1):
            model = folder / f"{name}.{seed}.model"
            fitted, cpu, memory = fit_turbofan(train, model, seed)
            answers = predict_turbofan(model, test)
            runs.append(turbofan_scores(answers, truth))
            if name == "FD001" and seed == 1:
                found.append(figure("training FD001, CPU s", cpu, at_most=20))
                found.append(figure("training FD001, peak MB", memory, at_most=512))
                found.append(figure("model file, MB", model.stat().st_size / 1e6, at_most=1))
        found += turbofan_figures(name, goal, runs, train, truth)
        found.append(figure(f"{name} out-of-bag RMSE on training units", fitted["card"]["errors_in_steps"]["rmse"]))
    return found


def turbofan_scores(answers: list[dict[str, Any]], truth: Floats) -> dict[str, float]:
    """All scores of one run; refused units are counted, not scored."""
    answered = np.array([a["status"] == "estimate" for a in answers])
    predicted, low, high = (np.array([a.get(k, np.nan) for a in answers]) for k in ("remaining", "low", "high"))
    is_open = np.array([a.get("high_is_open", False) for a in answers])
    capped = np.minimum(truth, CAP)
    p, t, c = predicted[answered], truth[answered], capped[answered]
    near = t <= 50
    inside = (c >= low[answered]) & (c <= high[answered])
    inside_raw = (t >= low[answered]) & ((t <= high[answered]) | is_open[answered])
    return {
        "capped RMSE": rmse(p - c),
        "raw RMSE": rmse(p - t),
        "NASA score capped": nasa_score(p, c),
        "NASA score raw": nasa_score(p, t),
        "RMSE where RUL <= 50": rmse((p - t)[near]),
        "90 % interval covers, %, capped": 100 * float(inside.mean()),
        "90 % interval covers, %, raw, open ends counted": 100 * float(inside_raw.mean()),
        "interval mean width": float((high - low)[answered].mean()),
        "refused, %": 100 * float((~answered).mean()),
        "_low": bootstrap_interval(p - c)[0],
        "_high": bootstrap_interval(p - c)[1],
    }


def turbofan_figures(
    name: str, goal: tuple[float, float, float], runs: list[dict[str, Any]], train: Path, truth: Floats
) -> Figures:
    """Means over seeds, with their spread, beside a constant and the clock."""
    limits = {
        "capped RMSE": {"at_most": goal[0]},
        "NASA score capped": {"at_most": goal[1]},
        "RMSE where RUL <= 50": {"at_most": goal[2]},
        "interval mean width": {"at_most": 34.0},
        "refused, %": {"at_most": 2.0},
    }
    found = []
    for key in (k for k in runs[0] if not k.startswith("_")):
        values = np.array([r[key] for r in runs])
        label = f"{name} {key}" + (
            f" (mean of {len(runs)} seeds, sd {values.std(ddof=1):.2g})" if len(runs) > 1 else ""
        )
        if key.startswith("90 %") and key.endswith("capped"):
            found += within(label, float(values.mean()), 87, 95)
        else:
            found.append(figure(label, float(values.mean()), **limits.get(key, {})))
    found.append(
        Figure(
            name=f"{name} capped RMSE, 95 % bootstrap over test units",
            value=f"{runs[0]['_low']:.3g}-{runs[0]['_high']:.3g}",
        )
    )
    return found + trivial_turbofan(name, train, truth)


def trivial_turbofan(name: str, train: Path, truth: Floats) -> Figures:
    """What no model at all scores: the mean, the mean life minus age, and a perfect predictor that is capped."""
    capped = np.minimum(truth, CAP)
    histories = read_histories(TableFile(train), unit="unit", time="cycle", columns=())
    lives = np.array([h.times[-1] for h in histories.units])
    ages = [
        h.times[-1]
        for h in read_histories(
            TableFile(train.parent / f"test_{name}.csv"), unit="unit", time="cycle", columns=()
        ).units
    ]
    everything = np.concatenate([np.minimum(h.times[-1] - h.times, CAP) for h in histories.units])
    clock = np.array(
        [
            np.minimum(np.maximum(lives[lives > age] - age, 0), CAP).mean() if (lives > age).any() else 0.0
            for age in ages
        ]
    )
    return [
        figure(f"  {name} beside it: a constant, capped RMSE", rmse(everything.mean() - capped)),
        figure(f"  {name} beside it: the clock (mean life left at this age)", rmse(clock - capped)),
        figure(f"  {name} beside it: a perfect predictor capped at 125, raw RMSE", rmse(capped - truth)),
    ]


def refusals(data: Path, folder: Path) -> Figures:
    """A model of FD001 asked about its own kind, an unseen fault, unseen conditions."""
    model = folder / "FD001.1.model"
    if not model.exists():
        fit_turbofan(turbofan_csv(data, "train_FD001", folder), model, 1)
    found = []
    for name, limits in (
        ("test_FD001", {"at_most": 2.0}),
        ("test_FD003", {"at_least": 35.0}),
        ("train_FD002_part", {"at_least": 98.0}),
    ):
        answers = predict_turbofan(model, turbofan_csv(data, name, folder))
        share = 100 * float(np.mean([a["status"] == "refused" for a in answers]))
        found.append(figure(f"model of FD001 refuses on {name}, %", share, **limits))
        if name == "test_FD003":
            truth = np.loadtxt(data / "cmapss" / "RUL_FD003.txt")
            found.append(
                figure("  capped RMSE of those it answers", turbofan_scores(answers, truth)["capped RMSE"], at_most=13)
            )
    return found


def cross_validation(data: Path, folder: Path) -> Figures:
    """FD002 and FD004: no test part is provided, so assets left out of the training units judge."""
    found = []
    for name in ("FD002", "FD004"):
        fitted, cpu, _ = fit_turbofan(turbofan_csv(data, f"train_{name}_part", folder), folder / f"{name}.model", 1)
        errors = fitted["card"]["errors_in_steps"]
        ninety = next(r for r in errors["reliability"] if r["declared"] == 0.9)
        found += [
            figure(f"{name} by cross-validation, capped RMSE over all rows", errors["rmse"]),
            figure(f"{name} RMSE where RUL <= 50", errors["rmse_late"]),
            figure(f"  {name} beside it: the clock", errors["rmse_of_the_clock"]),
            figure(f"  {name} beside it: a constant", errors["rmse_of_a_constant"]),
            figure(f"{name} 90 % interval covers, %", 100 * ninety["measured"]),
            figure(f"{name} interval mean width", ninety["width"]),
            figure(f"{name} training, CPU s", cpu),
        ]
    return found


def decisions(data: Path, folder: Path) -> Figures:
    """Cost of services chosen from out-of-bag predictions, failure five times a planned stop, against an oracle."""
    histories = read_histories(TableFile(turbofan_csv(data, "train_FD001", folder)), unit="unit", time="cycle")
    fleet, rows = fleet_and_rows(histories, SETTINGS, CAP, seed=1)
    bag = train_bag(rows.features, np.minimum(rows.remaining, CAP), rows.asset, Recipe(), 1, lambda _: None)
    predicted = out_of_bag(bag, rows.features, rows.asset, CAP)
    known = (rows.age >= 0.2 * CAP) & (rows.remaining >= 0.04 * CAP) & (rows.remaining <= 1.2 * CAP)
    lives = np.array([len(r) - 1 for r in fleet.runs], dtype=float)
    spent = ran = failures = 0.0
    for half in (0, 1):
        learn = known & (rows.asset % 2 != half)
        law = calibrate(
            predicted[learn],
            rows.remaining[learn],
            rows.asset[learn],
            cap=CAP,
            coverage=0.9,
            rng=np.random.default_rng(1),
        )
        for asset in np.unique(rows.asset[rows.asset % 2 == half]):
            mine = rows.asset == asset
            cost, run = one_life(predicted[mine], rows.remaining[mine], law.samples, 1 / lives.mean())
            spent, ran, failures = spent + cost, ran + run, failures + (cost > 1)
    return [
        figure("cost of decisions against the oracle, FD001", spent / ran * lives.mean(), at_most=1.06),
        figure("  failures among 100 lives", failures),
        figure("  beside it: run to failure", 5.0),
        figure("  beside it: the best fixed age, chosen in hindsight", best_fixed_age(lives)),
    ]


def one_life(
    predicted: Floats, remaining: Floats, samples: Callable[[float], Floats], cost_rate: float
) -> tuple[float, float]:
    """Cost and running time of one life under the plan, asked at every row that was predicted."""
    costs = Costs(planned=1, unplanned=5, lead_time=5)
    slots = [Slot(after=float(s), name="") for s in range(5, 160)]
    life = remaining[0]
    for guess, left in zip(predicted, remaining, strict=True):
        if guess > 90:
            continue
        if rank_slots(samples(float(guess)), slots, costs, cost_rate).act_now:
            return (1.0, life - left + 5) if left > 5 else (5.0, life)
    return 5.0, life


def best_fixed_age(lives: Floats) -> float:
    """Cost per mean life of the best fixed age."""
    ages = np.arange(10, lives.max())
    rates = [(np.where(lives > a, 1, 5).sum() / np.minimum(lives, a).sum()) * lives.mean() for a in ages]
    return float(min(rates))


_INFERENCE = r"""
import json, re, sys, time
from pathlib import Path
from factorylm_predictor.histories import read_histories
from factorylm_predictor.life_model import LifeModel
from factorylm_predictor.model_file import load_model
from factorylm_predictor.remaining_life import assess_units
from factorylm_predictor.tables import TableFile
model = load_model(Path({model!r}), LifeModel).model
data = read_histories(TableFile(Path({test!r})), unit="unit", time="cycle", columns=(*model.settings, *model.sensors))
assess_units(model, data)
start = time.process_time()
assess_units(model, data)
ms = 1000 * (time.process_time() - start) / len(data.units)
# not ru_maxrss: a child begins with its parent's
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([ms, peak, any(m.startswith("sklearn") for m in sys.modules)]))
"""


def inference(data: Path, folder: Path) -> Figures:
    """What one asset costs to predict, in a process of its own."""
    model = folder / "FD001.1.model"
    if not model.exists():
        fit_turbofan(turbofan_csv(data, "train_FD001", folder), model, 1)
    test = turbofan_csv(data, "test_FD001", folder)
    code = _INFERENCE.format(model=str(model), test=str(test))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    per_asset, memory, heavy = json.loads(done.stdout)
    return [
        figure("inference, ms per asset", per_asset, at_most=3),
        figure("inference, peak MB of the process", memory, at_most=64),
        figure("times scikit-learn is imported while predicting", float(heavy), at_most=0),
    ]
