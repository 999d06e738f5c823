"""A signed folder that installs the gateway on a box without network: wheels in the versions and hashes of the lock."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factorylm_schema import BadRequestError, FactoryLMError, MissingPartError

from factorylm_edge.installing import ABOUT, SIGNATURE, SUMS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MACHINES = ("x86_64", "aarch64")
EXTRAS = "mqtt,nats"
# the C libraries a wheel may ask for: what Debian 12 and its contemporaries have
_MANYLINUX = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<marker>\s*;[^\\]*)?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NOT_FOUND = re.compile(r"No matching distribution found for (\S+)")


class BundleError(FactoryLMError):
    """The bundle was not made."""

    code = "BUNDLE"


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """What was made; `missing` are packages without a wheel, by machine, and those machines are not in it."""

    version: str
    machines: tuple[str, ...]
    wheels: int
    missing: Mapping[str, str]


def bundle(to: Path, lock: Path, own: Path, key: Path, *, python: str, unit: str, with_: Sequence[str] = ()) -> Bundled:
    """The bundle as the folder `to`; `own` has this workspace's wheels, `with_` names skills to bring along.

    Raises BundleError where not even one machine can be served, or a wheel is not one of the lock's.
    """
    if to.exists():
        raise BadRequestError(f"{to} is already there", hint="Name a new folder")
    signer, pins = _signer(key), _pins(lock)
    version = _own_version(own)
    wanted = [f"factorylm-edge[{EXTRAS}]=={version}", *with_]
    missing = {}
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as folder:
        whole = Path(folder) / to.name
        wheels = whole / "wheels"
        wheels.mkdir(parents=True)
        for machine in MACHINES:
            try:
                found = _downloaded(wanted, machine, python, own, pins, Path(folder))
            except BundleError as error:
                missing[machine] = error.message
                continue
            (whole / f"requirements-{machine}.txt").write_text(_requirements(found), encoding="utf-8")
            for wheel in found:
                shutil.copyfile(wheel, wheels / wheel.name)
        machines = tuple(machine for machine in MACHINES if machine not in missing)
        if not machines:
            raise BundleError("; ".join(missing.values()), hint="Is the index reached, and does it have these wheels?")
        about = {"version": version, "python": python, "machines": " and ".join(machines)}
        (whole / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")
        (whole / "factorylm-edge.service").write_text(unit, encoding="utf-8")
        shutil.copyfile(str(files("factorylm_edge").joinpath("installing.py")), whole / "install.py")
        _sign(whole, signer)
        whole.rename(to)
    count = len(list((to / "wheels").iterdir()))
    return Bundled(version=version, machines=machines, wheels=count, missing=missing)


def new_key(path: Path) -> Path:
    """A private key only its owner may read, and beside it the public one for the boxes; returns that."""
    serialization, made = _serialization(), _new()
    secret = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise BadRequestError(f"{path} is already there", hint="A key is made once; name another file") from error
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
    told = path.with_name(f"{path.name}.pub")
    told.write_bytes(public)
    return told


def _downloaded(
    wanted: Sequence[str], machine: str, python: str, own: Path, pins: Mapping[str, "Pin"], scratch: Path
) -> list[Path]:
    """Everything the wanted packages need on a machine, by pip; each wheel must have a hash of the lock."""
    place = scratch / machine
    bounds = scratch / "constraints.txt"
    bounds.write_text("".join(f"{pin.line}\n" for pin in pins.values()), encoding="utf-8")
    platforms = [part for name in _MANYLINUX for part in ("--platform", f"{name}_{machine}")]
    target = ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp", *platforms]
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(place),
        "--find-links", str(own), "--constraint", str(bounds), *target, *wanted,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        names = sorted(set(_NOT_FOUND.findall(done.stderr)))
        said = f"no wheel of {', '.join(names)}" if names else done.stderr.strip()[-300:]
        raise BundleError(f"{machine}: {said}", hint="pip could not fetch it for that machine")
    found = sorted(place.glob("*.whl"))
    for wheel in found:
        _check(wheel, own, pins)
    return found


def _check(wheel: Path, own: Path, pins: Mapping[str, "Pin"]) -> None:
    digest = _digest(wheel)
    mine = own / wheel.name
    if mine.is_file() and _digest(mine) == digest:
        return
    name = _normal(wheel.name.split("-")[0])
    if name not in pins or digest not in pins[name].hashes:
        raise BundleError(f"{wheel.name} is not what the lock pins", hint="Make the lock anew, or look at the index")


@dataclass(frozen=True)
class Pin:
    """One package of the lock."""

    line: str
    hashes: frozenset[str]


def _pins(lock: Path) -> dict[str, Pin]:
    try:
        text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    except OSError as error:
        raise BadRequestError(f"{lock} cannot be read: {error.strerror}", hint="--lock requirements.lock") from error
    pins = {}
    for line in text.splitlines():
        if found := _PINNED.match(line):
            bare = f"{found['name']}=={found['version']}{(found['marker'] or '').split(' --hash')[0].rstrip()}"
            pins[_normal(found["name"])] = Pin(bare, frozenset(_HASH.findall(line)))
    if not pins:
        raise BadRequestError(f"{lock} pins nothing", hint="--lock requirements.lock of the workspace")
    return pins


def _requirements(wheels: Sequence[Path]) -> str:
    """For pip's --require-hashes."""
    lines = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{_normal(name)}=={version} --hash=sha256:{_digest(wheel)}\n")
    return "".join(sorted(lines))


def _own_version(own: Path) -> str:
    versions = {wheel.name.split("-")[1] for wheel in own.glob("factorylm_edge-*.whl")}
    if len(versions) != 1:
        raise BadRequestError(f"{own} has {len(versions)} wheels of factorylm-edge", hint="./run build makes them")
    return versions.pop()


def _sign(whole: Path, signer: "Ed25519PrivateKey") -> None:
    names = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())
    sums = "".join(f"{_digest(whole / name)}  {name}\n" for name in names).encode()
    (whole / SUMS).write_bytes(sums)
    (whole / SIGNATURE).write_bytes(signer.sign(sums))


def _signer(key: Path) -> "Ed25519PrivateKey":
    serialization = _serialization()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        found = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        hint = "factorylm-edge bundle --new-key FILE makes one"
        raise BadRequestError(f"{key} is no private key: {error}", hint=hint) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise BadRequestError(f"{key} is not an Ed25519 key", hint="factorylm-edge bundle --new-key FILE makes one")
    return found


def _new() -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise MissingPartError("cryptography is not installed", hint="pip install 'factorylm-edge[bundle]'") from error
    return serialization


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
