"""The audit trail: append-only lines, each bound to the one before by its hash, on disk before a write goes out.

Several processes may share one file. Beside it lies `<file>.head` with the number and hash of the last line,
so that lines cut off at the end are missed too. The chain shows tampering to whoever verifies it; it cannot stop
somebody who may rewrite both files: send the head elsewhere where that matters.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from factorylm_schema import AuditError

from factorylm_skill.file_lock import locked

_FIRST = "0" * 64


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """The outcome of a verification; `line` is the first broken one, counted from 1."""

    lines: int
    line: int | None = None
    message: str = ""

    @property
    def intact(self) -> bool:
        return self.line is None


@dataclass(frozen=True)
class AuditLog:
    """Appends to and verifies one audit file."""

    path: Path
    clock: Callable[[], datetime] = field(default=_now)

    def append(self, event: str, **details: Any) -> int:
        """Write one line and wait until it is on disk; returns its number.

        Raises AuditError when it cannot be written: what cannot be recorded must not be done.
        """
        try:
            with self._opened() as file:
                number, last = self._end(file)
                entry = {
                    "n": number + 1,
                    "time": self.clock().isoformat(),
                    "event": event,
                    **details,
                    "prev": last,
                }
                line = _sealed(entry)
                _write(file, line)
                self._write_head(number + 1, line)
                return number + 1
        except OSError as error:
            hint = "Free space or correct the file's rights; nothing is written to a device until then"
            raise AuditError(f"the audit log {self.path} cannot be written: {error.strerror}", hint=hint) from error

    def entries(self) -> list[dict[str, Any]]:
        """All lines, oldest first, as they stand; verify first where it matters."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_bytes().splitlines() if _is_entry(line)]

    def verify(self) -> AuditFinding:
        """Walk the chain from the first line; names the first line that does not fit."""
        if not self.path.exists():
            return AuditFinding(lines=0)
        lines = self.path.read_bytes().splitlines()
        finding = _verified(lines)
        return finding if not finding.intact else self._against_head(lines)

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file, locked(file):
            yield file

    def _end(self, file: BinaryIO) -> tuple[int, str]:
        """Number and hash of the last line; a line torn by a crash is closed and named first."""
        tail = _last_lines(file)
        if not tail:
            return 0, _FIRST
        if tail[-1].endswith(b"\n"):
            return _number_and_hash(tail[-1])
        torn = tail[-1]
        number, last = _number_and_hash(tail[-2]) if len(tail) > 1 else (0, _FIRST)
        time = self.clock().isoformat()
        line = _sealed({"n": number + 1, "time": time, "event": "recovered", "torn": _hash(torn), "prev": last})
        _write(file, b"\n" + line)
        return _number_and_hash(line)

    def _write_head(self, number: int, line: bytes) -> None:
        head = self.path.with_name(self.path.name + ".head")
        fresh = head.with_name(head.name + ".new")
        with fresh.open("w", encoding="ascii") as file:
            json.dump({"lines": number, "hash": _number_and_hash(line)[1]}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(head)

    def _against_head(self, lines: list[bytes]) -> AuditFinding:
        entries = [line for line in lines if _is_entry(line)]
        head = self.path.with_name(self.path.name + ".head")
        if not entries:
            return AuditFinding(lines=0)
        if not head.exists():
            message = f"{head.name} is missing, so lines may be cut off at the end"
            return AuditFinding(lines=len(entries), line=len(entries), message=message)
        said = json.loads(head.read_text(encoding="ascii"))
        # a crash between the line and its head leaves the head one behind: no line is lost
        if said["lines"] > len(entries):
            message = f"lines {len(entries) + 1} to {said['lines']} are missing at the end"
            return AuditFinding(lines=len(entries), line=len(entries) + 1, message=message)
        if _number_and_hash(entries[said["lines"] - 1])[1] != said["hash"]:
            message = "the line is not the one the head file names"
            return AuditFinding(lines=len(entries), line=said["lines"], message=message)
        return AuditFinding(lines=len(entries))


def _verified(lines: list[bytes]) -> AuditFinding:
    last, number, torn = _FIRST, 0, b""
    for at, line in enumerate(lines, start=1):
        entry = _parsed(line)
        if entry is None and not torn and at < len(lines):
            torn = line
            continue
        wrong = _fault(entry, number, last, torn)
        if wrong:
            return AuditFinding(lines=len(lines), line=at - 1 if torn else at, message=wrong)
        assert entry is not None
        last, number, torn = entry["hash"], entry["n"], b""
    return AuditFinding(lines=number)


def _fault(entry: dict[str, Any] | None, number: int, last: str, torn: bytes) -> str:
    if entry is None:
        return "is not an audit line"
    if torn and entry.get("torn") != _hash(torn):
        return "follows a line that is not an audit line"
    if entry.get("prev") != last or entry.get("n") != number + 1:
        return f"does not follow line {number}: a line was deleted, inserted or moved"
    body = {key: value for key, value in entry.items() if key != "hash"}
    if entry.get("hash") != _hash(_canonical(body)):
        return "was edited: its hash does not fit its content"
    return ""


def _sealed(entry: dict[str, Any]) -> bytes:
    return _canonical({**entry, "hash": _hash(_canonical(entry))}) + b"\n"


def _canonical(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or "hash" not in entry or _canonical(entry) != line.rstrip(b"\n"):
        return None
    return entry


def _is_entry(line: bytes) -> bool:
    return _parsed(line) is not None


def _number_and_hash(line: bytes) -> tuple[int, str]:
    entry = _parsed(line)
    if entry is None:
        raise AuditError("the last line of the audit log is not an audit line", hint="Run: factorylm audit verify")
    return entry["n"], entry["hash"]


def _last_lines(file: BinaryIO) -> list[bytes]:
    """The last two lines; read backwards, so that a long log costs no more than a short one."""
    size = file.seek(0, os.SEEK_END)
    step = 4096
    while True:
        start = max(0, size - step)
        file.seek(start)
        lines = file.read(size - start).splitlines(keepends=True)
        if start == 0 or len(lines) > 2:
            return lines[-2:]
        step *= 4


def _write(file: BinaryIO, data: bytes) -> None:
    file.seek(0, os.SEEK_END)
    file.write(data)
    os.fsync(file.fileno())
