"""Verify, install and switch versions of the gateway on a box without network: python3 install.py --help.

This file lies in every bundle and needs nothing but Python's standard library and openssl, since it runs before
anything is installed:

    python3 install.py verify   BUNDLE --key factory.pem
    python3 install.py install  BUNDLE --key factory.pem --root /opt/factorylm
    python3 install.py switch   VERSION --root /opt/factorylm
    python3 install.py list     --root /opt/factorylm

A version is a folder below ROOT/versions, the one at work is the link ROOT/current. A switch restarts the service and
waits until the gateway says that it is this version and well; if it does not, the version before is at work again.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

SUMS, SIGNATURE, ABOUT = "SHA256SUMS", "SHA256SUMS.sig", "bundle.json"
RESTART = "systemctl restart factorylm-edge.service"
HEALTH = "http://127.0.0.1:8791/status.json"
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+_-]{0,60}")
_POLL_S = 0.2


class InstallError(Exception):
    """It was not done; the message says why and what stands now."""


def main(argv: Sequence[str]) -> int:
    """0: done; 1: it failed, said why; 2: wrong usage."""
    options = _parser().parse_args(argv)
    try:
        options.does(options)
    except InstallError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def verified(bundle: Path, key: Path) -> dict[str, str]:
    """What the bundle says of itself; raises InstallError unless `key` signed every file that is there."""
    if not (bundle / SUMS).is_file():
        raise InstallError(f"{bundle} is no bundle: it has no {SUMS}")
    _check_signature(bundle, key)
    listed = {}
    for line in (bundle / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if not path.is_dir()}
    there -= {SUMS, SIGNATURE}
    if foreign := sorted(there.difference(listed)):
        raise InstallError(f"{foreign[0]} is not listed in {SUMS}: it was added after signing")
    for name, digest in listed.items():
        path = bundle / name
        if path.is_symlink() or not path.is_file():
            raise InstallError(f"{name} is listed in {SUMS} and missing: copy the bundle anew")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise InstallError(f"{name} is not what was signed: copy the bundle anew")
    about: dict[str, str] = json.loads((bundle / ABOUT).read_text(encoding="utf-8"))
    return about


def install(bundle: Path, key: Path, root: Path) -> str:
    """A folder of its own for the bundle's version, from nothing but the bundle; nothing is switched yet."""
    about = verified(bundle, key)
    version, machine = about["version"], platform.machine()
    found = f"{sys.version_info.major}.{sys.version_info.minor}"
    if about["python"] != found:
        raise InstallError(f"the bundle is for Python {about['python']}, this is {found}: use python{about['python']}")
    wanted = bundle / f"requirements-{machine}.txt"
    if not wanted.is_file():
        raise InstallError(f"the bundle has no packages for {machine}, only for {about['machines']}")
    place = _place(root, version)
    if place.exists():
        raise InstallError(f"version {version} is already installed: switch to it, or remove {place}")
    try:
        _run([sys.executable, "-m", "venv", str(place)])
        wheels = ["--no-index", "--find-links", str(bundle / "wheels")]
        checked = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(wanted)]
        _run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *wheels, *checked])
        _run([str(place / "bin" / "factorylm-edge"), "--version"])
    except InstallError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return version


def switch(root: Path, version: str, restart: Callable[[], None], healthy: Callable[[str], str]) -> str:
    """Make it the one at work; `healthy` says what is wrong, or nothing. Returns the version that was before.

    Raises InstallError when it was not well, with the version before at work again.
    """
    if not (_place(root, version) / "bin").is_dir():
        raise InstallError(f"version {version} is not installed; there are {', '.join(installed(root)) or 'none'}")
    before = current(root)
    why = _tried(root, version, restart, healthy)
    if not why:
        return before
    if not before or before == version:
        raise InstallError(f"version {version} is at work and not well: {why}; there is no version before it")
    again = _tried(root, before, restart, healthy)
    told = f"version {before} is at work again" if not again else f"and version {before} is not well either: {again}"
    raise InstallError(f"version {version} was not well: {why}; {told}")


def current(root: Path) -> str:
    """The version at work; empty where there is none."""
    link = root / "current"
    return link.readlink().name if link.is_symlink() else ""


def installed(root: Path) -> list[str]:
    """Every version that is there."""
    return sorted(path.name for path in (root / "versions").glob("*") if (path / "bin").is_dir())


def health(url: str, version: str, seconds: float) -> str:
    """Why the gateway is not at work in this version after so many seconds; empty as soon as it is."""
    until = time.monotonic() + seconds
    while True:
        why = _unwell(url, version)
        if not why or time.monotonic() > until:
            return why
        time.sleep(_POLL_S)


def _unwell(url: str, version: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (an address the operator gave)
            status = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError) as error:
        return f"no status at {url}: {error}"
    if status.get("version") != version:
        return f"version {status.get('version')} answers at {url}"
    return str(status.get("trouble") or "")


def _tried(root: Path, version: str, restart: Callable[[], None], healthy: Callable[[str], str]) -> str:
    _point(root, version)
    try:
        restart()
    except InstallError as error:
        return str(error)
    return healthy(version)


def _point(root: Path, version: str) -> None:
    """In one step: a box that loses power has the old version or the new one."""
    beside = root / "current.new"
    with suppress(FileNotFoundError):
        beside.unlink()
    beside.symlink_to(Path("versions") / version)
    beside.replace(root / "current")
    folder = os.open(root, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _place(root: Path, version: str) -> Path:
    if not _VERSION.fullmatch(version):
        raise InstallError(f"{version!r} is not a version")
    return root / "versions" / version


def _check_signature(bundle: Path, key: Path) -> None:
    if not key.is_file():
        raise InstallError(f"there is no key at {key}: it comes from whoever made the bundle, by another way")
    files = ["-in", str(bundle / SUMS), "-sigfile", str(bundle / SIGNATURE)]
    try:
        done = subprocess.run(  # noqa: S603
            ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key), *files],  # noqa: S607
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise InstallError("openssl is not installed: without it nothing can be verified") from error
    if done.returncode:
        raise InstallError(f"the bundle is not signed with {key}: {(done.stdout or done.stderr).strip()[:200]}")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise InstallError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InstallError(f"{' '.join(command[:4])} … failed: {' '.join(said[-3:])[:400] or done.returncode}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"example: {RESTART}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does, about in (
        ("verify", _verify, "is it whole, and signed with this key?"),
        ("install", _install, "verify, install beside what is there, switch"),
        ("switch", _switch, "make an installed version the one at work"),
        ("list", _list, "the versions that are there"),
    ):
        part = commands.add_parser(name, help=about, description=about, epilog=f"example: install.py {name} …")
        part.set_defaults(does=does)
        if name in ("verify", "install"):
            part.add_argument("bundle", type=Path, help="the bundle's folder")
            part.add_argument("--key", type=Path, required=True, metavar="FILE", help="the maker's public key (PEM)")
        if name == "switch":
            part.add_argument("version")
        if name != "verify":
            part.add_argument("--root", type=Path, default=Path("/opt/factorylm"), help="default /opt/factorylm")
        if name in ("install", "switch"):
            part.add_argument("--restart", default=RESTART, metavar="COMMAND", help=f"default: {RESTART}")
            part.add_argument("--health", default=HEALTH, metavar="URL", help=f"default: {HEALTH}")
            part.add_argument("--seconds", type=float, default=60, help="how long it may take to be well (default 60)")
        if name == "install":
            part.add_argument("--no-switch", action="store_true", help="only install it")
    return parser


def _verify(options: argparse.Namespace) -> None:
    about = verified(options.bundle, options.key)
    sys.stdout.write(f"whole and signed: factorylm-edge {about['version']} for {about['machines']}\n")


def _install(options: argparse.Namespace) -> None:
    options.version = install(options.bundle, options.key, options.root)
    sys.stdout.write(f"installed {options.version} in {options.root}\n")
    if not options.no_switch:
        _switch(options)


def _switch(options: argparse.Namespace) -> None:
    before = switch(
        options.root, options.version,
        restart=lambda: _run(shlex.split(options.restart)),
        healthy=lambda version: health(options.health, version, options.seconds),
    )  # fmt: skip
    sys.stdout.write(f"{options.version} is at work and well{f', before it was {before}' if before else ''}\n")


def _list(options: argparse.Namespace) -> None:
    at_work = current(options.root)
    sys.stdout.writelines(f"{'*' if name == at_work else ' '} {name}\n" for name in installed(options.root))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
