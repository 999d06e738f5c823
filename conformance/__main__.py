"""Ask the official conformance suite and the Inspector about the fixture and about every installed skill."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from conformance.servers import installed_skills, serve_fixture, serve_skill
from conformance.suite import (
    ERAS,
    HANDSHAKE_ERA,
    SKILLS_SCENARIO,
    STATELESS_ERA,
    Finding,
    Programs,
    Verdict,
    judge_all,
    judge_generic,
    judge_required,
)
from workspace.npm import node

OLD, NEW = "0.1", "0.2"


def main() -> int:
    """0 when everything that is asked of each server holds, 1 when not."""
    options = _parser().parse_args()
    programs = Programs(node=node(options.npm), modules=options.npm)
    verdicts = []
    for verdict in _verdicts(programs, options.only or ["fixture", *installed_skills()]):
        verdicts.append(verdict)
        if not options.json:
            _show(verdict)
    if options.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    return int(any(verdict.findings for verdict in verdicts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run conformance",
        description="The official MCP conformance suite (two versions, both protocol eras) and the Inspector's"
        " strict schema check. The fixture must pass everything, a skill what does not need fixture tools.",
        epilog="example: ./run conformance modbus",
    )
    parser.add_argument("only", nargs="*", metavar="SERVER", help="fixture, or the name of a skill (default: all)")
    parser.add_argument("--json", action="store_true", help="the verdicts as JSON")
    parser.add_argument("--npm", type=Path, required=True, help=argparse.SUPPRESS)
    return parser


def _verdicts(programs: Programs, servers: list[str]) -> Iterator[Verdict]:
    for name in servers:
        if name == "fixture":
            with serve_fixture() as url:
                yield from _ask_fixture(programs, url)
        elif name in installed_skills():
            with serve_skill(name) as url:
                yield from _ask_skill(programs, url, name)
        else:
            known = ", ".join(["fixture", *installed_skills()])
            sys.exit(f"no server {name!r}; there are {known}")


def _ask_fixture(programs: Programs, url: str) -> Iterator[Verdict]:
    asked = [
        ("suite 0.1, all", OLD, ("--suite", "all")),
        *((f"suite 0.2 at {era}, all", NEW, ("--suite", "all", "--spec-version", era)) for era in ERAS),
    ]
    for program, version, options in asked:
        yield judge_all("fixture", program, *programs.suite(url, version, *options))
    for era in ERAS:
        yield judge_required("fixture", f"required by {era}", *programs.suite(url, NEW, "--requirements", era))


def _ask_skill(programs: Programs, url: str, name: str) -> Iterator[Verdict]:
    _, checks = programs.suite(url, OLD, "--suite", "all")
    yield judge_generic(name, "suite 0.1, generic", checks, HANDSHAKE_ERA)
    for era in ERAS:
        _, checks = programs.suite(url, NEW, "--suite", "all", "--spec-version", era)
        if era == STATELESS_ERA:
            checks.update(programs.suite(url, NEW, "--scenario", SKILLS_SCENARIO)[1])
        yield judge_generic(name, f"suite 0.2 at {era}, generic", checks, era)
    for era in ("legacy", "modern"):
        listed = ("--protocol-era", era, "--method", "tools/list", "--strict")
        yield _inspect(programs, url, name, f"Inspector schemas, {era}", listed)
    verify = ("--protocol-era", "modern", "--method", "skills/list", "--verify")
    yield _inspect(programs, url, name, "Inspector skill documents", verify)


def _inspect(programs: Programs, url: str, name: str, program: str, options: tuple[str, ...]) -> Verdict:
    done = programs.inspector(url, *options)
    reason = (done.stderr or done.stdout).strip()
    wrong = Finding(scenario="-", check=f"exit code {done.returncode}", reason=reason)
    return Verdict(
        server=name, program=program, passed=int(not done.returncode), findings=(wrong,) if done.returncode else ()
    )


def _show(verdict: Verdict) -> None:
    mark = "FAILED" if verdict.findings else "ok"
    print(f"{verdict.server:12} {verdict.program:34} {verdict.passed:4} passed  {mark}", flush=True)
    for finding in verdict.findings:
        print(f"    {finding.scenario}: {finding.check}: {finding.reason}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
