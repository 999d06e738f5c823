"""One tag on its way: what its address asks for, and the reading that a reply makes of it."""

from dataclasses import dataclass
from datetime import datetime

from factorylm_schema import Quality, Reading, Tag, Value
from factorylm_skill.engineering import to_reading

from factorylm_enip.address import Address, AddressError, parse
from factorylm_enip.cip import OUT_OF_RANGE, Reply, Status
from factorylm_enip.plan import Want
from factorylm_enip.values import (
    ATOMIC_BY_NAME,
    DWORD,
    STRING,
    STRUCTURE,
    Elements,
    Kind,
    UnfitValueError,
    bit_of,
)

# how large a value may be of which nothing is known: an elementary one, or where that was too small, a text
WIDEST_ATOMIC = Kind(code=0, size=8)


@dataclass(frozen=True)
class Problem:
    """Why there is no value."""

    quality: Quality
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tag and its parsed address; `declared` is the type the plant file says, if it says one.

    `plain`: the element's value as it comes, no bit of it, and no type that it must have.
    """

    tag: Tag
    address: Address
    declared: Kind | None
    plain: bool

    def want(self, kind: Kind | None, guess: Kind) -> Want | None:
        """What to plan for; None while an array's kind must first be learnt (BOOL arrays count in words)."""
        element = self.address.element
        kind = kind or self.declared
        if element is None:
            kind = kind or guess
            return Want(segments=self.address.segments, size=kind.size, prefix=_prefix(kind))
        if kind is None:
            return None
        element = element // 32 if kind.code == DWORD else element
        return Want(segments=self.address.array.segments, size=kind.size, element=element, prefix=_prefix(kind))

    def reading(self, elements: Elements, place: int, time: datetime) -> Reading:
        """The reading of one element of an answer."""
        if self.declared is not None and (wrong := self._mismatch(elements.kind)):
            return self.problem(wrong, time)
        try:
            value = self._value(elements, place)
        except UnfitValueError as error:
            return self.problem(Problem(Quality.BadTypeMismatch, str(error), _HINTS["type"]), time)
        return to_reading(self.tag, value, time, address=self.address.text, raw=elements.raw[place])

    def refused(self, reply: Reply, time: datetime) -> Reading:
        """The reading that a refusal makes."""
        return self.problem(_refusal(reply), time)

    def problem(self, problem: Problem, time: datetime) -> Reading:
        """A reading without a value."""
        return Reading(
            tag=self.tag.id,
            unit=self.tag.unit,
            time=time,
            quality=problem.quality,
            problem=problem.text,
            hint=problem.hint,
            address=self.address.text,
        )

    def _value(self, elements: Elements, place: int) -> Value:
        kind, bit = elements.kind, self.address.bit
        if kind.code == DWORD:
            if self.address.element is None or bit is not None:
                array = self.address.array.text
                raise UnfitValueError(f"{array} is an array of BOOL; name one element, like {array}[0]")
            bit = self.address.element % 32
        return elements.value(place) if bit is None else bit_of(kind, elements.data(place), bit)

    def _mismatch(self, kind: Kind) -> Problem | None:
        """A type that changed in the controller must not pass for the one in the plant file."""
        declared = self.declared
        if declared is None or kind.code == declared.code != STRUCTURE:
            return None
        if declared.capacity is not None and kind.capacity is not None:
            return None  # STRING stands for every string type, also those with another length
        return Problem(
            Quality.BadTypeMismatch,
            f"{self.address.text} is {kind.name} in the controller, and the plant file says {declared.name}",
            "Correct the type in the plant file, or leave it out to take the controller's",
        )


_HINTS = {
    "type": "browse shows the type and, for a structure, its members",
    "name": "browse shows the controller's tags; a download may have renamed this one",
    "range": "browse shows how long the array is",
    "access": "External Access of this tag is set to None in the controller's project",
    "other": "Try again; if it stays, the status stands in the controller's manual",
}


def wanted_of(tag: Tag) -> Wanted:
    """A tag with its address parsed; raises AddressError."""
    address = parse(tag.address)
    declared = declared_kind(tag.type, address)
    return Wanted(tag, address, declared, plain=declared is None and address.bit is None)


def declared_kind(name: str, address: Address) -> Kind | None:
    """The kind that a plant file's type means at an address; raises AddressError for an unknown type."""
    if not name or address.bit is not None:
        return None
    if name.upper() == "STRING":
        return STRING
    if name.upper() == "BOOL" and address.element is not None:
        return Kind(code=DWORD, size=4)
    atomic = ATOMIC_BY_NAME.get(name.upper())
    if atomic is None or atomic.code == DWORD:
        known = ", ".join(n for n in ATOMIC_BY_NAME if n != "DWORD")
        raise AddressError(f"type {name!r} is none of {known}, STRING; leave it out to take the controller's")
    return Kind(code=atomic.code, size=atomic.size)


def unreadable(tag: Tag, error: AddressError, time: datetime) -> Reading:
    """The reading of a tag whose address is none."""
    return Reading(
        tag=tag.id,
        unit=tag.unit,
        time=time,
        quality=Quality.BadNodeIdInvalid,
        problem=str(error),
        hint="browse shows the controller's tags",
        address=tag.address,
    )


def _prefix(kind: Kind | None) -> int:
    return 4 if kind is not None and kind.code == STRUCTURE else 2


def _refusal(reply: Reply) -> Problem:
    if reply.status in (Status.PATH_SEGMENT_ERROR, Status.PATH_UNKNOWN):
        return Problem(Quality.BadNodeIdUnknown, reply.told, _HINTS["name"])
    if reply.status == Status.GENERAL and reply.extended == OUT_OF_RANGE:
        return Problem(Quality.BadOutOfRange, reply.told, _HINTS["range"])
    if reply.status == Status.PRIVILEGE_VIOLATION:
        return Problem(Quality.BadUserAccessDenied, reply.told, _HINTS["access"])
    if reply.status == Status.SERVICE_NOT_SUPPORTED:
        return Problem(Quality.BadServiceUnsupported, reply.told, _HINTS["other"])
    if reply.status == Status.RESOURCE_UNAVAILABLE:
        return Problem(Quality.BadResourceUnavailable, reply.told, _HINTS["other"])
    return Problem(Quality.BadDeviceFailure, reply.told, _HINTS["other"])
