"""Changes as people write them: `speed=+10%`, `valve=-5`, `speed=1200`, `speed=1200@600` (after 600 time units)."""

import re
from dataclasses import dataclass

import numpy as np
from factorylm_schema.errors import BadRequestError, UnknownNameError

from factorylm_twin.arrays import Floats
from factorylm_twin.twin import Twin

_CHANGE = re.compile(
    r"^(?P<name>.+?)\s*=\s*(?P<sign>[+-]?)\s*(?P<number>\d*\.?\d+(?:[eE][+-]?\d+)?)\s*(?P<percent>%?)$"
)
_AT = re.compile(r"^(?P<change>.+=.+)@(?P<at>\d+(?:\.\d+)?)$")
_LATEST = 100_000
"""Rows; beyond that a schedule is a mistake in the time unit."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """Inputs over the coming rows: from `rows[i]` on they are `places[i]`."""

    rows: tuple[int, ...]
    places: Floats

    @property
    def end(self) -> Floats:
        """Where the inputs stay in the end."""
        return np.asarray(self.places[-1])

    def over(self, rows: int) -> Floats:
        """The inputs of so many rows."""
        which = np.searchsorted(np.array(self.rows), np.arange(rows), side="right") - 1
        return np.asarray(self.places[which])


def held(now: Floats) -> Course:
    """Nothing changes."""
    return Course(rows=(0,), places=now[None])


def course_of(twin: Twin, changes: list[str], now: Floats) -> Course:
    """The changes in the order of their times; each starts from where the inputs are then."""
    timed: dict[int, list[str]] = {0: []}
    for text in changes:
        found = _AT.match(text.strip())
        row = round(float(found["at"]) / twin.step) if found else 0
        if row > _LATEST:
            raise BadRequestError(f"{text[:80]!r} lies {row} rows ahead", hint=f"the time unit is {twin.time_unit}")
        timed.setdefault(row, []).append(found["change"] if found else text)
    rows, places, place = [], [], now
    for row in sorted(timed):
        place = changed_inputs(twin, timed[row], place)
        rows.append(row)
        places.append(place)
    return Course(rows=tuple(rows), places=np.array(places))


def changed_inputs(twin: Twin, changes: list[str], now: Floats) -> Floats:
    """The inputs after the changes: `A=+10%` of now, `A=-0.5` from now, `A=7` the value itself (also `A==-7`)."""
    names, after = twin.wanted.inputs, now.copy()
    for text in changes:
        found = _CHANGE.match(text.strip())
        absolute = re.match(r"^(?P<name>.+?)==(?P<number>.+)$", text.strip())
        name = (absolute or found or re.match(r"^(?P<name>[^=]*)", text))["name"].strip()  # type: ignore[index]
        if name not in names:
            raise UnknownNameError("input", name, names, hint="a change is written A=+10%, A=-0.5 or A=7")
        if absolute is None and found is None:
            raise BadRequestError(f"{text[:80]!r} is no change", hint="write A=+10%, A=-0.5, A=7 or A==-7")
        place = names.index(name)
        after[place] = _number(absolute["number"]) if absolute else _moved(found, now[place])  # type: ignore[arg-type]
    return after


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BadRequestError(f"{text[:40]!r} is no number", hint="write A==-7") from error


def _moved(found: re.Match[str], now: float) -> float:
    number = float(found["number"]) * (-1.0 if found["sign"] == "-" else 1.0)
    if found["percent"]:
        return now * (1.0 + number / 100.0) if found["sign"] else now * number / 100.0
    return now + number if found["sign"] else number
