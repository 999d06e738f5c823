"""A speed trial: the drive is moved up and down on purpose and recorded every second, so that its answer can be learnt.

A day at one speed says nothing about another one. The set-point moves are the operator's, so no controller hides
what the pump does with them.
"""

import csv
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factorylm.demo_plant.plant import DemoPlant

SPEED = "drive1.speed_setpoint"
_REST_S = 180  # at the old speed, before the first move and after the last


@dataclass(frozen=True, kw_only=True)
class Trial:
    """When it is, and between which speeds; each is held for about a minute, 20 times the drive's time constant."""

    begin_h: float = 0.25
    minutes: int = 40
    slowest: int = 1000
    fastest: int = 1400

    @property
    def seconds(self) -> range:
        """The seconds that are recorded."""
        begin = int(self.begin_h * 3600)
        return range(begin + 1, begin + 60 * self.minutes + 1)

    def moves(self, before: float, rng: random.Random) -> Iterator[tuple[int, float]]:
        """At which second the set-point goes where; back to `before` at the end."""
        second = self.seconds[0] + _REST_S
        while second < self.seconds[-1] - _REST_S - 60:
            yield second, float(rng.randrange(self.slowest, self.fastest + 1, 25))
            second += rng.randrange(45, 76)
        yield second, before


@dataclass
class TrialAtWork:
    """`due` are the moves still to make; `note` writes a row."""

    trial: Trial
    due: list[tuple[int, float]]
    note: Callable[["DemoPlant"], None]
    made: list[dict[str, Any]]

    def look(self, plant: "DemoPlant") -> None:
        """Make the move that is due after this second."""
        while self.due and self.due[0][0] <= plant.second:
            value = self.due.pop(0)[1]
            if value == plant.pump.setpoint:
                continue  # drawn twice in a row: no move
            plant.set_values([(SPEED, value)])
            self.made.append({"time": plant.now.isoformat(), "signal": SPEED, "value": value})


@contextmanager
def on_trial(
    trial: Trial | None, file: Path, plant: "DemoPlant", rng: random.Random, made: list[dict[str, Any]]
) -> Iterator[TrialAtWork | None]:
    """The trial, if there is one, with its file open: time, and every signal of the drive."""
    if trial is None:
        yield None
        return
    columns = [name for name in plant.values if name.startswith("drive1.")]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["time", *columns])

        def note(now: "DemoPlant") -> None:
            values = [now.values[name] for name in columns]
            writer.writerow([now.now.isoformat(), *(int(v) if isinstance(v, bool) else v for v in values)])

        yield TrialAtWork(trial, list(trial.moves(plant.pump.setpoint, rng)), note, made)
