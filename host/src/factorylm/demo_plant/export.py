"""`factorylm demo --export DIR`: days of history and alarm journals, seeded, with the truth beside them.

- history.csv        time and every signal, every `step_s` seconds; empty cells where there was no communication
- alarms.csv         the alarm journal
- speed_trial.csv    where the story has one: the drive's signals, every second, while its speed was moved on purpose
- bearing_runs.csv   pumps run to failure: unit, hour and the drive's signals (for remaining life)
- bearing_truth.csv  when each of those pumps failed
- truth.json         the faults with their times, the operators' moves, and the machines' gains and time constants
"""

import csv
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from factorylm_schema import AlarmEvent, Value

from factorylm.demo_plant.faults import PlantFault
from factorylm.demo_plant.machines import Conveyor, Exchanger, Pump, Tank
from factorylm.demo_plant.plant import SET_POINTS, STEP_S, DemoPlant
from factorylm.demo_plant.trial import Trial, TrialAtWork, on_trial

Progress = Callable[[float], None]

_MOVES = {
    "drive1.speed_setpoint": (1000.0, 1400.0, 20.0),
    "pack1.belt_setpoint": (18.0, 28.0, 1.0),
    "util1.water_setpoint": (14.0, 28.0, 1.0),
}
LIFE_COLUMNS = ("unit", "hour", "speed", "power", "current", "flow", "bearing_temperature", "vibration")


@dataclass(frozen=True, kw_only=True)
class Story:
    """What happens in an export; `moves_per_day` are operators' changes of set-points."""

    days: float = 3.0
    seed: int = 1
    step_s: int = 10
    faults: tuple[PlantFault, ...] = ()
    moves_per_day: int = 12
    bearings: int = 0
    trial: Trial | None = None


@dataclass
class Moves:
    """Operators at work: now and then a set-point goes to a new place."""

    per_day: int
    rng: random.Random
    made: list[dict[str, Any]] = field(default_factory=list)
    _due_s: float = 0.0

    def __post_init__(self) -> None:
        self._due_s = self._pause()

    def look(self, plant: DemoPlant) -> None:
        """Make the move that is due."""
        if not self.per_day or plant.second < self._due_s:
            return
        name, (low, high, grain) = self.rng.choice(sorted(_MOVES.items()))
        value = round(self.rng.uniform(low, high) / grain) * grain
        plant.set_values([(name, value)])
        self.made.append({"time": plant.now.isoformat(), "signal": name, "value": value})
        self._due_s = plant.second + self._pause()

    def _pause(self) -> float:
        return self.rng.expovariate(1.0) * 86_400 / max(1, self.per_day) + 600


def export(folder: Path, story: Story, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Write the files; returns the truth."""
    return record(DemoPlant(seed=story.seed, faults=list(story.faults)), folder, story, progress)


def record(plant: DemoPlant, folder: Path, story: Story, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Let `plant` live through the story and write what it did; it can go on from there."""
    folder.mkdir(parents=True, exist_ok=True)
    moves = Moves(per_day=story.moves_per_day, rng=random.Random(story.seed + 1))  # noqa: S311
    rng = random.Random(story.seed + 3)  # noqa: S311
    with on_trial(story.trial, folder / "speed_trial.csv", plant, rng, moves.made) as trial:
        events = _write_history(folder / "history.csv", plant, story, moves, trial, progress)
    _write_alarms(folder / "alarms.csv", events)
    if story.bearings:
        _write_runs(folder, story, progress)
    truth = truth_of(story, moves.made, plant)
    (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    return truth


def truth_of(story: Story, moves: Sequence[dict[str, Any]], plant: DemoPlant) -> dict[str, Any]:
    """What an analysis of the files should find."""
    return {
        "seed": story.seed,
        "begin": plant.begin.isoformat(),
        "days": story.days,
        "step_s": story.step_s,
        "faults": [_dated(fault, plant) for fault in story.faults],
        "trial": _spanned(story.trial, plant) if story.trial else None,
        "moves": list(moves),
        "time_constants_s": {
            "drive1.speed": Pump.SPEED_TAU_S,
            "drive1.flow": Pump.FLOW_TAU_S,
            "drive1.bearing_temperature": Pump.BEARING_TAU_S,
            "cell1.valve_position": Tank.VALVE_TAU_S,
            "pack1.belt_speed": Conveyor.SPEED_TAU_S,
            "pack1.motor_temperature": Conveyor.MOTOR_TAU_S,
            "util1.product_out": Exchanger.TAU_S,
        },
        "set_points": sorted(SET_POINTS),
    }


def _dated(fault: PlantFault, plant: DemoPlant) -> dict[str, Any]:
    truth = fault.truth()
    for key in ("begin", "end", "fails"):
        hours = truth.get(f"{key}_h")
        truth[key] = (plant.begin + timedelta(hours=hours)).isoformat() if hours is not None else None
    return truth


def _spanned(trial: Trial, plant: DemoPlant) -> dict[str, Any]:
    begin, end = (plant.begin + timedelta(seconds=second) for second in (trial.seconds[0], trial.seconds[-1]))
    return {**asdict(trial), "begin": begin.isoformat(), "end": end.isoformat()}


def _write_history(
    file: Path, plant: DemoPlant, story: Story, moves: Moves, trial: TrialAtWork | None, progress: Progress
) -> list[AlarmEvent]:
    events: list[AlarmEvent] = []
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["time", *plant.values])
        steps = int(story.days * 86_400 // story.step_s)
        for number in range(1, steps + 1):
            moves.look(plant)
            events += _lived(plant, number * story.step_s, trial)
            writer.writerow([plant.now.isoformat(), *_row(plant, story.faults)])
            if number % 500 == 0:
                progress(number / steps)
    return events


def _lived(plant: DemoPlant, until_s: float, trial: TrialAtWork | None) -> list[AlarmEvent]:
    """Up to `until_s`; second by second, with its moves and rows, while the drive is on trial."""
    if trial is None or until_s < trial.trial.seconds[0] or plant.second >= trial.trial.seconds[-1]:
        return plant.advance_to(until_s)
    events: list[AlarmEvent] = []
    while plant.second + STEP_S <= until_s:
        trial.look(plant)
        events += plant.step()
        if plant.second in trial.trial.seconds:
            trial.note(plant)
    return events


def _row(plant: DemoPlant, faults: Sequence[PlantFault]) -> Iterator[str]:
    lost = any(f.name == "communication_loss" and f.strength(plant.hour) > 0 for f in faults)
    for name, value in plant.values.items():
        yield "" if lost and name.startswith("cell1.") else _cell(value)


def _cell(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _write_alarms(file: Path, events: Sequence[AlarmEvent]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["Time", "Source", "Alarm", "State", "Severity", "Message"])
        for event in events:
            state = "ACTIVE" if event.active else "RETURN"
            writer.writerow([event.time.isoformat(), event.source, event.name, state, event.severity, event.text])


def _write_runs(folder: Path, story: Story, progress: Progress) -> None:
    """Pumps run to failure, one after another; each wears at its own rate and sees its own operators."""
    rng = random.Random(story.seed + 2)  # noqa: S311
    with (
        (folder / "bearing_runs.csv").open("w", newline="", encoding="utf-8") as runs,
        (folder / "bearing_truth.csv").open("w", newline="", encoding="utf-8") as truths,
    ):
        run_rows, truth_rows = (csv.writer(f, lineterminator="\n") for f in (runs, truths))
        run_rows.writerow(LIFE_COLUMNS)
        truth_rows.writerow(["unit", "failed_at_hour", "wear_began_hour"])
        for unit in range(1, story.bearings + 1):
            begun, grows = rng.uniform(5, 40), rng.uniform(50, 140)
            fault = PlantFault(name="bearing_wear", begin_h=begun, grows_h=grows)
            truth_rows.writerow([unit, round(begun + grows, 3), round(begun, 3)])
            for hour, row in bearing_life(fault, story.seed * 1000 + unit, begun + grows):
                run_rows.writerow([unit, hour, *row])
            progress(unit / story.bearings)


def bearing_life(fault: PlantFault, seed: int, until_h: float) -> Iterator[tuple[int, list[str]]]:
    """One row an hour: the mean of a minute's samples, as a route collector would take it."""
    rng = random.Random(seed)  # noqa: S311
    pump = Pump()
    for hour in range(1, int(until_h) + 1):
        if rng.random() < 1 / 6:
            pump.setpoint = round(rng.uniform(1000, 1400) / 20) * 20.0
        wear, ambient = fault.strength(hour), 21 + 3 * math.sin(math.tau * hour / 24)
        # an hour's slow states settle in its last quarter
        for _ in range(180):
            pump.step(5.0, ambient=ambient, wear=wear, cavitation=0.0)
        power = pump.power(wear)
        sensed = {
            "speed": (pump.speed, 1.0),
            "power": (power, 0.03),
            "current": (2.1 + 1.78 * power, 0.03),
            "flow": (pump.flow, 0.15),
            "bearing_temperature": (pump.bearing_temperature, 0.15),
            "vibration": (pump.vibration(wear, 0.0), 0.05),
        }
        yield hour, [f"{value + rng.gauss(0, sigma / math.sqrt(60)):.4f}" for value, sigma in sensed.values()]
