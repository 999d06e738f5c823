"""The environment in .venv: all of requirements.lock, then the members, editable. A stamp says it is done."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from workspace.members import ROOT, members
from workspace.pip_settings import uv_environment

VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed.sha256"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")

QUIETLY_HERE = ("--python", str(PYTHON), "--quiet")


class SetupError(Exception):
    """The workspace could not be set up; the message says what to try."""


def set_up() -> None:
    """Make .venv what the lock and the members say. The second time it is a comparison of one hash."""
    wanted = _fingerprint()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted and PYTHON.is_file():
        return
    if not LOCK.is_file():
        raise SetupError(f"{LOCK.name} is missing; `./run lock` makes it, `git checkout {LOCK.name}` brings it back")
    say("setting up .venv")
    STAMP.unlink(missing_ok=True)  # from here on it is neither the old environment nor the new one
    _make_venv()
    with_uv = _fetch_uv() and uv("pip", "sync", *QUIETLY_HERE, "--require-hashes", LOCK)
    if not with_uv:
        say("uv cannot install here; using pip")
        _install_with_pip()
    _install_members(with_uv=with_uv)
    STAMP.write_text(wanted, encoding="utf-8")


def prepare_uv() -> None:
    """A uv to resolve with, also when there is no lock to take it from yet."""
    _make_venv()
    if not ((SCRIPTS / "uv").exists() or _fetch_uv() or _pip("install", "-qq", "uv")):
        raise SetupError("pip could not fetch uv (reason above)")


def say(text: str) -> None:
    print(f"run: {text}", file=sys.stderr, flush=True)


def uv_settings() -> dict[str, str]:
    """The environment for uv: the user's own, and the user's pip configuration translated."""
    listing = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    return {**os.environ, **uv_environment(listing, os.environ)}


def uv(*arguments: str | Path) -> bool:
    """Run uv; True when it succeeded."""
    command = [str(part) for part in (SCRIPTS / "uv", *arguments)]
    return subprocess.run(command, cwd=ROOT, env=uv_settings(), check=False).returncode == 0


def _fingerprint() -> str:
    """Changes when the lock, a member's needs or this Python changes."""
    files = [LOCK, ROOT / "pyproject.toml", *(member.folder / "pyproject.toml" for member in members())]
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for path in files:
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def _make_venv() -> None:
    if _venv_python() == sys.version_info[:2]:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise SetupError(
            f"`python -m venv` failed:\n{made.stdout}{made.stderr}"
            "On Debian and Ubuntu the module is a package of its own: apt-get install python3-venv"
        )


def _venv_python() -> tuple[int, int] | None:
    """The version of .venv's Python, or None when there is no working one."""
    if not PYTHON.is_file():
        return None
    asked = subprocess.run(
        [PYTHON, "-c", "import sys, pip; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if asked.returncode else (int(asked.stdout.split()[0]), int(asked.stdout.split()[1]))


def _fetch_uv() -> bool:
    """uv in the locked version, by pip, which knows the user's index."""
    block = _locked_block("uv") if LOCK.is_file() else ""
    if not block:
        return False
    with tempfile.TemporaryDirectory() as folder:
        only_uv = Path(folder, "uv.txt")
        only_uv.write_text(block, encoding="utf-8")
        return _pip("install", "--require-hashes", "-qq", "-r", str(only_uv))


def _locked_block(name: str) -> str:
    """The lines of one distribution in the lock, its hashes included."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith(f"{name}==")), None)
    if start is None:
        return ""
    end = start
    while lines[end].endswith("\\"):
        end += 1
    return "\n".join(lines[start : end + 1])


def _install_with_pip() -> None:
    if not _pip("install", "--quiet", "--require-hashes", "-r", str(LOCK)):
        raise SetupError(
            "the packages in requirements.lock could not be installed (reason above). Behind a mirror, name"
            " it to pip: pip config set global.index-url URL"
        )


def _install_members(*, with_uv: bool) -> None:
    """Editable, by the locked hatchling: no network, nothing resolved."""
    plainly = ("--no-deps", "--no-build-isolation", "--no-index")
    editables = [part for member in members() for part in ("-e", str(member.folder))]
    if with_uv:
        done = uv("pip", "install", *QUIETLY_HERE, *plainly, *editables)
    else:
        done = _pip("install", "--quiet", *plainly, *editables)
    if not done:
        raise SetupError("a package of this workspace does not build (reason above)")


def _pip(*arguments: str) -> bool:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments]
    inside = {**os.environ, "PIP_USER": "0"}  # a user's setting that pip refuses inside an environment
    return subprocess.run(command, cwd=ROOT, env=inside, check=False).returncode == 0
