"""The folder a gateway works in, held by a lock that also a kill lets go."""

import os
from dataclasses import dataclass
from pathlib import Path

from factorylm_schema import FactoryLMError

from factorylm_edge.history import HistoryError


@dataclass
class DataFolder:
    """The folder one gateway works in, and nobody else at the same time."""

    path: Path
    _lock: int = -1

    def __enter__(self) -> Path:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise HistoryError(
                f"{self.path} cannot be written: {error.strerror}", hint="Choose another --data"
            ) from error
        if not _locked(self._lock):
            os.close(self._lock)
            raise FactoryLMError(f"another gateway works in {self.path}", hint="Give each gateway its own --data")
        return self.path

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


def _locked(file: int) -> bool:
    """Held until the file is closed, also by a kill."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
