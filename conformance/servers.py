"""The servers under test, each on a free port of this machine while it is asked."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

from factorylm_skill import ProtocolSkill

START_TIMEOUT_S = 60.0


def installed_skills() -> list[str]:
    """The names of all skills that announce themselves, sorted."""
    return sorted(entry.name for entry in entry_points(group="factorylm.skills"))


@contextmanager
def serve_fixture() -> Iterator[str]:
    """The URL of the fixture server."""
    port = _free_port()
    with _serving([sys.executable, "-m", "conformance.fixture", str(port)], port) as url:
        yield url


@contextmanager
def serve_skill(name: str) -> Iterator[str]:
    """The URL of a skill, simulated where it speaks to devices, with every tool it can offer."""
    (entry,) = entry_points(group="factorylm.skills", name=name)
    script = Path(sys.executable).with_name(f"factorylm-{name}")
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(entry.load(), ProtocolSkill):
            options = ["--simulate", "--allow-writes", "--audit", str(Path(folder, "audit.jsonl"))]
        else:
            options = ["--data", folder]
        with _serving([str(script), *options, "--http", f"127.0.0.1:{port}"], port) as url:
            yield url


@contextmanager
def _serving(command: Sequence[str], port: int) -> Iterator[str]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ)
        try:
            if not _answers(port, process):
                log.seek(0)
                raise RuntimeError(f"{' '.join(command)} does not serve:\n{log.read().decode(errors='replace')}")
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            process.wait(timeout=10)


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.2):
                return True
        except OSError:
            time.sleep(0.05)  # a port has no event to wait on
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
