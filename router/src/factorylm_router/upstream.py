"""The only place that sends anything to a provider, and so the last gate of the data policy."""

import asyncio
import random
import time
from collections import deque
from typing import Any

from yarl import URL

from factorylm_router.config import Config, ProviderConfig, provider_key
from factorylm_router.connection import Connection
from factorylm_router.dialing import dialled, trust
from factorylm_router.errors import ConfigError
from factorylm_router.policy import Ruling, judge_egress
from factorylm_router.resilience import Breaker, FailedAttempt, Trouble, retry_after_s

MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
ANTHROPIC_VERSION = "2023-06-01"


class Provider:
    """One provider's connections, queue and breakers."""

    def __init__(self, name: str, config: ProviderConfig) -> None:
        self.name = name
        self.config = config
        self.breakers: dict[str, Breaker] = {}
        self.under_way = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._slots = asyncio.Semaphore(config.at_once)
        self._waiting = 0
        self._url = URL(config.url)
        self._trust = trust(name, config)
        self._head = _head(name, config, self._url)
        self._heads: dict[str, bytes] = {}
        self._resting: deque[Connection] = deque()

    def breaker(self, model: str) -> Breaker:
        found = self.breakers.get(model)
        if found is None:
            found = self.breakers[model] = Breaker()
        return found

    async def post(self, path: str, body: bytes, ruling: Ruling, attempt_id: str) -> Connection:
        """The provider's good answer; anything else is a FailedAttempt. Whoever gets it calls `finish`.

        The provider's books and ours share the attempt's id. Nothing of the client's headers goes on."""
        judge_egress(ruling, self.name, self.config)
        await self._take_slot()
        connection: Connection | None = None
        try:
            connection = self._rested() or await dialled(self.name, self.config, self._url, self._trust)
            line = b"%bX-Request-Id: %b\r\nContent-Length: %d\r\n\r\n"
            await connection.send(line % (self._head_for(path), attempt_id.encode(), len(body)), body)
            if connection.status >= 300:
                await _refuse_status(connection, self.name)
        except BaseException:
            if connection is not None:
                connection.close()
            self._free_slot()
            raise
        return connection

    def finish(self, connection: Connection) -> None:
        """An answer that was not read to its end closes its connection."""
        while self._resting and not self._resting[0].is_reusable:
            self._resting.popleft()  # those that rested longest were closed first: a burst leaves nothing behind
        if connection.is_reusable:
            connection.rest()
            self._resting.append(connection)
        else:
            connection.close()
        self._free_slot()

    def _rested(self) -> Connection | None:
        """The connection used last; those that were closed meanwhile are dropped."""
        while self._resting:
            connection = self._resting.pop()
            if connection.is_reusable:
                return connection
        return None

    def _head_for(self, path: str) -> bytes:
        found = self._heads.get(path)
        if found is None:
            target = self._url.raw_path.rstrip("/") + path
            found = self._heads[path] = b"POST %b HTTP/1.1\r\n%b" % (target.encode("ascii"), self._head)
        return found

    async def _take_slot(self) -> None:
        """Backpressure: local servers answer one at a time, and a queue without end helps nobody."""
        if self._slots.locked():
            if self._waiting >= self.config.queue:
                raise FailedAttempt(trouble=Trouble.BUSY, message=f"{self.name} is busy and its queue is full")
            self._waiting += 1
            try:
                await self._slots.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._slots.acquire()
        if not self.under_way:
            self.idle.clear()
        self.under_way += 1

    def _free_slot(self) -> None:
        self.under_way -= 1
        if not self.under_way:
            self.idle.set()
        self._slots.release()

    async def close(self) -> None:
        while self._resting:
            self._resting.pop().close()


def _head(name: str, config: ProviderConfig, url: URL) -> bytes:
    """What stands in the head of every request to this provider."""
    headers = {
        "Host": url.host_port_subcomponent or "",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Accept-Encoding": "identity",
        "User-Agent": "factorylm-router",
    }
    key = provider_key(name, config)
    if key and (not key.isascii() or not key.isprintable()):
        raise ConfigError(f"providers.{name}: its key holds characters that no header may carry")
    if key and config.kind == "anthropic":
        headers["x-api-key"] = key
    elif key:
        headers["Authorization"] = f"Bearer {key}"
    if config.kind == "anthropic":
        headers["anthropic-version"] = ANTHROPIC_VERSION
    return "".join(f"{header}: {value}\r\n" for header, value in headers.items()).encode("ascii")


async def _refuse_status(connection: Connection, name: str) -> None:
    status = connection.status
    if status < 400:
        # General clients follow redirects and send the body again: a 307 moves the prompt elsewhere.
        raise FailedAttempt(
            trouble=Trouble.REDIRECT, status=status, message=f"{name} wanted to redirect the request; refused"
        )
    try:
        body = await connection.whole(MAX_ERROR_BYTES)
    except FailedAttempt:
        body = b""
    raise FailedAttempt(
        trouble=Trouble.STATUS,
        status=status,
        message=f"{name} answered {status}",
        retry_after_s=retry_after_s(connection.headers.get(b"retry-after", b"").decode("latin-1") or None, time.time()),
        body=body,
    )


async def whole_answer(connection: Connection, name: str) -> bytes:
    """All bytes of an answer that is not a stream."""
    data = await connection.whole(MAX_ANSWER_BYTES)
    if len(data) > MAX_ANSWER_BYTES:
        raise FailedAttempt(trouble=Trouble.GARBAGE, message=f"the answer of {name} is too large")
    return data


class Providers:
    """All providers of one configuration; a changed configuration gets a new set, and this one drains."""

    def __init__(self, config: Config) -> None:
        self._providers = {name: Provider(name, provider) for name, provider in config.providers.items()}

    def __getitem__(self, name: str) -> Provider:
        return self._providers[name]

    def health(self, now_s: float) -> dict[str, Any]:
        return {
            f"{name}/{model}": breaker.state(now_s)
            for name, provider in self._providers.items()
            for model, breaker in provider.breakers.items()
        }

    async def idle(self) -> None:
        """Nothing is under way at any of them."""
        for provider in self._providers.values():
            await provider.idle.wait()

    async def close(self) -> None:
        for provider in self._providers.values():
            await provider.close()


def draw() -> float:
    return random.random()  # noqa: S311 -- jitter, no secret
