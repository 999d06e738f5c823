"""The workflows call what there is: commands of the workspace, paths of the tree, programs that tests start."""

import re
from pathlib import Path

import pytest

from workspace.__main__ import COMMANDS
from workspace.debian import CHROMIUM, PROGRAMS
from workspace.members import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
COMMAND = re.compile(
    r"(?:\./run|python -m workspace) (?P<command>[a-z]+)(?P<rest>[^\n]*(?:\n {10}(?=[a-z./])[^\n:]*)*)"
)


@pytest.fixture(params=WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def workflow(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text(encoding="utf-8")


def test_every_command_and_every_path_exists(workflow: str) -> None:
    called = list(COMMAND.finditer(workflow))
    assert {found["command"] for found in called} <= set(COMMANDS)
    paths = [word for found in called for word in found["rest"].split() if re.fullmatch(r"[a-z][\w./]*", word)]
    assert not [path for path in paths if not (ROOT / path).exists() and path != "worksteal"]
    assert ".ci/run" in workflow


def test_what_continuous_integration_must_have_is_installed(workflow: str) -> None:
    """A missing program fails on CI (workspace/debian.py), so that the workflow brings each."""
    installed = re.findall(r"apt-get install [^\n]*", workflow)
    assert installed
    wanted = {program.package for program in PROGRAMS if program is not CHROMIUM}
    assert all(wanted <= set(line.split()) for line in installed)
    assert "command -v chromium" in workflow


def test_actions_are_pinned_by_their_commit(workflow: str) -> None:
    used = re.findall(r"uses: (\S+)", workflow)
    assert used
    assert not [action for action in used if not re.search(r"@[0-9a-f]{40}$", action)]
