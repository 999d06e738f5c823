"""Every package stands alone: its wheel installs into an empty environment and its command serves."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from workspace.environment import LOCK
from workspace.members import Member, requirement_name

# What a skill for a small gateway must never bring along.
DEVELOPERS_TOOLS = {"pytest", "hypothesis", "mypy", "ruff", "coverage", "hatchling", "playwright"}
NUMBERS = {"numpy", "scipy", "pandas", "scikit-learn", "pyarrow"}


@dataclass(frozen=True)
class Installed:
    """A package in an environment of its own."""

    scripts: Path
    distributions: set[str]

    def script(self, name: str) -> Path:
        return self.scripts / (f"{name}.exe" if os.name == "nt" else name)


@pytest.fixture
def installed(
    member: Member, wheels: Path, uv: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Installed:
    """The member, installed from its wheel as a user would, in the versions of the lock."""
    place = tmp_path / "alone"
    uv("venv", "--quiet", place)
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    uv("pip", "install", "--python", python, "--find-links", wheels, "--constraint", LOCK, member.name)
    listed = json.loads(uv("pip", "list", "--python", python, "--format", "json").stdout)
    return Installed(scripts, {requirement_name(row["name"]) for row in listed})


async def test_a_package_installs_alone_and_brings_nothing_it_does_not_need(
    member: Member, installed: Installed, bare_environment: dict[str, str]
) -> None:
    siblings = {name for name in installed.distributions if name.startswith("factorylm")}
    assert siblings == reachable_siblings(member)
    assert not installed.distributions & DEVELOPERS_TOOLS
    if is_protocol_skill(member):
        assert not installed.distributions & NUMBERS
    for name in member.project.get("scripts", {}):
        assert_help_has_an_example(installed.script(name), bare_environment)
    if member.skills:
        await assert_answers_over_stdio(member, installed, bare_environment)


def is_protocol_skill(member: Member) -> bool:
    return bool(member.skills) and (member.folder / "src" / member.package / "driver.py").is_file()


def reachable_siblings(member: Member) -> set[str]:
    """A skill stands on the shared words and the kit; the host may bring skills by extras only."""
    below = {requirement_name(line) for line in member.project.get("dependencies", [])}
    needs_schema = {"factorylm-schema"} if "factorylm-skill" in below else set()
    return {name for name in below if name.startswith("factorylm")} | {member.name} | needs_schema


def assert_help_has_an_example(script: Path, environment: dict[str, str]) -> None:
    done = subprocess.run([script, "--help"], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert "example" in done.stdout.lower()


async def assert_answers_over_stdio(member: Member, installed: Installed, environment: dict[str, str]) -> None:
    options = ["--simulate"] if is_protocol_skill(member) else ["--data", environment["HOME"]]
    server = StdioServerParameters(command=str(installed.script(member.name)), args=options, env=environment)
    async with Client(stdio_client(server)) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools
        assert all(name.startswith(tuple(member.skills)) for name in tools)
        if is_protocol_skill(member):
            listed = await client.call_tool(f"{member.name.removeprefix('factorylm-')}_list_tags", {"limit": 3})
            assert not listed.is_error
            assert len(listed.structured_content["rows"]) == 3
