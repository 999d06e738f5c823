"""The servers under test, each on a free port of this machine while it is asked."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

from factorylm_skill import ProtocolSkill

from workspace.ports import answers, free_port


def installed_skills() -> list[str]:
    """The names of all skills that announce themselves, sorted."""
    return sorted(entry.name for entry in entry_points(group="factorylm.skills"))


@contextmanager
def serve_fixture() -> Iterator[str]:
    """The URL of the fixture server."""
    port = free_port()
    with _serving([sys.executable, "-m", "conformance.fixture", str(port)], port) as url:
        yield url


@contextmanager
def serve_skill(name: str) -> Iterator[str]:
    """The URL of a skill, simulated where it speaks to devices, with every tool it can offer."""
    (entry,) = entry_points(group="factorylm.skills", name=name)
    # a skill's command is called like the package that brings it: the edge gateway brings the history
    script = Path(sys.executable).with_name(entry.dist.name if entry.dist else f"factorylm-{name}")
    port = free_port()
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
            if not answers(port, process):
                log.seek(0)
                raise RuntimeError(f"{' '.join(command)} does not serve:\n{log.read().decode(errors='replace')}")
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            process.wait(timeout=10)
