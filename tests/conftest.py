"""What the tests across packages share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from factorylm_skill.file_lock import locked

from workspace.environment import uv_settings
from workspace.members import ROOT, Member, members
from workspace.wheels import build_wheels


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `member` runs once for each package of the workspace; `skill`, for each skill."""
    for name, found in (("member", members()), ("skill", [member for member in members() if member.skills])):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, found, ids=[member.name for member in found])


@pytest.fixture(scope="session")
def all_members() -> dict[str, Member]:
    return {member.name: member for member in members()}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of every package, as a release has it; built once for all workers of a run."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "wheels"
    with (shared / "wheels.lock").open("ab") as file, locked(file):
        if not folder.is_dir():
            build_wheels(shared / "wheels-unfinished")
            (shared / "wheels-unfinished").rename(folder)
    return folder


@pytest.fixture(scope="session")
def uv() -> Callable[..., subprocess.CompletedProcess[str]]:
    """uv with the index that the user's pip knows."""
    program = Path(sys.executable).with_name("uv")
    settings = uv_settings()

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [program, *arguments], cwd=ROOT, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a program that a client starts: its own home, nothing of this workspace."""
    home = str(tmp_path_factory.mktemp("home"))
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP", "TMP") if name in os.environ}
    return {**kept, "HOME": home, "USERPROFILE": home}
