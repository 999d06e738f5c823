"""Tag paths as the controller knows them: `Program:Main.Motor[3].Speed`, `Status.5`, `Local:1:I.Data`.

The canonical text is the controller's own path without blanks. Logix compares names without case, so two
spellings of one tag are one address (`key`). A path is sent by name, never by symbol instance id: after a
download an id may belong to another tag.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from factorylm_enip import cip

FORMS = "Speed, Motor.Speed, Array[3], Grid[1,2], Status.5 (bit 5) or Program:Main.Speed"

# 1756-PM020: at most 40 characters, first a letter or an underscore; a module tag joins names with colons
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,39}"
_STEP = re.compile(
    rf"(?P<name>{_NAME}(?::(?:{_NAME}|\d{{1,3}})){{0,3}})"
    r"(?:\[(?P<index>\d{1,10}(?:,\d{1,10}){0,2})\])?"
)
_MAX_INDEX = 0xFFFFFFFF
_MAX_BIT = 63
_MAX_PATH_BYTES = 510  # the path's length is one byte that counts 16-bit words


class AddressError(ValueError):
    """Not an address; the sentence names the forms that are."""


@dataclass(frozen=True)
class Step:
    """One name of a path, with its indices."""

    name: str
    index: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}[{','.join(map(str, self.index))}]" if self.index else self.name

    @property
    def segments(self) -> bytes:
        return cip.symbol(self.name) + b"".join(map(cip.member, self.index))


@dataclass(frozen=True)
class Address:
    """A parsed path; `bit` picks one bit of an integer."""

    steps: tuple[Step, ...]
    bit: int | None = None

    def __str__(self) -> str:
        text = ".".join(map(str, self.steps))
        return text if self.bit is None else f"{text}.{self.bit}"

    @cached_property
    def text(self) -> str:
        """The canonical text."""
        return str(self)

    @cached_property
    def key(self) -> str:
        """Equal for every spelling of the same tag."""
        return self.text.lower()

    @cached_property
    def program(self) -> str:
        """The program whose tag this is; empty for a controller tag."""
        first = self.steps[0].name
        return first.partition(":")[2] if first.lower().startswith("program:") else ""

    @cached_property
    def element(self) -> int | None:
        """The last index where there is exactly one: a place in an array that neighbours may share."""
        index = self.steps[-1].index
        return index[0] if len(index) == 1 else None

    @cached_property
    def array(self) -> "Address":
        """What is read from the wire: this path without its element index and without its bit."""
        if self.element is None:
            return self if self.bit is None else Address(self.steps)
        last = Step(self.steps[-1].name)
        return Address((*self.steps[:-1], last))

    @cached_property
    def segments(self) -> bytes:
        """The request path without its length and without the bit."""
        return b"".join(step.segments for step in self.steps)


def sayable(names: Iterable[str]) -> list[str]:
    """Those that are names: what else a device claims to be one does not belong into a sentence."""
    return [name for name in names if _STEP.fullmatch(name)]


@lru_cache(maxsize=20_000)
def parse(text: str) -> Address:
    """The address in `text`; raises AddressError with the allowed forms."""
    compact = re.sub(r"\s+", "", text)
    if not compact:
        raise AddressError(f"the address is empty; write a tag path like {FORMS}")
    if compact.endswith("}"):
        array = compact.partition("{")[0]
        raise AddressError(
            f"{text!r} asks for many values at once, and a tag is one value; "
            f"name the elements ({array}[0], {array}[1] …): neighbours are read together anyway"
        )
    parts = _dotted(compact)
    bit = _bit(parts, text)
    steps = tuple(_step(part, text) for part in parts)
    if steps[0].name.lower().startswith("program:") and (len(steps) < 2 or steps[0].index):
        raise AddressError(f"{text!r} names a program and no tag in it; write Program:Main.Speed")
    address = Address(steps, bit)
    if len(address.segments) > _MAX_PATH_BYTES:
        raise AddressError(f"{text[:60]!r}… is longer than a request path can be ({_MAX_PATH_BYTES} bytes)")
    return address


def _dotted(compact: str) -> list[str]:
    return re.split(r"\.(?![^\[]*\])", compact)


def _bit(parts: list[str], text: str) -> int | None:
    if len(parts) < 2 or not parts[-1].isdecimal():
        return None
    bit = int(parts.pop()[:9])
    if bit > _MAX_BIT:
        raise AddressError(f"{text!r}: an integer has at most bits 0 to {_MAX_BIT}, not {bit}")
    return bit


def _step(part: str, text: str) -> Step:
    found = _STEP.fullmatch(part)
    if not found:
        raise AddressError(f"{text[:80]!r} is not a tag path ({part[:40]!r} is no name); write {FORMS}")
    index = tuple(int(number) for number in (found["index"] or "").split(",") if number)
    if any(number > _MAX_INDEX for number in index):
        raise AddressError(f"{text[:80]!r}: an index is at most {_MAX_INDEX}")
    return Step(found["name"], index)
