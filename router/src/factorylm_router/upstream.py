"""The only place that opens a socket to a provider, and so the last gate of the data policy."""

import asyncio
import io
import ipaddress
import random
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from factorylm_router.config import Config, ProviderConfig, provider_key
from factorylm_router.policy import Ruling, judge_egress
from factorylm_router.resilience import Breaker, FailedAttempt, Trouble, retry_after_s

MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
LARGE_BODY = 512 * 1024
ANTHROPIC_VERSION = "2023-06-01"


class OnSiteResolver(AbstractResolver):
    """Resolves names for providers in the plant and refuses addresses that are not: a poisoned or
    mistyped name must not carry plant data away."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if ipaddress.ip_address(result["host"].split("%")[0]).is_global:
                raise OSError(f"{host} is configured as on site but resolves to a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Provider:
    """One provider's connections, queue and breakers."""

    def __init__(self, name: str, config: ProviderConfig) -> None:
        self.name = name
        self.config = config
        self.breakers: dict[str, Breaker] = {}
        self.under_way = 0
        self._urls: dict[str, URL] = {}
        self.idle = asyncio.Event()
        self.idle.set()
        self._slots = asyncio.Semaphore(config.at_once)
        self._waiting = 0
        self._headers = _fixed_headers(name, config)
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=OnSiteResolver() if config.where == "plant" else None,
            ssl=ssl.create_default_context(cafile=config.ca_file) if config.ca_file else True,
            keepalive_timeout=15,
        )
        timeout = aiohttp.ClientTimeout(
            total=config.timeout_s, sock_connect=config.connect_timeout_s, sock_read=config.stall_timeout_s
        )
        # trust_env stays off: a proxy from the environment would see plant data. No cookies, no redirects.
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            skip_auto_headers=("User-Agent",),
        )

    def breaker(self, model: str) -> Breaker:
        found = self.breakers.get(model)
        if found is None:
            found = self.breakers[model] = Breaker()
        return found

    async def post(self, path: str, body: bytes, ruling: Ruling, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The provider's good answer; anything else is a FailedAttempt. Whoever gets it calls `finish`."""
        judge_egress(ruling, self.name, self.config)
        await self._take_slot()
        try:
            response = await self._answer(self._url(path), body, {**self._headers, **headers})
            try:
                await _judge_status(response, self.name)
            except BaseException:
                response.close()
                raise
        except BaseException:
            self._free_slot()
            raise
        return response

    def finish(self, response: aiohttp.ClientResponse) -> None:
        """A response that was not read to its end closes its connection: the only way to tell a provider
        to stop."""
        if response.content.at_eof():
            response.release()
        else:
            response.close()
        self._free_slot()

    def _url(self, path: str) -> URL:
        found = self._urls.get(path)
        if found is None:
            found = self._urls[path] = URL(self.config.url + path)
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
        self.under_way += 1
        self.idle.clear()

    def _free_slot(self) -> None:
        self.under_way -= 1
        if not self.under_way:
            self.idle.set()
        self._slots.release()

    async def _answer(self, url: URL, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        try:
            data = io.BytesIO(body) if len(body) > LARGE_BODY else body  # sent in pieces: the loop goes on
            return await self._session.post(url, data=data, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise translated(error, self.name) from error

    async def close(self) -> None:
        await self._session.close()


def _fixed_headers(name: str, config: ProviderConfig) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "factorylm-router",
    }
    key = provider_key(name, config)
    if key and config.kind == "anthropic":
        headers["x-api-key"] = key
    elif key:
        headers["Authorization"] = f"Bearer {key}"
    if config.kind == "anthropic":
        headers["anthropic-version"] = ANTHROPIC_VERSION
    return headers


async def _judge_status(response: aiohttp.ClientResponse, name: str) -> None:
    status = response.status
    if status < 300:
        return
    if status < 400:
        # aiohttp and openai follow redirects and send the body again: a 307 moves the prompt elsewhere.
        raise FailedAttempt(
            trouble=Trouble.REDIRECT, status=status, message=f"{name} wanted to redirect the request; refused"
        )
    try:
        body = await response.content.read(MAX_ERROR_BYTES)
    except (aiohttp.ClientError, OSError, TimeoutError):
        body = b""
    raise FailedAttempt(
        trouble=Trouble.STATUS,
        status=status,
        message=f"{name} answered {status}",
        retry_after_s=retry_after_s(response.headers.get("Retry-After"), time.time()),
        body=body,
    )


def translated(error: Exception, name: str) -> FailedAttempt:
    """aiohttp's and the system's exceptions as what they mean for the request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return FailedAttempt(
            trouble=Trouble.CERTIFICATE, message=f"{name} could not prove who it is: its certificate fails"
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
        return FailedAttempt(trouble=Trouble.CONNECT, message=f"no connection to {name}")
    if isinstance(error, TimeoutError):
        return FailedAttempt(trouble=Trouble.TIMEOUT, message=f"{name} did not answer in time")
    if isinstance(error, aiohttp.ClientPayloadError):
        return FailedAttempt(trouble=Trouble.CUT, message=f"the answer of {name} broke off")
    return FailedAttempt(trouble=Trouble.LOST, message=f"the connection to {name} was lost")


async def whole_answer(response: aiohttp.ClientResponse, name: str) -> bytes:
    """All bytes of an answer that is not a stream."""
    try:
        data = await response.content.read(-1)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise translated(error, name) from error
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
