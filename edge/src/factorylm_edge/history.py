"""What a history does, whichever engine keeps it. Plain calls: they run in a thread of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from factorylm_schema import AlarmEvent, FactoryLMError

from factorylm_edge.sample import Sample
from factorylm_edge.windows import Window

DAY_S = 86_400


class HistoryError(FactoryLMError):
    """The history cannot be opened, read or written."""

    code = "HISTORY"


class HistoryFullError(HistoryError):
    """No room: nothing of the batch was kept, and the same batch may be given again."""

    code = "HISTORY_FULL"


@dataclass(frozen=True, kw_only=True)
class TagRecord:
    """One tag of the history."""

    name: str
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Samples of one tag in order of time; `damaged` says what could not be read."""

    samples: list[Sample]
    truncated: bool = False
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long samples are kept, then one-minute windows, then one-hour windows; and the most bytes of all."""

    sample_days: float = 90
    minute_days: float = 730
    hour_days: float = 3650
    most_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What retention did: samples made into windows, windows made into wider ones, and what was dropped."""

    summed_up: int = 0
    dropped: int = 0


class History(Protocol):
    """Acknowledged is committed: what `append` has returned from survives a kill."""

    def describe(self, tags: Sequence[TagRecord]) -> None:
        """Units and descriptions, for readers."""
        ...

    def append(self, samples: Sequence[Sample], *, source: str = "", number: int = 0) -> bool:
        """Keep the batch, whole or not at all.

        With a `source`, `number` counts its batches up: one that was taken before is not taken again (False).
        """
        ...

    def read(self, tag: str, start_us: int, end_us: int, limit: int = 0) -> Trace:
        """Samples from `start_us` until before `end_us`; with a limit, the first so many."""
        ...

    def windows(self, tag: str, start_us: int, end_us: int, width_us: int) -> list[Window]:
        """The same span as windows, also where only windows are left."""
        ...

    def latest(self, tag: str, before_us: int) -> Sample | None:
        """The last sample before a time."""
        ...

    def span(self, tag: str) -> tuple[int, int] | None:
        """The first and the last time there is anything of the tag."""
        ...

    def tags(self) -> list[TagRecord]:
        """All tags, by name."""
        ...

    def append_events(self, events: Sequence[AlarmEvent]) -> None:
        """Alarm events stand beside the values; one with an `event_id` is kept once."""
        ...

    def events(self, start_us: int, end_us: int, limit: int) -> list[AlarmEvent]:
        """Alarm events in order of time."""
        ...

    def compact(self, *, everything: bool = False) -> int:
        """Make recent samples small; returns how many."""
        ...

    def retain(self, retention: Retention, now_us: int) -> Kept:
        """Sum up what is old, drop what is too old or too much."""
        ...

    def used_bytes(self) -> int:
        """What it takes on disk."""
        ...

    def close(self) -> None:
        """Let go."""
        ...
