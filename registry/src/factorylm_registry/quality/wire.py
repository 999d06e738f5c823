"""A raw MCP client over stdio: it sees what libraries forgive, such as text between the messages."""

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# hosts give a server 30 to 60 s
ANSWER_TIMEOUT_S = 45.0
LEGACY = "2025-11-25"
_MODERN = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "factorylm-registry", "version": "0.1.0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
_MOST_LINE = 4_000_000
_MOST_PATIENCE, _WORKING_CPU_S = 3, 0.05


class SilentError(Exception):
    """The server did not answer in time, or ended."""


@dataclass
class Wire:
    """One server process."""

    process: "subprocess.Popen[bytes]"
    stray: list[str] = field(default_factory=list)
    _lines: "queue.Queue[bytes | None]" = field(default_factory=queue.Queue)
    _number: int = 0
    _complaints: list[bytes] = field(default_factory=list)

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer; whatever else comes is kept as stray output."""
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}}
        self.send(json.dumps(request).encode())
        for patience_s in self._patience(ANSWER_TIMEOUT_S):
            deadline = time.monotonic() + patience_s
            while (left := deadline - time.monotonic()) > 0:
                answer = self._message(left)
                if answer.get("id") == self._number and "method" not in answer:
                    return answer
        raise SilentError(f"no answer to {method} in {ANSWER_TIMEOUT_S:.0f} s")

    def send(self, line: bytes) -> None:
        """One line as it is."""
        try:
            assert self.process.stdin
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise SilentError(f"the server ended: {self.complaint()}") from error

    def initialize(self) -> dict[str, Any]:
        """The handshake."""
        about = {"name": "factorylm-registry", "version": "0.1.0"}
        answer = self.ask("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": about})
        self.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        return answer

    def discover(self) -> dict[str, Any]:
        """What the handshake became in 2026-07-28."""
        return self.ask("server/discover", _MODERN)

    def tools(self) -> list[dict[str, Any]]:
        """All pages of the tool list."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {}
        for _ in range(20):
            result = self.ask("tools/list", params).get("result", {})
            found += result.get("tools", [])
            if not result.get("nextCursor"):
                return found
            params = {"cursor": result["nextCursor"]}
        raise SilentError("the tool list does not end")

    def ends(self, *, by_signal: bool, timeout_s: float = 5.0) -> bool:
        """Whether it goes by itself when its client goes, or when it is told."""
        if by_signal:
            self.process.send_signal(signal.SIGTERM)
        elif self.process.stdin:
            self.process.stdin.close()
        for patience_s in self._patience(timeout_s):
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(patience_s) == 0
        return False

    def cpu_s(self) -> float:
        """CPU seconds so far, where the system tells."""
        try:
            parts = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Resident memory, where the system tells."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _patience(self, timeout_s: float) -> Iterator[float]:
        """Once more while it works: a machine that is busy with others is not the server's fault."""
        before = self.cpu_s()
        yield timeout_s
        for _ in range(_MOST_PATIENCE):
            now = self.cpu_s()
            if now - before < _WORKING_CPU_S:
                return
            before = now
            yield timeout_s

    def complaint(self) -> str:
        """The last it said on stderr."""
        return b" ".join(self._complaints[-5:]).decode("utf-8", "replace")[-400:] or "without a word"

    def stop(self) -> None:
        """Nothing of it is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def _message(self, timeout_s: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return {}
        if line is None:
            raise SilentError(f"the server ended: {self.complaint()}")
        try:
            message = json.loads(line)
            if isinstance(message, dict) and message.get("jsonrpc") == "2.0":
                return message
        except ValueError:
            pass
        self.stray.append(line[:200].decode("utf-8", "replace"))
        return {}

    def listen(self) -> None:
        """Read both streams in the background, so that the server never waits for us."""
        threading.Thread(target=self._read_answers, daemon=True).start()
        threading.Thread(target=self._read_complaints, daemon=True).start()

    def _read_answers(self) -> None:
        assert self.process.stdout
        try:
            while line := self.process.stdout.readline(_MOST_LINE):
                self._lines.put(line)
        except ValueError:
            pass  # closed under us
        self._lines.put(None)

    def _read_complaints(self) -> None:
        assert self.process.stderr
        try:
            for line in self.process.stderr:
                self._complaints = [*self._complaints[-20:], line.strip()]
        except ValueError:
            return


def start(command: Sequence[str], environment: dict[str, str]) -> Wire:
    """Start a server; raises SilentError when there is no such program."""
    try:
        process = subprocess.Popen(  # noqa: S603 (the skill under judgement)
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise SilentError(f"{command[0]} cannot be started: {error.strerror}") from error
    wire = Wire(process)
    wire.listen()
    return wire
