"""How many samples a second are kept, over the last minute."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

_SECONDS = 60


class Counted(Protocol):
    """A device's count."""

    name: str
    samples: int


@dataclass
class Pace:
    """Noted once a second; the empty name is that of all."""

    _noted: deque[tuple[float, dict[str, int]]] = field(default_factory=lambda: deque(maxlen=_SECONDS + 1))

    def note(self, now_s: float, kept: int, devices: Iterable[Counted]) -> None:
        """The counts as they are now."""
        self._noted.append((now_s, {"": kept, **{device.name: device.samples for device in devices}}))

    def per_s(self, name: str) -> float:
        """Zero until it was noted twice; a count that began anew begins with nothing."""
        if len(self._noted) < 2:
            return 0.0
        (begun_s, first), (ended_s, last) = self._noted[0], self._noted[-1]
        return max(0, last.get(name, 0) - first.get(name, 0)) / (ended_s - begun_s)
