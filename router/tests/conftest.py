"""A router in front of scripted providers, all on real sockets of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from factorylm_router.money import Price
from factorylm_router.service import Service
from factorylm_router.simulated import Said, ScriptedModel, SimulatedProvider, echo

PRICES = {
    "cheap": (0.30, 1.20),
    "second": (0.10, 0.50),
    "premium": (4.0, 20.0),
    "local": (0, 0),
    "claude": (3.0, 15.0),
}
OWNERS = {"local": "site", "claude": "claude"}


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


def price_of(name: str) -> Price:
    into, out = PRICES.get(name, PRICES["cheap"])
    nano_in, nano_out = int(into * 1000), int(out * 1000)
    return Price(
        in_nano=nano_in,
        out_nano=nano_out,
        cached_nano=nano_in,
        cache_write_nano=nano_in,
        as_of=date(2026, 11, 1),
    )


def scripted(name: str, answer: Callable[[dict[str, Any]], Said] = echo, **more: Any) -> ScriptedModel:
    return ScriptedModel(answer=answer, price=price_of(name), **more)


def config_text(outside: str, site: str, *, tables: str = "", server: str = "", path: Path) -> str:
    models = "".join(
        f'[models.{name}]\nprovider = "{OWNERS.get(name, "outside")}"\n'
        f"price = {{ input = {into}, output = {out}, as_of = 2026-11-01 }}\n"
        for name, (into, out) in PRICES.items()
    )
    return f"""
[server]
port = 0
state = "sqlite:{path / "router.db"}"
{server}
[providers.outside]
url = "{outside}"
stall_timeout_s = 5
[providers.claude]
url = "{outside}"
kind = "anthropic"
stall_timeout_s = 5
[providers.site]
url = "{site}"
where = "plant"
stall_timeout_s = 5
{models}
[roles]
local = ["local"]
cheap = ["cheap", "second"]
premium = ["premium"]
{tables}
"""


class Plant:
    """Two scripted providers, one on site and one outside, and the router before them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = ("cheap", "second", "premium", "claude")
        self.outside = SimulatedProvider({name: scripted(name) for name in names})
        self.site = SimulatedProvider({"local": scripted("local")})
        self.service: Any = None
        self.url = ""

    @asynccontextmanager
    async def running(self, tables: str = "", server: str = "") -> AsyncIterator["Plant"]:
        async with AsyncExitStack() as stack:
            outside = await stack.enter_async_context(self.outside.running())
            site = await stack.enter_async_context(self.site.running())
            self.urls = (outside, site)
            self.file = self.path / "router.toml"
            self.write(tables, server)
            self.service = await stack.enter_async_context(Service(self.file).running())
            self.url = f"http://127.0.0.1:{self.service.port}"
            self.http = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    def write(self, tables: str = "", server: str = "") -> None:
        text = config_text(*self.urls, tables=tables, server=server, path=self.path)
        self.file.write_text(text)

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(self.url + path, json=body, headers=named) as response:
            return response.status, await response.json(), dict(response.headers)

    @asynccontextmanager
    async def raw(self, body: bytes) -> AsyncIterator[Any]:
        async with self.http.post(self.url + "/v1/chat/completions", data=body) as response:
            yield response

    async def chat(self, model: str, text: str = "hello", **more: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        headers = more.pop("headers", {})
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return await self.post("/v1/chat/completions", body, **headers)

    async def rows(self) -> list[Any]:
        await self.service.gateway.settled()
        return list(reversed(await self.service.state.rows(limit=100_000)))


PUBLIC = '[policy]\ndefault_class = "public"\n'


@pytest.fixture
def public() -> str:
    """The tables of a router whose owner lets everything leave."""
    return PUBLIC


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


@pytest.fixture
def script() -> Callable[..., ScriptedModel]:
    return scripted


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def within() -> Callable[..., Any]:
    """Wait for something to become true, with a bound."""

    async def wait(condition: Callable[[], Any], timeout_s: float = 5.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 -- bounded
                await asyncio.sleep(0.005)

    return wait
