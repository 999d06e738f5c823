"""Programs that tests start and pip cannot bring: a browser and the servers that state may grow into."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from workspace.environment import SetupError, say
from workspace.members import members


@dataclass(frozen=True)
class Program:
    """A program, the Debian package that has it, and the members whose tests start it."""

    command: str
    package: str
    used_by: frozenset[str]


PROGRAMS = (
    Program("chromium", "chromium", frozenset({"factorylm", "factorylm-alarms", "factorylm-registry"})),
    Program("redis-server", "redis-server", frozenset({"factorylm-router"})),
    Program("psql", "postgresql", frozenset({"factorylm-router", "factorylm-registry", "factorylm-edge"})),
    Program("nats-server", "nats-server", frozenset({"factorylm-edge"})),
)


def ensure_programs() -> None:
    """Install what is missing where that is allowed; otherwise say what is left out, or fail on CI."""
    present = {member.name for member in members()}
    missing = [
        program
        for program in PROGRAMS
        if program.used_by & present and not shutil.which(program.command) and not install_debian(program.package)
    ]
    if not missing:
        return
    names = ", ".join(program.command for program in missing)
    if os.environ.get("CI"):
        raise SetupError(f"CI runs every test, and these programs are missing: {names}")
    say(f"left out, for want of a program and the right to install it: the tests that need {names}")


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
