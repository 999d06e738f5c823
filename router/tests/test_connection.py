"""The wire to a provider, byte by byte: what real servers send, and what broken ones do."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from factorylm_router.config import DataClass, ProviderConfig
from factorylm_router.connection import HIGH_WATER_BYTES, MAX_HEAD_BYTES
from factorylm_router.errors import ConfigError
from factorylm_router.policy import Ruling
from factorylm_router.resilience import FailedAttempt, Trouble
from factorylm_router.upstream import Provider

pytestmark = pytest.mark.anyio
PUBLIC = Ruling(DataClass.PUBLIC, "test")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Says what the test tells it to say, and counts who called."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.connections = 0
        self.heads: list[bytes] = []

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the router hung up
        finally:
            writer.close()

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return await reader.readexactly(length)

    @asynccontextmanager
    async def provider(self, path: str = "/v1", **more: Any) -> AsyncIterator[Provider]:
        server = await asyncio.start_server(self._called, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        provider = Provider("p", ProviderConfig(url=f"http://127.0.0.1:{port}{path}", **more))
        try:
            yield provider
        finally:
            await provider.close()
            server.close()
            await server.wait_closed()


def saying(*parts: bytes, closes: bool = True) -> Server:
    """Answers every request with these bytes, each in a packet of its own."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if closes:
                return

    server = Server(talk)
    return server


async def asked(provider: Provider, body: bytes = b"{}") -> bytes:
    connection = await provider.post("/chat/completions", body, PUBLIC, "flm-1-1")
    try:
        return await connection.whole(10_000_000)
    finally:
        provider.finish(connection)


def cut_everywhere(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{} \r\n2\r\n[]\r\n0\r\nX-Trailer: 1\r\n\r\n"
PACKED = gzip.compress(b'{"packed": true}')


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ([OK], b"{}"),
        (cut_everywhere(OK), b"{}"),
        (cut_everywhere(CHUNKED), b"{} []"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", OK], b"{}"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"until ", b"the end"], b"until the end"),
        ([b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n", b"old"], b"old"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        (
            [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED), PACKED],
            b'{"packed": true}',
        ),
    ],
    ids=["plain", "cut", "chunked", "informational", "until-close", "http10", "empty", "gzip"],
)
async def test_every_way_to_send_an_answer_is_understood(said: list[bytes], body: bytes):
    async with saying(*said).provider() as provider:
        assert await asked(provider) == body


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ([], Trouble.LOST),
        ([b"HTTP/1.1 200 OK\r\nContent-Le"], Trouble.LOST),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], Trouble.CUT),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"], Trouble.CUT),
        ([b"SSH-2.0-OpenSSH_9.6\r\n"], Trouble.GARBAGE),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hexadecimal\r\n"], Trouble.GARBAGE),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n{}"], Trouble.GARBAGE),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}"], Trouble.GARBAGE),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"], Trouble.GARBAGE),
        ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], Trouble.GARBAGE),
    ],
)
async def test_every_way_to_break_an_answer_is_told_apart(said: list[bytes], trouble: Trouble):
    async with saying(*said).provider() as provider:
        with pytest.raises(FailedAttempt) as failed:
            await asked(provider)
    assert failed.value.trouble is trouble
    assert failed.value.may_have_cost


async def test_a_connection_is_used_again_and_says_what_it_must():
    server = saying(OK, closes=False)
    async with server.provider("/a%20b/v1") as provider:
        for _ in range(3):
            assert await asked(provider) == b"{}"
        assert server.connections == 1
        assert server.heads[0].startswith(b"POST /a%20b/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"\r\nX-Request-Id: flm-1-1\r\n" in server.heads[0]


@pytest.mark.parametrize(
    "said", [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK + b"HTTP/1.1 200 OK\r\n", OK + b"noise"]
)
async def test_a_connection_with_more_on_it_is_not_used_again(said: bytes):
    server = saying(said, closes=False)
    async with server.provider() as provider:
        for _ in range(2):
            assert await asked(provider) == b"{}"
        assert server.connections == 2


async def test_what_nobody_asked_for_closes_a_resting_connection(within: Any):
    late = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(OK)
        if server.connections == 1:
            await late.wait()
            writer.write(OK.replace(b"{}", b"[]"))
            await reader.read()  # the router hangs up

    server = Server(talk)
    async with server.provider() as provider:
        assert await asked(provider) == b"{}"
        late.set()
        await within(lambda: not provider._resting[0].is_reusable)
        assert await asked(provider) == b"{}"
    assert server.connections == 2


async def test_an_answer_that_comes_before_the_request_is_whole_ends_it():
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await gone.wait()

    gone = asyncio.Event()
    async with Server(talk).provider() as provider:
        with pytest.raises(FailedAttempt) as failed:
            await asked(provider, b"x" * 50_000_000)
        gone.set()
    assert (failed.value.trouble, failed.value.status) == (Trouble.STATUS, 413)


async def test_a_large_request_arrives_whole():
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await server.request(reader))
        writer.write(OK)

    server = Server(talk)
    body = bytes(range(256)) * 20_000
    async with server.provider() as provider:
        assert await asked(provider, body) == b"{}"
    assert got == [body]


async def test_whoever_reads_slowly_slows_the_provider_down(within: Any):
    size, sent = 50_000_000, 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 50_000):
            writer.write(b"x" * 50_000)
            await writer.drain()
            sent += 50_000

    server = Server(talk)
    async with server.provider() as provider:
        connection = await provider.post("/chat/completions", b"{}", PUBLIC, "flm-1-1")
        await within(lambda: connection._reads_wait)
        held = connection._held_bytes
        assert HIGH_WATER_BYTES < held < HIGH_WATER_BYTES + 1_000_000
        assert sent < size
        assert len(await connection.whole(size)) == size
        provider.finish(connection)


@pytest.mark.parametrize("said", [[], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]])
async def test_a_provider_that_says_nothing_more_is_left(said: list[bytes], within: Any):
    left = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"".join(said))
        await reader.read()
        left.set()

    server = Server(talk)
    async with server.provider(stall_timeout_s=0.1) as provider:
        with pytest.raises(FailedAttempt) as failed:
            await asked(provider)
        await within(left.is_set)
    assert failed.value.trouble is Trouble.TIMEOUT


async def test_a_provider_that_drips_for_ever_runs_into_the_total_time():
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    server = Server(talk)
    async with server.provider(stall_timeout_s=5, timeout_s=0.2) as provider:
        with pytest.raises(FailedAttempt) as failed:
            await asked(provider)
    assert failed.value.trouble is Trouble.TIMEOUT


async def test_nobody_listening_means_nothing_was_sent(free_port: int):
    provider = Provider("p", ProviderConfig(url=f"http://127.0.0.1:{free_port}/v1"))
    with pytest.raises(FailedAttempt) as failed:
        await asked(provider)
    assert (failed.value.trouble, failed.value.may_have_cost) == (Trouble.CONNECT, False)
    assert provider.under_way == 0


def test_a_key_that_no_header_may_carry_is_refused(monkeypatch: Any):
    monkeypatch.setenv("KEY", "one\r\nX-Evil: 1")
    with pytest.raises(ConfigError, match="characters that no header may carry"):
        Provider("p", ProviderConfig(url="http://127.0.0.1:1/v1", key_env="KEY"))


async def test_connections_that_were_closed_while_resting_are_forgotten(within: Any):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            if server.connections <= 5:
                await all_asked.wait()
            writer.write(OK)

    all_asked = asyncio.Event()
    server = Server(talk)
    async with server.provider() as provider:
        burst = [asyncio.create_task(asked(provider)) for _ in range(5)]
        await within(lambda: len(server.heads) == 5)
        all_asked.set()
        await asyncio.gather(*burst)
        assert len(provider._resting) == 5
        for connection in list(provider._resting)[:4]:
            connection.close()
        assert await asked(provider) == b"{}"
        assert len(provider._resting) == 1
