"""The cost file: what stops cost, when service is possible, how the machine runs. TOML, checked key by key."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
from factorylm_schema.errors import UnknownNameError

from factorylm_predictor.errors import DataError
from factorylm_predictor.tables import MOST, Table
from factorylm_predictor.weibull import Lives
from factorylm_predictor.window import Costs, Slot

_KEYS = ("planned", "unplanned", "lead_time", "age", "running_per_day", "now", "slots")
_SLOT_KEYS = ("name", "after", "start", "extra_cost", "crew")
_DAY_S = 86400.0


@dataclass(frozen=True, kw_only=True)
class CostFile:
    """A cost file read: costs, the machine's age, and the slots with a crew, in running time from now."""

    costs: Costs
    age: float
    slots: tuple[Slot, ...]
    skipped: tuple[str, ...]


def read_costs(path: Path) -> CostFile:
    """Read and check; the error names the key and the right ones."""
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise UnknownNameError("cost file", path.name, siblings, hint=f"looked in {path.parent}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not TOML: {error}") from error
    return costs_from(content, path.name)


def costs_from(content: Mapping[str, Any], source: str) -> CostFile:
    """Check what a cost file, or an assistant, says."""
    _known(content, _KEYS, source)
    for key in ("planned", "unplanned"):
        if key not in content:
            raise DataError(f"{source} lacks '{key}'", hint="planned = 1000 and unplanned = 5000 are the least it says")
    costs = Costs(
        planned=_amount(content, "planned", source),
        unplanned=_amount(content, "unplanned", source),
        lead_time=_amount(content, "lead_time", source, 0.0),
    )
    slots = content.get("slots", [])
    if not isinstance(slots, list) or not all(isinstance(s, Mapping) for s in slots):
        raise DataError(f"{source}: 'slots' must be tables", hint="write [[slots]] above each")
    usable = [s for s in slots if s.get("crew", True)]
    return CostFile(
        costs=costs,
        age=_amount(content, "age", source, 0.0),
        slots=tuple(_slot(s, n, content, source) for n, s in enumerate(usable, 1)),
        skipped=tuple(str(s.get("name", "?"))[:80] for s in slots if not s.get("crew", True)),
    )


def _slot(slot: Mapping[str, Any], number: int, content: Mapping[str, Any], source: str) -> Slot:
    where = f"{source}, slot {number}"
    _known(slot, _SLOT_KEYS, where)
    if ("after" in slot) == ("start" in slot):
        raise DataError(f"{where} needs either 'after' (running time from now) or 'start' (a date)")
    after = _amount(slot, "after", where) if "after" in slot else _running_time(slot["start"], content, where)
    name = str(slot.get("name") or slot.get("start") or f"after {after:g}")[:80]
    return Slot(after=after, name=name, extra_cost=_amount(slot, "extra_cost", where, 0.0))


def _running_time(start: Any, content: Mapping[str, Any], where: str) -> float:
    """Calendar to running time, by the planned duty."""
    if "now" not in content or "running_per_day" not in content:
        raise DataError(
            f"{where} starts at a date",
            hint="give 'now' (a date) and 'running_per_day' (running time per calendar day)",
        )
    days = (_moment(start, where) - _moment(content["now"], where)).total_seconds() / _DAY_S
    if days < 0:
        raise DataError(f"{where} lies before 'now'")
    return days * _amount(content, "running_per_day", where)


def _moment(value: Any, where: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise DataError(f"{where}: {value!r} is not a date", hint="write 2026-03-22T06:00:00Z") from error
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise DataError(f"{where}: {value!r} is not a date", hint="write 2026-03-22T06:00:00Z")


def _amount(content: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = content.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise DataError(f"{where}: '{key}' is {value!r}", hint="write a number, 0 or more")
    return float(value)


def _known(content: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in content:
        if key not in keys:
            raise UnknownNameError(f"key for {where}:", key, keys)


def read_lives(table: Table, *, life: str | None = None, failed: str | None = None) -> Lives:
    """Lives and how they ended. A column of 0/1 or true/false says which failed; without one, all did."""
    header = table.header()
    columns: dict[str, list[Any]] = {name: [] for name in header}
    for chunk in table.chunks():
        for name in header:
            columns[name].extend(chunk.texts(name))
    truths = {name: _truths(cells) for name, cells in columns.items()}
    failed = failed or _only([n for n in header if truths[n] is not None], "--failed", optional=True)
    life = life or _only([n for n in header if n != failed and _positive(columns[n])], "--life")
    for name in filter(None, (life, failed)):
        if name not in header:
            raise UnknownNameError(f"column in {table.name}", name, header)
    ended = truths[failed] if failed else np.ones(len(columns[life or ""]), dtype=bool)
    if ended is None:
        raise DataError(
            f"'{failed}' does not say who failed", hint="write 1 or true for a failure, 0 or false otherwise"
        )
    values = [_positive([c]) for c in columns[life or ""]]
    for row, (value, cell) in enumerate(zip(values, columns[life or ""], strict=True), 2):
        if value is None:
            raise DataError(
                f"{table.name} row {row}: the life {cell[:40]!r} is not a positive number", hint="one life a row"
            )
    return Lives(life=np.array([v[0] for v in values if v]), failed=ended)


def _only(names: list[str], option: str, *, optional: bool = False) -> str | None:
    if len(names) == 1 or (optional and not names):
        return names[0] if names else None
    found = ", ".join(names) or "none"
    fitting = "0 and 1" if option == "--failed" else "positive numbers alone"
    raise DataError(
        f"which column is meant is not clear (those that hold {fitting}: {found})", hint=f"name it with {option}"
    )


def _truths(cells: list[str]) -> Any:
    words = {
        "1": True,
        "0": False,
        "1.0": True,
        "0.0": False,
        "true": True,
        "false": False,
        "yes": True,
        "no": False,
    }
    read = [words.get(c.strip().lower()) for c in cells]
    return np.array(read, dtype=bool) if read and None not in read else None


def _positive(cells: list[str]) -> list[float] | None:
    try:
        values = [float(c) for c in cells]
    except ValueError:
        return None
    return values if values and all(0 < v <= MOST for v in values) else None
