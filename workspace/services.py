"""The servers that state may grow into, private to one test run: free ports, empty data, stopped at the end."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from workspace.debian import MOSQUITTO, NATS, POSTGRESQL, PROGRAMS, REDIS, Program, ensure_programs, find
from workspace.environment import SetupError
from workspace.members import members
from workspace.ports import START_TIMEOUT_S, answers, free_port

REQUIRE = "FACTORYLM_REQUIRE_SERVERS"


@contextmanager
def running_services() -> Iterator[dict[str, str]]:
    """The environment that tells tests where the servers are; a server the user names is used as it is."""
    present = {member.name for member in members()}
    wanted = [program for program in PROGRAMS if program.used_by & present]
    given = {server for name, server, _ in SERVERS if name in os.environ}
    there = ensure_programs(program for program in wanted if program not in given)
    with ExitStack() as stack:
        started = {name: stack.enter_context(start()) for name, server, start in SERVERS if server in there}
        # With everything at hand a test that misses its server must fail, not skip.
        yield {**started, REQUIRE: "1"} if {*there, *given} >= set(wanted) else started


@contextmanager
def _redis() -> Iterator[str]:
    with _folder() as folder:
        port = free_port()
        options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no")
        with _running([_program(REDIS), *options], port, folder):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _nats() -> Iterator[str]:
    with _folder() as folder:
        port = free_port()
        options = ("--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(folder))
        with _running([_program(NATS), *options], port, folder):
            yield f"nats://127.0.0.1:{port}"


@contextmanager
def _postgresql() -> Iterator[str]:
    """PostgreSQL refuses to run as root, so that root starts it as the user its package made."""
    person: dict[str, Any] = {"user": "postgres"} if sys.platform != "win32" and os.geteuid() == 0 else {}
    with _folder() as folder:
        port = free_port()
        if person:
            shutil.chown(folder, person["user"])
        data = folder / "data"
        initdb = [
            find("initdb") or "initdb",
            "-D",
            str(data),
            "-U",
            "factorylm",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        made = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False, **person)
        if made.returncode:
            raise SetupError(f"initdb failed:\n{made.stderr}")
        options = ("-D", str(data), "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1")
        with _running([_program(POSTGRESQL), *options, "-c", "fsync=off"], port, folder, **person):
            yield f"postgresql://factorylm@127.0.0.1:{port}/postgres"


@contextmanager
def _mosquitto() -> Iterator[str]:
    """Without a configuration file mosquitto listens on loopback only, and lets everybody there in."""
    with _folder() as folder:
        port = free_port()
        with _running([_program(MOSQUITTO), "-p", str(port)], port, folder):
            yield f"mqtt://127.0.0.1:{port}"


SERVERS: Sequence[tuple[str, Program, Callable[[], Any]]] = (
    ("FACTORYLM_TEST_MQTT", MOSQUITTO, _mosquitto),
    ("FACTORYLM_TEST_NATS", NATS, _nats),
    ("FACTORYLM_TEST_POSTGRES", POSTGRESQL, _postgresql),
    ("FACTORYLM_TEST_REDIS", REDIS, _redis),
)


def _program(program: Program) -> str:
    return program.path() or program.command


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="factorylm-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _running(command: list[str], port: int, folder: Path, **person: Any) -> Iterator[None]:
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **person)
        try:
            if not answers(port, process):
                log.seek(0)
                raise SetupError(f"{command[0]} does not start:\n{log.read().decode(errors='replace')}")
            yield
        finally:
            process.terminate()
            process.wait(timeout=START_TIMEOUT_S)
