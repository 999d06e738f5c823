"""What the analyzer and the predictor find in the demo plant's exports, against the truth written beside them.

    ./run bench demo-truth             40 plants with troubles, 40 pumps with worn bearings, eight healthy months
    ./run bench demo-truth --seeds 5   fewer of each

The exports are those of `factorylm demo --export`, the answers those of the skills' own commands.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from factorylm.demo_plant import PlantFault
from factorylm.demo_plant.export import LIFE_COLUMNS, Story, bearing_life, export

TROUBLES = ("chattering_limit", "communication_loss", "power_loss")
SHIFT_H = 6.0
ANNOUNCED_S = 5.0
"""An alarm may come this long after its trouble: the longest on-delay of the alarms asked for, and a scan."""
LEARNT = 30
TAGS = LIFE_COLUMNS[2:]
SETTINGS = "speed,flow"
HEALTHY_H, MONTHS_H = 2000, 6000


def troubled_shift(folder: Path, seed: int) -> dict[str, Any]:
    """Six hours with operators at work and three troubles, in any order and at any time; returns the truth."""
    rng = random.Random(seed)
    begins = [rng.uniform(at, at + 1.3) for at in (0.1, 1.9, 3.7)]
    faults = [
        PlantFault(name=name, begin_h=begin, end_h=begin + rng.uniform(0.1, 0.4))
        for name, begin in zip(rng.sample(TROUBLES, len(TROUBLES)), begins, strict=True)
    ]
    return export(folder, Story(days=SHIFT_H / 24, seed=seed, step_s=60, faults=tuple(faults), moves_per_day=24))


def alarm_report(folder: Path) -> dict[str, Any]:
    """What the analyzer says of an exported journal."""
    answer = folder / "report.json"
    asked("factorylm_alarms", "report", str(folder / "alarms.csv"), "--json", str(answer))
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def troubles_found(report: dict[str, Any], truth: dict[str, Any]) -> dict[str, bool]:
    """Whether each trouble stands in the findings under its alarm's name and, where it has an instant, at its time."""
    first = {fault["name"]: fault["alarms"][0] for fault in truth["faults"]}
    begin = {fault["name"]: fault["begin"] for fault in truth["faults"]}
    lost = told(report, "communication loss", first["communication_loss"])
    opened = told(report, "flood first-out", first["power_loss"])
    return {
        "chattering limit": bool(told(report, "chattering", first["chattering_limit"])),
        "communication loss": any(soon_after(begin["communication_loss"], one["time"]) for one in lost),
        "flood's first alarm": any(soon_after(begin["power_loss"], one["first_out"]) for one in opened),
    }


def called_chattering(report: dict[str, Any], truth: dict[str, Any]) -> int:
    """Alarms said to chatter whose limit nobody touched."""
    meant = [fault["alarms"][0] for fault in truth["faults"] if fault["name"] == "chattering_limit"]
    return sum(one["alarm"].split(".")[-1] not in meant for one in report["chattering"] if one["triggers"])


def told(report: dict[str, Any], kind: str, alarm: str) -> list[dict[str, Any]]:
    """The evidence of the findings of this kind about this alarm alone."""
    found = [one for one in report["findings"] if one["kind"] == kind]
    return [one["evidence"] for one in found if [name.split(".")[-1] for name in one["alarms"]] == [alarm]]


def soon_after(begin: str, announced: str) -> bool:
    """Both in ISO 8601."""
    late_s = (datetime.fromisoformat(announced) - datetime.fromisoformat(begin)).total_seconds()
    return 0 <= late_s <= ANNOUNCED_S


def worn_pumps(folder: Path, judged: int) -> dict[str, float]:
    """Pumps run to failure to learn from, others stopped on their way; returns what remains of the latter's lives."""
    export(folder, Story(days=0.0, seed=1, bearings=LEARNT + judged))
    with (folder / "bearing_truth.csv").open(newline="") as stream:
        failed = {row["unit"]: float(row["failed_at_hour"]) for row in csv.DictReader(stream)}
    with (folder / "bearing_runs.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    rng = random.Random(5)
    now = {unit: int(hour * rng.uniform(0.5, 0.97)) for unit, hour in failed.items() if int(unit) > LEARNT}
    write(folder / "runs.csv", header, [row for row in rows if row[0] not in now])
    write(folder / "today.csv", header, [row for row in rows if row[0] in now and int(row[1]) <= now[row[0]]])
    return {unit: failed[unit] - hour for unit, hour in now.items()}


def lives_answered(folder: Path, remaining: dict[str, float]) -> tuple[list[bool], float, float]:
    """(whether each interval given holds the truth, share of pumps refused, declared coverage)."""
    model, units = str(folder / "bearing.model"), ("--unit", "unit", "--time", "hour", "--settings", SETTINGS)
    card = asked("factorylm_predictor", "fit", "--data", str(folder / "runs.csv"), *units, "--out", model)["card"]
    words = ("--model", model, "--data", str(folder / "today.csv"), "--out", str(folder / "lives.csv"))
    answers = asked("factorylm_predictor", "predict", *words)["answers"]
    given = [one for one in answers if one["status"] == "estimate"]
    longest = card["horizon"]["cap"]
    held = [one["low"] <= min(remaining[one["unit"]], longest) <= one["high"] for one in given]
    return held, 1 - len(given) / len(answers), card["interval"]["declared_coverage"]


def quiet_months(folder: Path, hours: int = MONTHS_H) -> tuple[float, float]:
    """(share of healthy hours in alarm, declared share) after a baseline of twelve weeks of the same pump."""
    sound = PlantFault(name="bearing_wear", begin_h=2.0 * (HEALTHY_H + hours))
    rows = [values for _, values in bearing_life(sound, 7, HEALTHY_H + hours)]
    write(folder / "healthy.csv", TAGS, rows[:HEALTHY_H])
    write(folder / "months.csv", TAGS, rows[HEALTHY_H:])
    words = ("--baseline", str(folder / "healthy.csv"), "--data", str(folder / "months.csv"), "--settings", SETTINGS)
    said = asked("factorylm_predictor", "detect", *words, "--out", str(folder / "flags.csv"))
    with (folder / "flags.csv").open(newline="") as stream:
        flags = [float(row["flag"]) for row in csv.DictReader(stream)]
    return sum(flags) / len(flags), said["declared_false_alarms"]


def asked(package: str, *words: str) -> dict[str, Any]:
    """Run a skill's command; its JSON, where it prints one."""
    stdout = () if "--json" in words else ("--json",)
    done = subprocess.run([sys.executable, "-m", package, *words, *stdout], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout) if stdout else {}


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])


def alarms(folder: Path, seeds: int) -> bool:
    """Troubled shifts; whether every bound was kept."""
    found: list[dict[str, bool]] = []
    wrongly = 0
    for seed in range(seeds):
        truth = troubled_shift(folder / f"plant{seed}", seed)
        report = alarm_report(folder / f"plant{seed}")
        found.append(troubles_found(report, truth))
        wrongly += called_chattering(report, truth)
    kept = [line(f"{name} found, % of {seeds} plants", share([one[name] for one in found]), "at least", 100)
            for name in found[0]]  # fmt: skip
    return all([*kept, line("alarms wrongly called chattering", wrongly, "at most", 0)])


def predictor(folder: Path, seeds: int) -> bool:
    """Worn bearings and healthy months; whether every bound was kept."""
    held, refused, coverage = lives_answered(folder, worn_pumps(folder, seeds))
    alarmed, declared = quiet_months(folder)
    kept = [
        line(f"worn bearings: interval holds the truth, % of {len(held)}", share(held), "at least", 85),
        line("healthy months: hours in alarm, %", 100 * alarmed, "at most", 100 * declared),
    ]
    print(f"declared coverage {coverage:.0%}; {refused:.0%} of {seeds} pumps refused")
    return all(kept)


def share(found: Sequence[bool]) -> float:
    """Per cent of yes."""
    return 100 * sum(found) / len(found)


def line(what: str, measured: float, word: str, bound: float) -> bool:
    """Print one promised figure."""
    kept = measured >= bound if word == "at least" else measured <= bound
    print(f"{what:60} {measured:8.2f}   {word} {bound:<6g} {'kept' if kept else 'BROKEN'}", flush=True)
    return kept


PARTS: dict[str, Callable[[Path, int], bool]] = {"alarms": alarms, "predictor": predictor}


def main(argv: Sequence[str] | None = None) -> int:
    """1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40, help="plants, and pumps (default 40)")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        kept = [run(Path(folder), options.seeds) for name, run in PARTS.items() if options.only in {None, name}]
    print("repeat: ./run bench demo-truth")
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
