"""A process behind a simulator: named signals that move by themselves, some of which can be set.

The pump of `--simulate` is one; the demo plant's areas are others. A simulator given a process lays its signals
out as its protocol would hold them, and describes that layout in the plant file it returns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from factorylm_schema import Value, WriteLimits


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One signal as the control system offers it; a `text` holds at most 16 characters."""

    name: str
    type: Literal["bool", "int", "real", "text"]
    unit: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    enum: dict[int, str] = field(default_factory=dict)
    write: WriteLimits | None = None


class LiveProcess(Protocol):
    """What a simulator serves. Simulators call `advance` before they answer."""

    @property
    def signals(self) -> Sequence[Signal]:
        """What there is, in the order of the layout."""
        ...

    def advance(self) -> None:
        """Bring everything up to the clock's present moment."""
        ...

    def value(self, name: str) -> Value:
        """The present value of a signal."""
        ...

    def set(self, name: str, value: Value) -> None:
        """A write has arrived for a signal that has write limits."""
        ...
