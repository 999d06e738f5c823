"""How messages go from those who collect to those who read: in one process, or through NATS JetStream."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """One message; it comes again to the same reader until it is acknowledged."""

    subject: str
    data: bytes
    acknowledge: Callable[[], Awaitable[None]]


class Bus(Protocol):
    """Every named reader gets every message of its subjects, in order, also those sent while it was away."""

    async def publish(self, subject: str, data: bytes, *, id: str) -> None:  # noqa: A002 (the word of the wire)
        """Returns when the bus has it; the same id again, within minutes, is not delivered again."""
        ...

    async def join(self, subject: str, *, reader: str) -> None:
        """From now on messages are kept for `reader`; `*` stands for one part of a subject, `>` for all that follow."""
        ...

    def read(self, reader: str) -> AsyncIterator[Message]:
        """What was not acknowledged yet, then what comes; the next when the one before is acknowledged."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


def fits(subject: str, pattern: str) -> bool:
    """Whether a subject is one of a pattern's (NATS' rules)."""
    parts, wanted = subject.split("."), pattern.split(".")
    for at, want in enumerate(wanted):
        if want == ">":
            return len(parts) > at
        if at >= len(parts) or want not in ("*", parts[at]):
            return False
    return len(parts) == len(wanted)


@dataclass
class _Reader:
    pattern: str
    waiting: "OrderedDict[int, tuple[str, bytes]]" = field(default_factory=OrderedDict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


@dataclass
class LocalBus:
    """Within one process; it keeps `most_waiting` messages a reader, then publishing waits for the slowest."""

    most_waiting: int = 10_000
    most_ids: int = 100_000
    _readers: dict[str, _Reader] = field(default_factory=dict)
    _ids: "OrderedDict[str, None]" = field(default_factory=OrderedDict)
    _number: int = 0

    async def publish(self, subject: str, data: bytes, *, id: str) -> None:  # noqa: A002
        """Hand it to every reader whose pattern it fits."""
        if id in self._ids:
            return
        self._ids[id] = None
        if len(self._ids) > self.most_ids:
            self._ids.popitem(last=False)
        self._number += 1
        number = self._number
        for reader in [reader for reader in self._readers.values() if fits(subject, reader.pattern)]:
            async with reader.changed:
                while len(reader.waiting) >= self.most_waiting:
                    await reader.changed.wait()
                reader.waiting[number] = (subject, data)
                reader.changed.notify_all()

    async def join(self, subject: str, *, reader: str) -> None:
        """Known from now on."""
        self._readers.setdefault(reader, _Reader(subject))

    async def read(self, reader: str) -> AsyncIterator[Message]:
        """In order of publishing."""
        found, last = self._readers[reader], 0
        while True:
            async with found.changed:
                while next(iter(found.waiting), last) == last:
                    await found.changed.wait()
                last = next(iter(found.waiting))
                subject, data = found.waiting[last]
            yield Message(subject, data, _acknowledges(found, last))

    async def close(self) -> None:
        """Forget everybody."""
        self._readers.clear()


def _acknowledges(reader: _Reader, number: int) -> Callable[[], Awaitable[None]]:
    async def acknowledge() -> None:
        async with reader.changed:
            reader.waiting.pop(number, None)
            reader.changed.notify_all()

    return acknowledge
