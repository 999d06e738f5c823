"""Programs that tests start and pip cannot bring: found, or installed where that is allowed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workspace.environment import SetupError, say

# Debian keeps each PostgreSQL's programs in a folder of its version, off the PATH.
BESIDE_THE_PATH = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent.name)


@dataclass(frozen=True)
class Program:
    """A program, the Debian package that has it, and the members whose tests start it."""

    command: str
    package: str
    used_by: frozenset[str]

    def path(self) -> str | None:
        """Where it is on this machine."""
        return find(self.command)


CHROMIUM = Program(
    "chromium",
    "chromium",
    frozenset(
        {
            "factorylm",
            "factorylm-alarms",
            "factorylm-edge",
            "factorylm-predictor",
            "factorylm-registry",
            "factorylm-router",
            "factorylm-twin",
        }
    ),
)
MOSQUITTO = Program("mosquitto", "mosquitto", frozenset({"factorylm-edge"}))
NATS = Program("nats-server", "nats-server", frozenset({"factorylm-edge"}))
POSTGRESQL = Program("postgres", "postgresql", frozenset({"factorylm-edge", "factorylm-registry", "factorylm-router"}))
REDIS = Program("redis-server", "redis-server", frozenset({"factorylm-router"}))
SYSTEMD = Program("systemd-analyze", "systemd", frozenset({"factorylm-edge"}))
PROGRAMS = (CHROMIUM, MOSQUITTO, NATS, POSTGRESQL, REDIS, SYSTEMD)


def find(command: str) -> str | None:
    """The program's path, on the PATH or where Debian hides it."""
    hidden = os.pathsep.join(str(folder) for folder in reversed(BESIDE_THE_PATH))
    return shutil.which(command) or shutil.which(command, path=hidden)


def ensure_programs(wanted: Iterable[Program]) -> list[Program]:
    """Those of `wanted` that are there in the end; what is missing is said, and fails on CI."""
    there: list[Program] = []
    missing: list[Program] = []
    for program in wanted:
        found = program.path() or (install_debian(program.package) and program.path())
        (there if found else missing).append(program)
    names = ", ".join(program.command for program in missing)
    if names and os.environ.get("CI"):
        raise SetupError(f"CI runs every test, and these programs are missing: {names}")
    if names:
        say(f"left out, for want of a program and the right to install it: the tests that need {names}")
    return there


def install_debian(package: str) -> bool:
    """Install a Debian package where root and apt-get are at hand; True when it is there afterwards."""
    if not (sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get")):
        return False
    say(f"installing {package} with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    if _quietly(install, environment):
        return True
    return _quietly(["apt-get", "update", "--quiet"], environment) and _quietly(install, environment)


def _quietly(command: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0
