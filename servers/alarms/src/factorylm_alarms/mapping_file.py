"""A mapping file that a person confirmed: which column means what, and what each word of the event column is."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from factorylm_alarms.dialect import Dialect
from factorylm_alarms.errors import LogError
from factorylm_alarms.formats import KindReader, word_kind
from factorylm_alarms.kinds import KIND_OF_CLASS, Kind
from factorylm_alarms.mapping import CONFIRMED, FILE_ROLES, SINGLE_ROLES, Mapping, number_of


def read_mapping(path: Path, dialect: Dialect) -> Mapping:
    """The mapping a person confirmed."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise LogError(f"the mapping file {path.name} cannot be read: {why}") from error
    for table in ("columns", "events", "time", "priority"):
        if not isinstance(found.get(table, {}), dict):
            raise LogError(f"{path.name}: {table} must be a table", hint=f"write [{table}] and its keys below it")
    if found.get("confirmed") is not True:
        raise LogError(f"{path.name} is not confirmed", hint="check every line, then set confirmed = true")
    header = dialect.header or tuple(f"column {number}" for number in range(1, dialect.columns + 1))
    places = {role: _places(role, name, header, path.name) for role, name in _columns_of(found, path.name).items()}
    single: dict[str, Any] = {
        role: places[role][0] for role in SINGLE_ROLES if role in places and role not in {"time", "event"}
    }
    time = places.get("time", ())
    if not (places.get("source") and ((time and places.get("event")) or "begin" in single)):
        raise LogError(f"{path.name} needs the columns source, time and event (or source, begin and end)")
    return Mapping(
        format=CONFIRMED,
        evidence=path.name,
        header=header,
        time=time,
        source=places["source"],
        condition=places.get("condition", ()),
        area=places.get("area", ()),
        event=places.get("event", ()),
        kind=_events_reader(found.get("events", {}), path.name),
        number=number_of([row[time[0]] for row in dialect.first_rows]) if time else None,
        worst=str(found.get("priority", {}).get("worst", "")),
        **single,
        **_time_of(found.get("time", {}), path.name),
    )


def _columns_of(found: dict[str, object], file: str) -> dict[str, object]:
    columns = found.get("columns")
    if not isinstance(columns, dict):
        raise LogError(f"{file} has no [columns]", hint=f"its keys are {', '.join(FILE_ROLES)}")
    unknown = [role for role in columns if role not in FILE_ROLES]
    if unknown:
        raise LogError(f"{file} has an unknown column meaning {unknown[0]!r}", hint=f"known: {', '.join(FILE_ROLES)}")
    return {role: name for role, name in columns.items() if name}


def _places(role: str, name: object, header: Sequence[str], file: str) -> tuple[int, ...]:
    names = [name] if isinstance(name, str) else name
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise LogError(f"{file}: {role} must be a column name or a list of them")
    for one in names:
        if one not in header:
            raise LogError(f"{file}: the journal has no column {one!r}", hint=f"its columns: {', '.join(header)[:500]}")
    return tuple(header.index(one) for one in names)


def _events_reader(events: object, file: str) -> KindReader:
    if not isinstance(events, dict):
        raise LogError(f"{file}: [events] must hold words and their classes")
    meaning: dict[str, Kind] = {}
    for word, name in events.items():
        if name not in KIND_OF_CLASS:
            raise LogError(f"{file}: {name!r} is no class of rows", hint=f"the classes: {', '.join(KIND_OF_CLASS)}")
        meaning[word.strip()] = KIND_OF_CLASS[name]
    return lambda cells: meaning.get(cells[0].strip(), Kind.OTHER) if meaning else word_kind(cells)


def _time_of(time: dict[str, Any], file: str) -> dict[str, Any]:
    order = time.get("order")
    if order not in {None, "day-first", "month-first"}:
        raise LogError(f"{file}: time.order is {order!r}", hint='use "day-first" or "month-first"')
    try:
        zone = ZoneInfo(str(time["zone"])) if "zone" in time else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise LogError(f"{file}: there is no time zone {time['zone']!r}", hint='for example "Europe/Berlin"') from error
    return {"day_first": None if order is None else order == "day-first", "zone": zone}
