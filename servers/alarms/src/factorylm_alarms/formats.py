"""The journal formats known by name: which headers give them away and what their codes mean.

`evidence` says how well the columns are known: "manual" (a vendor's public manual), "source" (the source code of a
public user of the format) or "unverified" (general knowledge; no public text was found).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from factorylm_alarms.kinds import Kind, kind_of_word

KindReader = Callable[[tuple[str, ...]], Kind]
"""From the texts of a format's event columns to the class of the row."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """Column names are compared without case, blanks and punctuation. Of several time columns the first present wins.

    `worst` says whether the priority's "high" or "low" numbers are the worst. `begin`, `end` and `ack` name the three
    stamps of a format that keeps a whole alarm in one row.
    """

    name: str
    evidence: str
    needs: tuple[str, ...]
    time: tuple[str, ...] = ()
    millisecond: str = ""
    source: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()
    area: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    priority: str = ""
    message: str = ""
    event_id: str = ""
    begin: str = ""
    end: str = ""
    ack: str = ""
    worst: str = ""
    number_ms: float = 0.0
    number_offset_ms: float = 0.0
    kind: KindReader = lambda _: Kind.OTHER


def plain(header: str) -> str:
    """A column name as it is compared."""
    return re.sub(r"[^a-z0-9äöüß]", "", header.lower())


def known_or_other(word: str) -> Kind:
    """A common word's class; OTHER when it is not known."""
    found = kind_of_word(word)
    return Kind.OTHER if found is None else found


def word_kind(cells: tuple[str, ...]) -> Kind:
    """An event column of common words."""
    return known_or_other(cells[0])


def experion_kind(cells: tuple[str, ...]) -> Kind:
    """Blank action is a new alarm; priority J marks journal entries that never were alarms."""
    action, priority, condition = cells[0].upper(), cells[1].upper(), cells[2].upper()
    if action:
        return known_or_other(action)
    if priority.startswith("J"):
        return Kind.SETTING if "CHANGE" in condition else Kind.OTHER
    return Kind.ACTIVATION


WINCC_STATES = {
    "0": Kind.RETURN,
    "1": Kind.ACTIVATION,
    "2": Kind.RETURN,
    "3": Kind.ACKNOWLEDGE,
    "4": Kind.SYSTEM,  # pending after the PLC restarted: not annunciated anew
    "6": Kind.ACKNOWLEDGE,
}


def wincc_kind(cells: tuple[str, ...]) -> Kind:
    """StateAfter, unless the panel speaks of itself (MsgProc 1)."""
    return Kind.SYSTEM if cells[1] == "1" else WINCC_STATES.get(cells[0], Kind.OTHER)


def ignition_kind(cells: tuple[str, ...]) -> Kind:
    """eventtype 0 active, 1 clear, 2 acknowledge."""
    return {"0": Kind.ACTIVATION, "1": Kind.RETURN, "2": Kind.ACKNOWLEDGE}.get(cells[0], Kind.OTHER)


def historian_kind(cells: tuple[str, ...]) -> Kind:
    """AVEVA Historian event types."""
    kind = cells[0].lower()
    if kind.startswith("user.write"):
        return Kind.SETTING
    found = {"alarm.set": Kind.ACTIVATION, "alarm.clear": Kind.RETURN, "alarm.acknowledged": Kind.ACKNOWLEDGE}
    if kind in found:
        return found[kind]
    if re.match(r"alarm\.(silenced|suppressed|disabled)", kind):
        return Kind.UNSUPPRESS if kind.endswith((".off", ".clear", ".reset")) else Kind.SUPPRESS
    return Kind.SYSTEM if kind.startswith("system") else Kind.OTHER


def deltav_kind(cells: tuple[str, ...]) -> Kind:
    """State for alarm rows; CHANGE rows are operator actions."""
    state, event_type = cells[0].upper(), cells[1].upper()
    if event_type == "CHANGE":
        return Kind.SETTING
    if "ALARM" not in event_type and event_type != "SIS":
        return Kind.SYSTEM if event_type == "SYSTEM" else Kind.OTHER
    return known_or_other(state)


def cimplicity_kind(cells: tuple[str, ...]) -> Kind:
    """log_action: generated, acknowledged, reset, deleted."""
    return {"G": Kind.ACTIVATION, "A": Kind.ACKNOWLEDGE, "R": Kind.RETURN}.get(cells[0].upper(), Kind.OTHER)


TRUE = {"true", "1", "active", "yes"}
FALSE = {"false", "0", "inactive", "no"}


def opcua_kind(cells: tuple[str, ...]) -> Kind:
    """ActiveState and AckedState after the change; what hides the alarm from the operator follows."""
    active, acked = cells[0].lower(), cells[1].lower()
    if active in TRUE and any(cell.lower() in TRUE for cell in cells[2:]):
        return Kind.SUPPRESS
    if active in TRUE:
        return Kind.ACTIVATION_OR_ACKNOWLEDGE if acked in TRUE | {"acknowledged"} else Kind.ACTIVATION
    if active in FALSE:
        return Kind.RETURN_OR_ACKNOWLEDGE if acked in TRUE | {"acknowledged"} else Kind.RETURN
    return Kind.OTHER


FORMATS = (
    Format(
        name="Honeywell Experion",
        evidence="source",
        needs=("eventtime", "source", "condition", "action", "priority"),
        time=("eventtime",),
        source=("source",),
        condition=("condition",),
        area=("locationtag",),
        event=("action", "priority", "condition"),
        priority="priority",
        message="description",
        kind=experion_kind,
    ),
    Format(
        name="Siemens WinCC",
        evidence="manual",
        needs=("timems", "msgproc", "stateafter", "msgclass", "msgnumber"),
        time=("timems",),
        source=("msgnumber",),
        condition=("msgclass",),
        area=("plc",),
        event=("stateafter", "msgproc"),
        message="msgtext",
        number_ms=86.4,  # serial days x 1,000,000
        number_offset_ms=-25_569 * 86_400_000.0,
        kind=wincc_kind,
    ),
    Format(
        name="Ignition journal",
        evidence="source",
        needs=("eventid", "source", "eventtype", "eventtime"),
        time=("eventtime",),
        source=("source",),
        event=("eventtype",),
        priority="priority",
        message="displaypath",
        event_id="eventid",
        worst="high",
        kind=ignition_kind,
    ),
    Format(
        name="AVEVA InTouch",
        evidence="manual",
        needs=("alarmstate", "tagname"),
        time=("eventstamputc", "eventstamp"),
        source=("tagname",),
        condition=("type",),
        area=("area",),
        event=("alarmstate",),
        priority="priority",
        message="description",
        worst="low",
        kind=word_kind,
    ),
    Format(
        name="AVEVA Historian",
        evidence="manual",
        needs=("type", "isalarm"),
        time=("eventtimeutc", "eventtime"),
        source=("sourceobject", "source", "sourceprocessvariable"),
        condition=("sourceconditionvariable", "alarmtype"),
        area=("area", "sourcearea"),
        event=("type",),
        priority="priority",
        message="comment",
        worst="low",
        kind=historian_kind,
    ),
    Format(
        name="AVEVA Plant SCADA summary",
        evidence="manual",
        needs=("activetime", "inactivetime", "acktime"),
        begin="activetime",
        end="inactivetime",
        ack="acktime",
        source=("tag", "alarmtag", "name"),
        condition=("alarmtype", "state"),
        area=("area", "cluster"),
        priority="priority",
        message="desc",
        worst="low",
    ),
    Format(
        name="GE CIMPLICITY",
        evidence="source",
        needs=("alarmid", "logaction"),
        time=("timestamputc", "timestamp"),
        source=("alarmid",),
        condition=("alarmclass",),
        area=("resource",),
        event=("logaction",),
        message="alarmmessage",
        kind=cimplicity_kind,
    ),
    Format(
        name="Emerson DeltaV Event Chronicle",
        evidence="unverified",
        needs=("datetime", "eventtype", "module", "attribute", "state"),
        time=("datetime",),
        millisecond="ms",
        source=("module",),
        condition=("attribute",),
        area=("area",),
        event=("state", "eventtype"),
        priority="level",
        message="desc1",
        kind=deltav_kind,
    ),
    Format(
        name="OPC UA alarms and conditions",
        evidence="manual",
        needs=("time", "sourcename", "activestate", "ackedstate"),
        time=("time",),
        source=("sourcename",),
        condition=("conditionname", "conditionid"),
        event=("activestate", "ackedstate", "suppressedorshelved"),
        priority="severity",
        message="message",
        worst="high",
        kind=opcua_kind,
    ),
    Format(
        name="FactoryLM alarm events",
        evidence="manual",
        needs=("time", "source", "name", "active", "acknowledged"),
        time=("time",),
        source=("source",),
        condition=("name",),
        event=("active", "acknowledged", "shelved", "suppressed", "outofservice"),
        priority="severity",
        message="text",
        worst="high",
        kind=opcua_kind,
    ),
)


def known_format(header: tuple[str, ...]) -> Format | None:
    """The format whose needed columns are all there; the one with most of them if several are."""
    names = {plain(cell) for cell in header}
    fitting = [
        known for known in FORMATS if names.issuperset(known.needs) and (known.begin or names.intersection(known.time))
    ]
    return max(fitting, key=lambda known: len(known.needs), default=None)
