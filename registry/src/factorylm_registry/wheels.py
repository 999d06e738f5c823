"""Wheels as strangers send them: read without unpacking, refused when they try tricks, kept under their hash."""

import base64
import csv
import email.parser
import hashlib
import io
import os
import re
import secrets
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path, PurePosixPath

from factorylm_registry.refusals import BadQuestionError, NotListedError, RefusedError, UntrustedError

MOST_BYTES = 50_000_000
MOST_UNPACKED = 300_000_000
MOST_FILES = 5_000
_MOST_RATIO = 200
_SMALL = 1_000_000
_FILENAME = re.compile(r"[A-Za-z0-9_.]+-[A-Za-z0-9_.!+]+(-\d[A-Za-z0-9_.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl", re.ASCII)


@dataclass(frozen=True)
class Wheel:
    """A wheel whose archive is sound: every file is where it says and hashes to what RECORD says."""

    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def metadata(self) -> Message:
        """Its METADATA; the payload is the long description."""
        return email.parser.Parser().parsestr(self.text(f"{self.dist_info}/METADATA"))

    @property
    def dist_info(self) -> str:
        return next(name.split("/")[0] for name in self.files if name.split("/")[0].endswith(".dist-info"))

    @property
    def files(self) -> list[str]:
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return archive.namelist()

    def text(self, name: str) -> str:
        """One file as text; empty where it is not there."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return archive.read(name).decode("utf-8", "replace") if name in archive.namelist() else ""

    def named(self, ending: str) -> str:
        """The shortest path that ends so, or nothing."""
        return min((name for name in self.files if ("/" + name).endswith("/" + ending)), key=len, default="")

    def claims_name(self, server_name: str) -> bool:
        """Whether its long description has the line `mcp-name: NAME`, ended by what no name contains."""
        text = str(self.metadata.get_payload())
        return re.search(rf"mcp-name:\s*{re.escape(server_name)}(?![A-Za-z0-9._/-])", text) is not None

    @property
    def claimed_name(self) -> str:
        """The server name in its long description, or nothing."""
        found = re.search(r"mcp-name:\s*([A-Za-z0-9.-]+/[A-Za-z0-9._-]+)", str(self.metadata.get_payload()))
        return found[1].rstrip(".") if found else ""


def read_wheel(filename: str, content: bytes) -> Wheel:
    """The wheel, if its archive is sound; raises UntrustedError that names the trick."""
    if not _FILENAME.fullmatch(filename) or filename.startswith("."):
        raise BadQuestionError(f"{filename[:80]!r} is not a wheel's file name", hint="NAME-VERSION-py3-none-any.whl")
    if len(content) > MOST_BYTES:
        raise BadQuestionError(f"the wheel has {len(content)} bytes; at most {MOST_BYTES} are taken")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _refuse_tricks(archive.infolist())
            _refuse_other_contents(archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise UntrustedError(f"{filename} is not a zip archive that can be read: {error}") from error
    return Wheel(filename, content)


def wheel_in(path: Path) -> Wheel:
    """The wheel in a file."""
    return read_wheel(path.name, path.read_bytes())


def _refuse_tricks(files: list[zipfile.ZipInfo]) -> None:
    if len(files) > MOST_FILES:
        raise UntrustedError(f"the wheel holds {len(files)} files; at most {MOST_FILES}")
    if sum(file.file_size for file in files) > MOST_UNPACKED:
        raise UntrustedError(f"the wheel unpacks to more than {MOST_UNPACKED} bytes")
    seen: set[str] = set()
    for file in files:
        path = PurePosixPath(file.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in file.filename or ":" in file.filename:
            raise UntrustedError(f"the wheel holds the path {file.filename[:80]!r}, which leads outside of it")
        if (file.external_attr >> 16) & 0o170000 == 0o120000:
            raise UntrustedError(f"the wheel holds a symbolic link: {file.filename[:80]!r}")
        if file.file_size > max(_SMALL, _MOST_RATIO * file.compress_size):
            raise UntrustedError(f"{file.filename[:80]!r} in the wheel is a bomb: it unpacks to {file.file_size} bytes")
        if file.filename.lower() in seen:
            raise UntrustedError(f"the wheel holds {file.filename[:80]!r} twice")
        seen.add(file.filename.lower())


def _refuse_other_contents(archive: zipfile.ZipFile) -> None:
    """Every file stands in RECORD with its hash, and nothing else does."""
    records = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
    if len(records) != 1:
        raise UntrustedError("the wheel has no RECORD, or several")
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(records[0]).decode())) if len(row) > 1}
    for name in archive.namelist():
        if name.endswith("/") or name == records[0]:
            continue
        kind, _, expected = rows.get(name, "").partition("=")
        made = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
        if kind != "sha256" or expected != made:
            raise UntrustedError(f"{name[:80]!r} in the wheel is not what its RECORD says")


@dataclass(frozen=True)
class WheelShelf:
    """Wheels in a folder, under their hash; what is half-written is never seen."""

    folder: Path

    def put(self, wheel: Wheel) -> None:
        """Keep it; on disk when this returns."""
        target = self.folder / wheel.sha256 / wheel.filename
        if target.exists():
            return
        waiting = target.with_name(f"{secrets.token_hex(8)}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with waiting.open("wb") as file:
                file.write(wheel.content)
                file.flush()
                os.fsync(file.fileno())
            waiting.replace(target)
        except OSError as error:
            with suppress(OSError):
                waiting.unlink(missing_ok=True)
            hint = "Nothing was listed; free space or correct the folder's rights and try again"
            raise RefusedError(f"the wheel could not be kept: {error.strerror}", hint=hint) from error

    def get(self, sha256: str) -> Wheel:
        """The wheel of that hash, checked again: disks err."""
        found = sorted((self.folder / sha256).glob("*.whl")) if re.fullmatch(r"[0-9a-f]{64}", sha256) else []
        if not found:
            raise NotListedError("there is no wheel of that hash", hint="PUT /wheels/SHA256/FILENAME uploads one")
        wheel = Wheel(found[0].name, found[0].read_bytes())
        if wheel.sha256 != sha256:
            raise UntrustedError(f"the wheel {found[0].name} was altered on disk")
        return wheel
