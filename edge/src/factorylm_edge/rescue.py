"""Opening a folder's history; a file that is damaged is set aside whole, and collecting goes on in a new one."""

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_edge.sqlite_layout import FILE_NAME

logger = logging.getLogger("factorylm.edge")

_CHECKED_BYTES = 512_000_000  # a whole check of a larger file would hold up the start for minutes


def open_history(folder: Path) -> SqliteHistory:
    """The history in `folder`."""
    path = folder / FILE_NAME
    if path.exists() and (why := _damage(path)):
        aside = path.with_name(f"{FILE_NAME}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        logger.error("%s is damaged (%s): set aside as %s, a new one begins", path, why, aside.name)
        for end in ("", "-wal", "-shm"):
            part = path.with_name(path.name + end)
            if part.exists():
                part.rename(aside.with_name(aside.name + end))
    return SqliteHistory(path)


def _damage(path: Path) -> str:
    """What SQLite's own check says; empty where all is well."""
    try:
        with closing(sqlite3.connect(path, timeout=5)) as db:
            if path.stat().st_size > _CHECKED_BYTES:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                return ""
            (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return ""  # locked, read-only, no room: not damage; opening says what it is
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if said == "ok" else str(said)
