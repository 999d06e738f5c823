"""An empty environment for one wheel and what it needs; and the kit's contract, run inside it."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from factorylm_registry.refusals import BadQuestionError

# What the kit's checks need besides; not the skill's, and installed after it was seen alone
CHECKS_NEED = ("splintr-rs",)
_CONTRACT_TIMEOUT_S = 180
_CONTRACT = """
import json, sys, warnings
from importlib.metadata import entry_points
import anyio
from factorylm_skill import ProtocolSkill
from factorylm_skill.testing import protocol_checks, skill_checks

async def run(skill):
    found = {}
    checks = skill_checks(skill) + (protocol_checks(skill) if isinstance(skill, ProtocolSkill) else [])
    for check in checks:
        try:
            await check.run()
            found[check.name] = ""
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]
            found[check.name] = f"{type(error).__name__}: {error}"[:300]
    return found

name = sys.argv[2]
points = [point for point in entry_points(group="factorylm.skills") if point.dist.name == name]
found = {}
for point in points:
    found |= anyio.run(run, point.load())
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(found, file)
"""


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment; `sources` are folders with wheels to look into first."""

    folder: Path
    sources: tuple[Path, ...] = ()
    offline: bool = False

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def script(self, name: str) -> Path:
        """A console script in it."""
        return self.python.with_name(f"{name}.exe" if os.name == "nt" else name)

    def make(self) -> "CleanEnvironment":
        """An empty one."""
        venv.create(self.folder, with_pip=False, symlinks=os.name != "nt")
        return self

    def install(self, *what: str | Path) -> str:
        """Install; the last lines of the complaint where that fails."""
        return run_installer("install", self.python, what, self.sources, offline=self.offline)

    def distributions(self) -> list[str]:
        """What is in it, as NAME==VERSION."""
        program = "from importlib.metadata import distributions as d\n"
        program += "print(*sorted(f'{x.name}=={x.version}' for x in d()))"
        done = subprocess.run([self.python, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.split()

    def contract(self, distribution: str) -> tuple[dict[str, str] | None, str]:
        """The kit's checks of every skill the distribution announces; and what went wrong instead."""
        answer = self.folder / "contract.json"
        command = [str(self.python), "-W", "ignore", "-c", _CONTRACT, str(answer), distribution]
        try:
            done = subprocess.run(  # noqa: S603 (the kit's own checks)
                command,
                capture_output=True,
                text=True,
                timeout=_CONTRACT_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"the contract checks did not end in {_CONTRACT_TIMEOUT_S} s"
        if done.returncode or not answer.exists():
            return None, done.stderr.strip()[-300:] or "the contract checks ended early"
        found: dict[str, str] = json.loads(answer.read_text(encoding="utf-8"))
        return found, ""


def run_installer(
    action: str, python: Path | str, what: Sequence[str | Path], sources: Sequence[Path] = (), *, offline: bool = False
) -> str:
    """uv where it is there, else pip: the same answer, ten times sooner. Returns the complaint, if any."""
    options = [part for folder in sources for part in ("--find-links", str(folder))]
    options += ["--no-index"] if offline else []
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv:
        command = [uv, "pip", action, "--python", str(python)]
    else:
        command = [sys.executable, "-m", "pip", "--python", str(python), action]
        options += ["--no-input"] if action == "install" else ["--yes"]
    done = subprocess.run(  # noqa: S603 (an installer)
        [*command, *(options if action == "install" or not uv else []), *map(str, what)],
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stderr or done.stdout).strip()[-600:] if done.returncode else ""


def build_wheel(folder: Path, into: Path) -> Path:
    """The wheel of a project folder."""
    if not (folder / "pyproject.toml").is_file():
        raise BadQuestionError(f"{folder} has no pyproject.toml", hint="Name a skill's folder or a wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(into)]
    if find_spec("hatchling") is not None:
        command.append("--no-build-isolation")
    # in full: a bare folder name would be a package's name to pip
    done = subprocess.run([*command, str(folder.resolve())], capture_output=True, text=True, check=False)  # noqa: S603
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or not wheels:
        raise BadQuestionError(f"{folder} does not build as a wheel:\n{done.stderr.strip()[-600:]}")
    return wheels[-1]
