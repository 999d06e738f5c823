"""Clients that ask over and over, and the processes they ask."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

TICKS = os.sysconf("SC_CLK_TCK")


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
        self.transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        if self.left[0] <= 0:
            self.transport.close()
            return
        self.left[0] -= 1
        self.sent = time.perf_counter()
        self.transport.write(self.request)

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


def start(name: str, command: Sequence[str], port: int, timeout_s: float = 60, **environment: str) -> Process:
    popen = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
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
