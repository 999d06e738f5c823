"""Numbered events with a memory: a browser that reconnects names the last one it saw and gets the rest."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

_REMEMBERED = 2_000
FORGOTTEN = -1


@dataclass(frozen=True)
class Event:
    """One change of one kind."""

    number: int
    kind: str
    data: Any

    def wire(self, life: str) -> str:
        """As server-sent event."""
        return f"id: {life}.{self.number}\nevent: {self.kind}\ndata: {json.dumps(self.data, ensure_ascii=False)}\n\n"


@dataclass
class Stream:
    """`publish` adds an event; `follow` yields all events after a number, then each new one."""

    last: int = 0
    followers: int = 0
    # a browser that comes back after a restart must not take the new server's events for the old one's
    life: str = field(default_factory=lambda: secrets.token_hex(4))
    _events: deque[Event] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _fresh: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, kind: str, data: Any) -> None:
        """Number the event and wake the followers."""
        self.last += 1
        self._events.append(Event(self.last, kind, data))
        self._fresh.set()
        self._fresh = asyncio.Event()

    @property
    def last_id(self) -> str:
        """Names the last event, for `number_of`."""
        return f"{self.life}.{self.last}"

    def number_of(self, event_id: str) -> int:
        """The number in an id of this stream; another server's, or nonsense, is as good as long forgotten."""
        life, _, number = event_id.partition(".")
        return int(number) if life == self.life and number.isdecimal() else FORGOTTEN

    def after(self, number: int) -> list[Event] | None:
        """The events after `number`; None when some of them are forgotten, so that a snapshot is needed."""
        if number == FORGOTTEN or number > self.last or (self._events and number < self._events[0].number - 1):
            return None
        return [event for event in self._events if event.number > number]

    async def follow(self, number: int) -> AsyncIterator[Event]:
        """From `number` on, without end; where too much was missed, first a `reload`."""
        self.followers += 1
        try:
            while True:
                fresh = self._fresh
                missed = self.after(number)
                if missed is None:
                    number = self.last
                    yield Event(number, "reload", {})
                    continue
                for event in missed:
                    number = event.number
                    yield event
                if number == self.last:
                    await fresh.wait()
        finally:
            self.followers -= 1
