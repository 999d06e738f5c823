"""What was under way when the router died: one line per attempt before anything is sent."""

import os
from collections.abc import Iterable
from pathlib import Path

import orjson

from factorylm_router.errors import ConfigError
from factorylm_router.ledger import LedgerRow, Status

FIELDS = (
    "attempt_id", "request_id", "at_ms", "plant", "key", "skill", "agent", "surface", "purpose", "model",
    "provider", "data_class", "in_tokens", "cost_micro", "cost_source",
)  # fmt: skip
ROTATE_BYTES = 8 * 1024 * 1024


class Journal:
    """Lines go to the kernel before the request goes to the provider, so they outlive a killed process.

    Two files take turns: one is emptied when every attempt begun in it has ended."""

    def __init__(self, base: Path) -> None:
        self._paths = (base.with_name(base.name + ".journal-0"), base.with_name(base.name + ".journal-1"))
        self._lock_path = base.with_name(base.name + ".lock")
        self._lock: int | None = None
        self._files: list[int] = []
        self._turn = 0
        self._size = 0
        self._open: tuple[set[str], set[str]] = (set(), set())

    def claim(self) -> None:
        """One router keeps its books here. The system frees the claim of a process that was killed."""
        path = self._lock_path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        if not _locked(self._lock):
            raise ConfigError(
                f"another router keeps its books in {path.parent}",
                hint="stop it, or name another folder as server.data",
            )

    def unfinished(self) -> list[LedgerRow]:
        """The attempts of the last run, in case their rows never reached the ledger."""
        rows = []
        for path in self._paths:
            if path.exists():
                rows += list(_readable(path.read_bytes().splitlines()))
        return rows

    def start(self) -> None:
        """Forget the last run and begin anew; its unfinished rows must be booked before."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._files = [os.open(path, flags, 0o600) for path in self._paths]

    @property
    def is_open(self) -> bool:
        return bool(self._files)

    def begin(self, line: tuple[str | int, ...]) -> None:
        """The values of FIELDS; the first is the attempt's id."""
        if self._size > ROTATE_BYTES and not self._open[1 - self._turn]:
            self._turn = 1 - self._turn
            os.ftruncate(self._files[self._turn], 0)
            self._size = 0
        self._size += os.write(self._files[self._turn], orjson.dumps(line) + b"\n")
        self._open[self._turn].add(str(line[0]))

    def end(self, attempt_id: str) -> None:
        self._open[0].discard(attempt_id)
        self._open[1].discard(attempt_id)

    def close(self) -> None:
        for file in self._files:
            os.close(file)
        self._files = []
        for path in self._paths:
            path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(file: int) -> bool:
    """True where the system has no such locks: then nobody can be told apart."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _readable(lines: Iterable[bytes]) -> Iterable[LedgerRow]:
    for line in lines:
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # the line that was being written when the machine stopped
        yield LedgerRow(**dict(zip(FIELDS, values, strict=True)), status=Status.UNFINISHED)
