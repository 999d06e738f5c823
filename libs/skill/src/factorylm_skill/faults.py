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
    """`set` a fault for the next `times` answers (None: until cleared); a simulator asks before each."""

    delay_s: float = 0.05
    late_s: float = 1.0
    taken: int = 0
    _kind: FaultKind | None = field(default=None, repr=False)
    _left: int | None = field(default=None, repr=False)

    def set(self, kind: FaultKind, times: int | None = 1) -> None:
        """Misbehave so for the next `times` answers."""
        self._kind, self._left = kind, times

    def clear(self) -> None:
        """Behave again."""
        self._kind, self._left = None, None

    def take(self) -> FaultKind | None:
        """The fault for the answer about to be sent."""
        kind = self._kind
        if kind is None:
            return None
        self.taken += 1
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.clear()
        return kind
