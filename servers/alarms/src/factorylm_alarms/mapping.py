"""Which column of this journal means what: recognised by its header and its values.

A format is accepted on its header and on its values. What is not certain is proposed, never assumed.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from factorylm_alarms.dates import STAMP
from factorylm_alarms.dialect import Dialect
from factorylm_alarms.errors import UnknownFormatError
from factorylm_alarms.formats import Format, KindReader, known_format, plain, word_kind
from factorylm_alarms.kinds import CLASS_OF_KIND, KIND_OF_CLASS, Kind, kind_of_word
from factorylm_alarms.stamps import number_unit
from factorylm_alarms.untrusted import visible

ROLE_WORDS = {
    "time": "timestamp time datetime ts eventtime stamp zeitstempel zeit date datum horodatage fecha".split(),
    "source": "source tag tagname sourcename point quelle variable module item object name alarmname alarm "
    "alarmid".split(),
    "condition": "condition conditionname alarm alarmname alarmid alarmcode alarmtype type subcondition zustand block "
    "limit".split(),
    "event": "event action state status ereignis eventtype alarmstate alarmevent change".split(),
    "area": "area unit console plant plantarea anlage bereich station operatorposition".split(),
    "priority": "priority severity prio priorität level".split(),
    "message": "message description text meldung beschreibung desc messagetext msg alarmtext".split(),
    "begin": "begin start starttime activetime ontime cometime beginn kommt raised raisedat activated".split(),
    "end": "end endtime inactivetime offtime ende geht cleared clearedat clearedtime cleartime".split(),
    "ack": "ack acktime acknowledged acknowledgedat quittiert".split(),
}
RETURN_ENDINGS = (" NR", " RECOVERED", " RTN", " CLEARED", " RETURN")
SINGLE_ROLES = ("time", "event", "priority", "message", "begin", "end", "ack", "event_id", "millisecond")
CONFIRMED = "mapping file"
FILE_ROLES = (*SINGLE_ROLES, "source", "condition", "area")


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """Column numbers by meaning, and how the event columns are read."""

    format: str
    evidence: str
    header: tuple[str, ...]
    time: tuple[int, ...] = ()
    millisecond: int | None = None
    source: tuple[int, ...] = ()
    condition: tuple[int, ...] = ()
    area: tuple[int, ...] = ()
    event: tuple[int, ...] = ()
    priority: int | None = None
    message: int | None = None
    event_id: int | None = None
    begin: int | None = None
    end: int | None = None
    ack: int | None = None
    worst: str = ""
    number: tuple[float, float] | None = None
    kind: KindReader
    return_ending: str = ""
    day_first: bool | None = None
    zone: ZoneInfo | None = None
    assumptions: tuple[str, ...] = ()

    @property
    def is_confirmed(self) -> bool:
        """Whether a person said what the columns and words mean."""
        return self.format == CONFIRMED

    @property
    def is_interval(self) -> bool:
        """Whether one row holds a whole alarm, from begin to end."""
        return self.begin is not None

    def shown(self) -> dict[str, object]:
        """The mapping as it is reported: role to column name."""
        columns: dict[str, object] = {}
        for role in FILE_ROLES:
            found = getattr(self, role)
            places = found if isinstance(found, tuple) else () if found is None else (found,)
            if places:
                columns[role] = " + ".join(self.header[place] for place in places)
        return columns


def recognise(dialect: Dialect) -> Mapping:
    """The mapping of a known or plainly written format; UnknownFormatError with a proposal otherwise."""
    known = known_format(dialect.header)
    if known is not None:
        return _of_format(known, dialect)
    return _generic(dialect)


def _of_format(known: Format, dialect: Dialect) -> Mapping:
    names = [plain(cell) for cell in dialect.header]

    def place(name: str) -> int | None:
        return names.index(name) if name in names else None

    def first(choices: Sequence[str]) -> tuple[int, ...]:
        return next(((names.index(name),) for name in choices if name in names), ())

    return Mapping(
        format=known.name,
        evidence=known.evidence,
        header=dialect.header,
        time=first(known.time),
        millisecond=place(known.millisecond),
        source=first(known.source),
        condition=first(known.condition),
        area=first(known.area),
        event=tuple(names.index(name) for name in known.event if name in names),
        priority=place(known.priority),
        message=place(known.message),
        event_id=place(known.event_id),
        begin=place(known.begin),
        end=place(known.end),
        ack=place(known.ack),
        worst=known.worst,
        number=(known.number_ms, known.number_offset_ms) if known.number_ms else None,
        kind=known.kind,
    )


def _generic(dialect: Dialect) -> Mapping:
    header = dialect.header or tuple(f"column {number}" for number in range(1, dialect.columns + 1))
    columns = list(zip(*dialect.first_rows, strict=False)) if dialect.first_rows else [()] * len(header)
    roles = _roles_by_name(header)
    begin, end = roles.get("begin"), roles.get("end")
    interval = begin is not None and end is not None and _is_time(columns[begin]) and _is_time(columns[end])
    time = () if interval else _time_columns(columns, roles.get("time"))
    event, kind, ending = (None, None, "") if interval else _event_column(header, columns, roles.get("event"), time)
    source = roles.get("source")
    condition = event if ending else roles.get("condition")
    if condition == event and not ending:
        condition = None
    if source is None:
        # a column that names alarms is enough to tell them apart
        source, condition = condition, None
    if source is None or not (interval or (time and event is not None)):
        raise _unknown(header, columns, roles, time, event)
    return Mapping(
        format="interval" if interval else "event text" if ending else "generic",
        evidence="recognised by names and values",
        header=header,
        time=time,
        source=(source,),
        condition=() if condition is None else (condition,),
        area=_one(roles.get("area")),
        event=_one(event),
        priority=roles.get("priority"),
        message=roles.get("message"),
        begin=begin if interval else None,
        end=end if interval else None,
        ack=roles.get("ack") if interval and _is_time(columns[roles.get("ack", 0)]) else None,
        kind=kind or (lambda _: Kind.OTHER),
        return_ending=ending,
        number=number_of(columns[time[0]]) if time else None,
    )


def _one(place: int | None) -> tuple[int, ...]:
    return () if place is None else (place,)


def _roles_by_name(header: Sequence[str]) -> dict[str, int]:
    """Role to column by name; earlier words of a role are the better ones, and a column has one role."""
    names = [plain(cell) for cell in header]
    roles: dict[str, int] = {}
    for role, words in ROLE_WORDS.items():
        for word in words:
            place = next((i for i, name in enumerate(names) if name == word and i not in roles.values()), None)
            if place is not None:
                roles[role] = place
                break
    return roles


def _is_stamp(cell: str) -> bool:
    return STAMP.match(cell.strip().encode()) is not None


def _is_time(cells: Sequence[str]) -> bool:
    """Most of the filled cells are stamps, and there is one."""
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and sum(map(_is_stamp, filled)) >= 0.5 * len(filled)


def _time_columns(columns: Sequence[Sequence[str]], named: int | None) -> tuple[int, ...]:
    """The stamp column, or a date column with the clock column after it."""
    order = [] if named is None else [named]
    order += [place for place in range(len(columns)) if place != named]
    for place in order:
        if _is_time(columns[place]):
            return (place,)
        following = columns[place + 1] if place + 1 < len(columns) else ()
        if _is_time([f"{a} {b}" for a, b in zip(columns[place], following, strict=False)]):
            return (place, place + 1)
    return (named,) if named is not None and number_of(columns[named]) else ()


def number_of(cells: Sequence[str]) -> tuple[float, float] | None:
    """(ms a unit, offset) when the column holds stamps as numbers."""
    units = Counter()  # type: Counter[tuple[float, float]]
    for cell in cells[:200]:
        if re.fullmatch(r"\d{9,19}([.,]\d+)?", cell.strip()):
            found = number_unit(float(cell.replace(",", ".")))
            if found:
                units[found[:2]] += 1
    best = units.most_common(1)
    return best[0][0] if best and best[0][1] >= 0.8 * min(len(cells), 200) else None


def _event_column(
    header: Sequence[str], columns: Sequence[Sequence[str]], named: int | None, time: tuple[int, ...]
) -> tuple[int | None, KindReader | None, str]:
    """(column, how to read it, ending that marks a return) chosen by what its cells say."""
    order = [] if named is None else [named]
    order += [place for place in range(len(header)) if place != named and place not in time]
    for place in order:
        reader = _word_reader(columns[place], by_name=place == named)
        if reader is not None:
            return place, reader, ""
    for place in order:
        ending = _return_ending(columns[place])
        if ending:
            return place, _ending_reader(ending), ending
    for place in order:
        if plain(header[place]) in {"active", "isactive", "alarmactive"}:
            return place, _flag_reader, ""
    return None, None, ""


def _word_reader(cells: Sequence[str], *, by_name: bool) -> KindReader | None:
    """Half of the words must be known and one must mean an activation; a column named for it may do without."""
    kinds = [kind_of_word(cell) for cell in cells if cell.strip()]
    known = [kind for kind in kinds if kind is not None]
    if not known or len(known) * 2 < len(kinds):
        return None
    sure = Kind.ACTIVATION in known or (by_name and len(known) == len(kinds))
    return word_kind if sure else None


def _return_ending(cells: Sequence[str]) -> str:
    """The ending by which "HIGH RECOVERED" differs from "HIGH"; empty when the column is not of this style."""
    values = {cell.strip().upper() for cell in cells}
    for ending in RETURN_ENDINGS:
        stems = {value.removesuffix(ending) for value in values if value.endswith(ending)}
        if stems and len(stems & values) * 2 >= len(stems):
            return ending
    return ""


def _ending_reader(ending: str) -> KindReader:
    return lambda cells: Kind.RETURN if cells[0].upper().endswith(ending) else Kind.ACTIVATION


def _flag_reader(cells: tuple[str, ...]) -> Kind:
    return {"1": Kind.ACTIVATION, "true": Kind.ACTIVATION, "0": Kind.RETURN, "false": Kind.RETURN}.get(
        cells[0].lower(), Kind.OTHER
    )


def _unknown(
    header: Sequence[str],
    columns: Sequence[Sequence[str]],
    roles: dict[str, int],
    time: tuple[int, ...],
    event: int | None,
) -> UnknownFormatError:
    missing = [
        name
        for name, there in (
            ("a time column", bool(time)),
            ("a source (tag) column", "source" in roles),
            ("a column that says whether an alarm comes or goes", event is not None),
        )
        if not there
    ]
    guessed = {**roles, **({"time": time[0]} if time else {}), **({"event": event} if event is not None else {})}
    return UnknownFormatError(
        f"the columns ({shown_header(header)}) do not show {' and '.join(missing)}",
        proposal=propose(header, columns, guessed),
        hint="run `factorylm-alarms propose LOG > mapping.toml`, complete it, and give it with --mapping mapping.toml",
    )


def shown_header(header: Sequence[str]) -> str:
    """The first column names, harmless on a terminal."""
    return ", ".join(visible(cell, 30) for cell in header[:20])


def propose(header: Sequence[str], columns: Sequence[Sequence[str]], roles: dict[str, int]) -> str:
    """A mapping file to confirm: what was found is filled in, what is missing is named."""
    lines = [
        "# Which column means what. Complete it, then set confirmed = true.",
        f"# Columns of the journal: {json.dumps([cell[:60] for cell in header], ensure_ascii=False)}",
        "confirmed = false",
        "",
        "[columns]",
    ]
    for role in ("time", "source", "condition", "event", "area", "priority", "message"):
        name = header[roles[role]] if role in roles else ""
        lines.append(f"{role} = {json.dumps(name, ensure_ascii=False)}")
    lines += ["", "[events]  # every word of the event column and its class: " + ", ".join(KIND_OF_CLASS)]
    values = Counter(columns[roles["event"]]) if "event" in roles and columns else Counter[str]()
    for word, _ in values.most_common(30):
        kind = kind_of_word(word)
        meaning = CLASS_OF_KIND[Kind.OTHER if kind is None else kind]
        lines.append(f"{json.dumps(word[:60], ensure_ascii=False)} = {json.dumps(meaning)}")
    lines += ["", "[time]", '# order = "day-first"     # or "month-first"', '# zone = "Europe/Berlin"', ""]
    return "\n".join(lines)
