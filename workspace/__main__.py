"""The commands behind `./run`."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from workspace.bench import benchmarks, listing, record
from workspace.checks import lint, test
from workspace.environment import PYTHON, SCRIPTS, SetupError, set_up
from workspace.lock import make_lock
from workspace.members import ROOT
from workspace.npm import node_modules
from workspace.wheels import build_wheels

BILL = ROOT / "build" / "factorylm.cdx.json"
HELP = """\
usage: ./run COMMAND [ARGUMENTS]

  demo [ARGUMENTS]         a simulated plant on real protocols, walked through by a scripted assistant
  test [PYTEST ARGUMENTS]  everything CI checks; with arguments only those tests (test libs/schema -k units);
                           --with-llama also builds and asks a real llama.cpp server
  lint                     format, style, types
  conformance [ARGUMENTS]  the official MCP conformance suite and the Inspector's schema check (--help)
  bench [NAME ARGUMENTS]   a benchmark from bench/; without a name, what there is;
                           bench record NAME also keeps its figures for README.md
  docs [--check]           write the generated parts of the documents anew, or check them
  pictures                 the pictures that README shows, anew: the console and the demo, light and dark
  build                    every package as a wheel, into dist/; the bill of materials, into build/
  lock [--upgrade]         requirements.lock anew, from what the packages declare
  setup                    only make .venv
  help                     this text

Example: ./run demo
"""


def main(arguments: list[str]) -> int:
    """Run one command; 0 done, 1 it failed, 2 wrong usage."""
    command, *rest = arguments or ["help"]
    if command in {"help", "-h", "--help"}:
        print(HELP, end="")
        return 0
    if command not in COMMANDS:
        print(f"run: no command {command!r}; the commands are {', '.join(sorted(COMMANDS))}", file=sys.stderr)
        return 2
    try:
        if command != "lock":
            set_up()
        return COMMANDS[command](rest)
    except SetupError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1


def _demo(arguments: list[str]) -> int:
    return _call(SCRIPTS / "factorylm", "demo", *arguments)


def _bench(arguments: list[str]) -> int:
    if not arguments:
        print(listing())
        return 0
    recorded = arguments[0] == "record"
    name, *rest = (arguments[1:] or [""]) if recorded else arguments
    if name not in benchmarks():
        print(f"run: no benchmark {name!r}; there are {', '.join(benchmarks()) or 'none'}", file=sys.stderr)
        return 2
    return record(name, rest) if recorded else _call(PYTHON, benchmarks()[name], *rest)


def _conformance(arguments: list[str]) -> int:
    asks_help = {"-h", "--help"} & set(arguments)
    modules = () if asks_help else ("--npm", node_modules())
    return _call(PYTHON, "-m", "conformance", *modules, *arguments)


def _docs(arguments: list[str]) -> int:
    return _call(PYTHON, "-m", "workspace.documents", *arguments)


def _pictures(arguments: list[str]) -> int:
    return _call(PYTHON, "-m", "workspace.pictures", *arguments)


def _lint(arguments: list[str]) -> int:
    return lint(_call)


def _test(arguments: list[str]) -> int:
    return test(_call, arguments)


def _setup(arguments: list[str]) -> int:
    print(f"{PYTHON.relative_to(ROOT)} is ready")
    return 0


def _build(arguments: list[str]) -> int:
    for wheel in build_wheels(ROOT / "dist"):
        print(wheel.relative_to(ROOT))
    BILL.parent.mkdir(exist_ok=True)
    print(BILL.relative_to(ROOT))
    return _call(PYTHON, "-m", "workspace.sbom", BILL)


def _lock(arguments: list[str]) -> int:
    make_lock(upgrade="--upgrade" in arguments)
    set_up()
    return 0


def _call(*command: str | Path, environment: Mapping[str, str] | None = None) -> int:
    """Run a program with .venv's commands first on the PATH."""
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    settings = {**os.environ, "PATH": path, **(environment or {})}
    try:
        return subprocess.run([str(part) for part in command], cwd=ROOT, env=settings, check=False).returncode
    except KeyboardInterrupt:
        return 130


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "bench": _bench,
    "build": _build,
    "conformance": _conformance,
    "demo": _demo,
    "docs": _docs,
    "lint": _lint,
    "lock": _lock,
    "pictures": _pictures,
    "setup": _setup,
    "test": _test,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
