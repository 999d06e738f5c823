"""What `./run lint` and `./run test` run."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from workspace.environment import SCRIPTS, SetupError, say
from workspace.llama import running_llama
from workspace.members import ROOT, members
from workspace.npm import node_modules
from workspace.services import running_services

Call = Callable[..., int]

WITH_LLAMA = "--with-llama"
# One worker more than there are processors: a third of the time a test waits for a device, a browser or a kill.
# Neighbours mostly stay in one worker, where their simulators are started once; who is done early takes over the rest.
WORKERS = str((os.cpu_count() or 2) + 1)
EVERYTHING = ("-n", WORKERS, "--dist", "worksteal", "--quiet", "--cov", "--cov-report=term")


def lint(call: Call) -> int:
    """Format, style and types over everything; every finding is shown, 1 when there is one."""
    sources = [path for member in members() if (path := member.folder / "src").is_dir()]
    checks: list[tuple[str | Path, ...]] = [
        (SCRIPTS / "ruff", "check", "--quiet", "--output-format=concise"),
        (SCRIPTS / "ruff", "format", "--check", "--quiet"),
        (SCRIPTS / "mypy", "--no-error-summary", *sources, ROOT / "workspace", ROOT / "conformance"),
    ]
    failed = [check for check in checks if call(*check)]
    return int(bool(failed))


def test(call: Call, arguments: list[str]) -> int:
    """Everything CI checks; with arguments, the tests they name and nothing else."""
    with_llama = WITH_LLAMA in arguments
    arguments = [argument for argument in arguments if argument != WITH_LLAMA]
    if not arguments and lint(call):
        say("lint failed; the tests did not run")
        return 1
    if not arguments:
        _fetch_from_npm()
    no_llama: dict[str, str] = {}
    with running_services() as environment, running_llama() if with_llama else nullcontext(no_llama) as more:
        return call(SCRIPTS / "pytest", *(arguments or EVERYTHING), environment={**environment, **more})


def _fetch_from_npm() -> None:
    """What tests take from npm; without npm CI fails, and elsewhere only the tests that need it do."""
    try:
        node_modules()
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        say(str(error))
