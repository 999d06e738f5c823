"""What the router adds to a request: time, CPU and memory, beside a direct call and a bare pass-through.

Everything on loopback, the scripted upstream, the load and each proxy in a process of its own. Compare
CPU per request
and the columns of one run with each other; wall times of a busy machine say little. LiteLLM joins if its
command is there.

    ./run bench router-speed
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "x" * 240}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 60, "total_tokens": 80},
    }
).encode()  # fmt: skip
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER


def _chunk(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }
    return b"data: " + json.dumps(head).encode() + b"\n\n"


EVENTS = [
    *[_chunk({"content": "word "}) for _ in range(20)],
    _chunk({}, "stop"),
    _chunk({}, choices=[], usage={"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40}),
    b"data: [DONE]\n\n",
]
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS)
    + b"0\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    """Answers every complete request with the same bytes: the floor under all columns."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length:
                return
            body, self.data = self.data[end + 4 : end + 4 + length], self.data[end + 4 + length :]
            streams = b'"stream":true' in body or b'"stream": true' in body
            self.transport.write(STREAM if streams else WHOLE)  # type: ignore[attr-defined]


class PassThrough(asyncio.Protocol):
    """The least a proxy can do in Python: bytes over, bytes back, one upstream connection per client's."""

    port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.waiting = b""
        self.up: asyncio.BaseTransport | None = None
        self.connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        back = self.transport

        class Back(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                back.write(data)  # type: ignore[attr-defined]

        self.up, _ = await asyncio.get_running_loop().create_connection(Back, "127.0.0.1", self.port)
        self.up.write(self.waiting)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self.up is None:
            self.waiting += data
        else:
            self.up.write(data)  # type: ignore[attr-defined]

    def connection_lost(self, _error: Exception | None) -> None:
        if self.up is not None:
            self.up.close()


async def serve_aiohttp(port: int, upstream: int) -> None:
    """The same HTTP stack as the router's with nothing in it: what the stack itself costs."""
    import aiohttp
    from aiohttp import web

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def passed(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        url = f"http://127.0.0.1:{upstream}/v1/chat/completions"
        async with session.post(url, data=body, allow_redirects=False) as answer:
            if answer.content_type != "text/event-stream":
                return web.Response(body=await answer.read(), content_type="application/json")
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", passed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


async def serve_forever(kind: type[asyncio.Protocol], port: int) -> None:
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


class Load(asyncio.Protocol):
    """One client connection: the next request when the last answer is whole."""

    def __init__(
        self,
        request: bytes,
        end: bytes | None,
        times: list[float],
        left: list[int],
        done: asyncio.Future[None],
    ) -> None:
        self.request, self.end, self.times, self.left, self.done = request, end, times, left, done
        self.got = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        if self.left[0] <= 0:
            self.transport.close()
            return
        self.left[0] -= 1
        self.sent = time.perf_counter()
        self.transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self._is_whole():
            return
        if not self.got.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(bytes(self.got[:300]).decode(errors="replace")))
            return
        self.times.append(time.perf_counter() - self.sent)
        self.got.clear()
        self._send()

    def _is_whole(self) -> bool:
        if self.end is not None:
            return self.got.endswith(self.end)
        head = self.got.find(b"\r\n\r\n")
        if head < 0:
            return False
        at = self.got[:head].lower().find(b"content-length:")
        length = int(self.got[at + 15 : head].split(b"\r\n", 1)[0])
        return len(self.got) >= head + 4 + length

    def connection_lost(self, _error: Exception | None) -> None:
        if self.left[0] <= 0 and not self.done.done():
            self.done.set_result(None)


async def load(port: int, body: bytes, clients: int, count: int, *, stream: bool) -> list[float]:
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Authorization: Bearer flm-bench-key-0123456789\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body
    times: list[float] = []
    left, loop = [count], asyncio.get_running_loop()
    waits = []
    for _ in range(clients):
        done: asyncio.Future[None] = loop.create_future()
        waits.append(done)
        end = b"0\r\n\r\n" if stream else None
        await loop.create_connection(lambda d=done, e=end: Load(request, e, times, left, d), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*waits)
    return sorted(times)


@dataclass
class Process:
    name: str
    popen: subprocess.Popen[str]
    port: int

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.popen.kill()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(name: str, command: Sequence[str], port: int, timeout_s: float = 60) -> Process:
    popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return Process(name, popen, port)
        if popen.poll() is not None:
            break
        time.sleep(0.02)
    popen.kill()
    raise RuntimeError(f"{name} did not start: {' '.join(command)}")


def router_config(folder: Path, upstream: int, port: int) -> Path:
    import hashlib

    digest = hashlib.sha256(b"flm-bench-key-0123456789").hexdigest()
    path = folder / "router.toml"
    path.write_text(
        f"""[server]
port = {port}
state = "sqlite:{folder / "router.db"}"
[providers.up]
url = "http://127.0.0.1:{upstream}/v1"
[models.m]
provider = "up"
price = {{ input = 0.3, output = 1.2, as_of = 2026-11-01 }}
[roles]
cheap = ["m"]
premium = ["m"]
[keys.bench]
sha256 = "{digest}"
data_class = "public"
budget_usd = 100000
requests_per_minute = 10000000
"""
    )
    return path


def processes(folder: Path) -> tuple[Process, list[Process]]:
    """The upstream, and everything that is measured in front of it."""
    me, up_port = [sys.executable, __file__], free_port()
    upstream = start("upstream", [*me, "--as-upstream", str(up_port)], up_port)
    found = [Process("direct", upstream.popen, up_port)]
    port = free_port()
    found.append(start("bare asyncio", [*me, "--as-pass-through", str(port), str(up_port)], port))
    port = free_port()
    found.append(start("bare aiohttp", [*me, "--as-aiohttp", str(port), str(up_port)], port))
    port = free_port()
    config = router_config(folder, up_port, port)
    command = [sys.executable, "-m", "factorylm_router.cli", "serve", "--config", str(config)]
    found.append(start("factorylm-router", command, port))
    if shutil.which("litellm"):
        port = free_port()
        command = [
            "litellm",
            "--model",
            "openai/m",
            "--api_base",
            f"http://127.0.0.1:{up_port}/v1",
            "--port",
            str(port),
        ]
        found.append(start("litellm", command, port))
    return upstream, found


def measure(process: Process, count: int, *, stream: bool) -> dict[str, float]:
    body = json.dumps(
        {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "How fast is it? " * 8}]}
    )
    raw = body.encode()
    asyncio.run(load(process.port, raw, 4, min(200, count), stream=stream))
    alone = asyncio.run(load(process.port, raw, 1, max(200, count // 5), stream=stream))
    before, began = process.cpu_s(), time.perf_counter()
    asyncio.run(load(process.port, raw, 16, count, stream=stream))
    cpu, wall = process.cpu_s() - before, time.perf_counter() - began
    return {
        "p50_ms": 1000 * alone[len(alone) // 2],
        "p99_ms": 1000 * alone[int(len(alone) * 0.99)],
        "cpu_ms": 1000 * cpu / count,
        "per_core": count / cpu if cpu else float("inf"),
        "wall_per_s": count / wall,
    }


def start_cpu_s(folder: Path) -> float:
    """CPU until the port opens, read when it does."""
    port = free_port()
    config = router_config(folder, port, free_port())
    text = config.read_text()
    listening = int(text.split("port = ")[1].split("\n")[0])
    process = start(
        "start", [sys.executable, "-m", "factorylm_router.cli", "serve", "--config", str(config)], listening
    )
    spent = process.cpu_s()
    process.stop()
    return spent


def report(found: Sequence[Process], requests: int, long_run: int) -> dict[str, object]:
    figures: dict[str, object] = {}
    head = f"{'':18s} {'p50 ms':>8s} {'p99 ms':>8s} {'CPU ms/req':>11s} {'req/s/core':>11s} {'RSS MB':>7s}"
    for stream in (False, True):
        what = "streams of 23 chunks" if stream else "whole answers of 0.5 kB"
        print(f"\n{what}, p50 and p99 with one client, the rest with 16\n{head}")
        for process in found:
            count = requests // 4 if stream else requests
            count = count // 20 if process.name == "litellm" else count
            told = measure(process, count, stream=stream)
            figures[f"{process.name} {'stream' if stream else 'whole'}"] = told
            print(
                f"{process.name:18s} {told['p50_ms']:8.3f} {told['p99_ms']:8.3f} {told['cpu_ms']:11.3f} "
                f"{told['per_core']:11.0f} {process.rss_mb():7.1f}",
                flush=True,
            )
    router = next(process for process in found if process.name == "factorylm-router")
    added = figures["factorylm-router whole"]["p50_ms"] - figures["direct whole"]["p50_ms"]  # type: ignore[index]
    added99 = figures["factorylm-router whole"]["p99_ms"] - figures["direct whole"]["p99_ms"]  # type: ignore[index]
    print(f"\nadded by the router with one client: p50 {added:.2f} ms, p99 {added99:.2f} ms")
    if long_run:
        figures["memory"] = memory(router, long_run)
    figures["rss_mb"] = router.rss_mb()
    return figures


def memory(router: Process, requests: int) -> list[float]:
    """RSS while many requests go by; flat is good."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
    seen = [router.rss_mb()]
    for _ in range(5):
        asyncio.run(load(router.port, body, 16, requests // 5, stream=False))
        seen.append(router.rss_mb())
    print(f"RSS over {requests} more requests, MB: {', '.join(f'{mb:.1f}' for mb in seen)}")
    return seen


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: --requests 20000",
    )
    parser.add_argument("--requests", type=int, default=20_000, help="whole answers per column (20000)")
    parser.add_argument(
        "--long-run", type=int, default=0, help="then so many more requests, watching the memory (1000000)"
    )
    parser.add_argument("--json", type=Path, help="also write every figure here")
    parser.add_argument("--as-upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--as-pass-through", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--as-aiohttp", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.as_aiohttp:
        import uvloop

        uvloop.run(serve_aiohttp(*arguments.as_aiohttp))
    elif arguments.as_upstream:
        asyncio.run(serve_forever(Upstream, arguments.as_upstream))
    elif arguments.as_pass_through:
        PassThrough.port = arguments.as_pass_through[1]
        asyncio.run(serve_forever(PassThrough, arguments.as_pass_through[0]))
    else:
        return compare(arguments.requests, arguments.long_run, arguments.json)
    return 0


def compare(requests: int, long_run: int, out: Path | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        started = start_cpu_s(Path(folder))
        upstream, found = processes(Path(folder))
        try:
            figures = report(found, requests, long_run)
        finally:
            for process in [*found[1:], Process("upstream", upstream.popen, 0)]:
                process.stop()
    figures["start_cpu_s"] = started
    if out:
        out.write_text(json.dumps(figures, indent=2))
    return 0 if promised(figures, started) else 1


def promised(figures: dict[str, object], started: float) -> bool:
    """The figures this project stands for, each with its bound; False if one is broken."""

    def ratio(kind: str) -> float:
        ours, bare = figures[f"factorylm-router {kind}"], figures[f"bare aiohttp {kind}"]
        return ours["cpu_ms"] / bare["cpu_ms"]  # type: ignore[index,no-any-return]

    lines = [
        ("router's CPU / bare aiohttp pass-through, whole answers", ratio("whole"), 3.0),
        ("router's CPU / bare aiohttp pass-through, streams", ratio("stream"), 3.5),
        ("router's memory under load, MB", float(figures["rss_mb"]), 100.0),  # type: ignore[arg-type]
        ("router's CPU until it listens, s", started, 1.5),
    ]
    print()
    for what, figure, bound in lines:
        print(f"{what:58s} {figure:7.2f}   at most {bound:<6g} {'kept' if figure <= bound else 'BROKEN'}")
    return all(figure <= bound for _, figure, bound in lines)


if __name__ == "__main__":
    sys.exit(main())
