"""The official suite as a program: started, and its findings read."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANDSHAKE_ERA, STATELESS_ERA = "2025-11-25", "2026-07-28"
ERAS = (HANDSHAKE_ERA, STATELESS_ERA)

# Scenarios that ask nothing of a server's own tools, resources or prompts: every skill must pass them.
# (Of the skills extension only the enumeration: the other two scenarios go through resources/list, which skills do
# not offer; the Inspector verifies the same documents.)
_IN_BOTH_ERAS = ("tools-list", "server-sse-multiple-streams", "dns-rebinding-protection")
SKILLS_SCENARIO = "sep-2640-skills-enumeration"
GENERIC = {
    HANDSHAKE_ERA: frozenset({*_IN_BOTH_ERAS, "server-initialize", "ping"}),
    STATELESS_ERA: frozenset(
        {
            *_IN_BOTH_ERAS,
            *("server-stateless", "http-header-validation", "sep-2164-resource-not-found", SKILLS_SCENARIO),
            *("input-required-result-unsupported-methods", "input-required-result-ignore-extra-params"),
            "input-required-result-validate-input",
        }
    ),
}
# Also in scenarios that a skill cannot pass, every message it sends must be valid.
EVERYWHERE = frozenset({"wire-schema-valid"})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check that failed."""

    scenario: str
    check: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one program said about one server."""

    server: str
    program: str
    passed: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Programs:
    """Node and the installed npm packages."""

    node: Path
    modules: Path

    def suite(self, url: str, version: str, *options: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
        """Run the suite; its exit code and its checks by scenario."""
        script = self.modules / f"conformance-{version}" / "dist" / "index.js"
        with tempfile.TemporaryDirectory() as folder:
            done = self._run([str(script), "server", "--url", url, "-o", folder, *options])
            checks = {
                _scenario(path.parent.name): json.loads(path.read_text(encoding="utf-8"))
                for path in sorted(Path(folder).glob("*/checks.json"))
            }
        if not checks:
            raise RuntimeError(f"the conformance suite wrote no result:\n{done.stdout}{done.stderr}")
        return done.returncode, checks

    def inspector(self, url: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the Inspector's command line, in a home of its own: it keeps a catalog there."""
        launcher = self.modules / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
        return self._run([str(launcher), "--cli", url, "--transport", "http", *options])

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as home:
            return subprocess.run(
                [str(self.node), *arguments],
                env={**os.environ, "HOME": home, "USERPROFILE": home},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=300,
                check=False,
            )


def _scenario(folder: str) -> str:
    """`server-tools-list-2026-11-20T11-18-27-329Z` is a result of the scenario `tools-list`."""
    return folder.removeprefix("server-").rsplit("-", 6)[0]


def judge_all(server: str, program: str, exit_code: int, checks: dict[str, list[dict[str, Any]]]) -> Verdict:
    """The fixture must pass every check, and the suite must say so too."""
    findings = [finding for name, rows in checks.items() for finding in _failed(name, rows)]
    if exit_code and not findings:
        findings.append(Finding(scenario="-", check="exit code", reason=f"the suite ended with {exit_code}"))
    return Verdict(server=server, program=program, passed=_passed(checks), findings=tuple(findings))


def judge_required(server: str, program: str, exit_code: int, checks: dict[str, list[dict[str, Any]]]) -> Verdict:
    """Here the exit code is the verdict: the suite runs extensions with it, which it reports and does not score."""
    if exit_code:
        return judge_all(server, program, exit_code, checks)
    return Verdict(server=server, program=program, passed=_passed(checks), findings=())


def judge_generic(server: str, program: str, checks: dict[str, list[dict[str, Any]]], era: str) -> Verdict:
    """A skill must pass every check that its own tools can answer, and each generic scenario must have been run.

    The suite marks a check that needs a tool of the fixture, on a server without it, as untestable.
    """
    generic = GENERIC[era]
    findings = [
        finding
        for name, rows in checks.items()
        for finding in _failed(name, [row for row in rows if not (row.get("details") or {}).get("untestable")])
        if name in generic or finding.check in EVERYWHERE
    ]
    asked = {name: rows for name, rows in checks.items() if name in generic}
    missing = [
        Finding(scenario=name, check="-", reason="the suite passed no check of this scenario")
        for name in sorted(generic)
        if _passed({name: checks.get(name, [])}) == 0
    ]
    return Verdict(server=server, program=program, passed=_passed(asked), findings=(*findings, *missing))


def _failed(scenario: str, rows: list[dict[str, Any]]) -> list[Finding]:
    return [
        Finding(scenario=scenario, check=row["id"], reason=str(row.get("errorMessage") or row.get("description")))
        for row in rows
        if row["status"] == "FAILURE"
    ]


def _passed(checks: dict[str, list[dict[str, Any]]]) -> int:
    return sum(row["status"] == "SUCCESS" for rows in checks.values() for row in rows)
