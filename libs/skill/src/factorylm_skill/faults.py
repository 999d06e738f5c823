"""The switches with which a simulator misbehaves, the same in every protocol."""

from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What the next answers do instead of being right."""

    REFUSE = "refuse"  # the device answers with an error of its protocol
    DROP = "drop"  # no answer at all
    DELAY = "delay"  # the right answer, later than asked but within the timeout
    LATE = "late"  # the right answer, after the timeout
    GARBAGE = "garbage"  # bytes that are not the protocol
    SHORT = "short"  # a well-framed answer with fewer values than asked
    LONG = "long"  # a well-framed answer with more values than asked
    TRUNCATED = "truncated"  # the connection ends in the middle of the answer
    WRONG_SEQUENCE = "wrong-sequence"  # somebody else's answer: transaction, sequence or request id
    WRONG_UNIT = "wrong-unit"  # an answer from another unit, slot or session
    DISCONNECT = "disconnect"  # the connection closes without an answer
    TRICKLE = "trickle"  # the right answer, byte by byte


@dataclass
class FaultSwitches:
    """`set` a fault for the next `times` answers (None: until cleared); a simulator asks `take` before each answer.

    `writes` counts the writes that arrived, so that a test can tell a repeated one.
    """

    delay_s: float = 0.05
    late_s: float = 1.0
    writes: int = 0
    _kind: FaultKind | None = field(default=None, repr=False)
    _left: int | None = field(default=None, repr=False)
    _writes_only: bool = field(default=False, repr=False)

    def set(self, kind: FaultKind, times: int | None = 1, *, writes_only: bool = False) -> None:
        """Misbehave so for the next `times` answers, or only for answers to writes."""
        self._kind, self._left, self._writes_only = kind, times, writes_only

    def clear(self) -> None:
        """Behave again."""
        self._kind, self._left, self._writes_only = None, None, False

    def take(self, *, writing: bool = False) -> FaultKind | None:
        """The fault for the answer about to be sent; `writing` says that a write is being answered."""
        self.writes += writing
        kind = self._kind
        if kind is None or (self._writes_only and not writing):
            return None
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.clear()
        return kind
