"""What has to leave: written with the history in one commit, sent in order, let go of when every target has it."""

import json
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from factorylm_edge.sample import Sample
from factorylm_edge.settings import Outbox
from factorylm_edge.sqlite_history import SqliteHistory

_PART_DROPPED = 20
_WAITING = "FROM outbox WHERE number > (SELECT number FROM target WHERE name = ?)"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One commit of one gateway; `number` counts up, so that whoever gets it twice knows."""

    gateway: str
    number: int
    samples: list[Sample]
    historical: bool = False

    @property
    def id(self) -> str:
        """The same batch always has the same."""
        return f"{self.gateway}:{self.number}"


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """How far one target is behind."""

    batches: int
    samples: int


@dataclass
class OutboxTable:
    """The outbox of a history file."""

    history: SqliteHistory
    policy: Outbox
    dropped: int = 0

    def begin(self, targets: Sequence[str]) -> None:
        """A new target begins with what comes from now on; one that is configured no longer waits for nothing."""
        with self.history.commit() as db:
            newest = _newest(db)
            db.executemany("INSERT OR IGNORE INTO target VALUES (?, ?)", [(name, newest) for name in targets])
            known = {name for (name,) in db.execute("SELECT name FROM target")}
            db.executemany("DELETE FROM target WHERE name = ?", [(name,) for name in known.difference(targets)])

    def next(self, target: str, count: int) -> list[tuple[int, list[Sample]]]:
        """The next batches for a target, oldest first."""
        asked = f"SELECT number, data {_WAITING} ORDER BY number LIMIT ?"
        with self.history.commit() as db:
            rows = db.execute(asked, (target, count)).fetchall()
        return [(number, [Sample(*row) for row in json.loads(zlib.decompress(data))]) for number, data in rows]

    def sent(self, target: str, number: int) -> None:
        """The target has everything up to `number`; what all have goes."""
        with self.history.commit() as db:
            db.execute("UPDATE target SET number = ? WHERE name = ? AND number < ?", (number, target, number))
            db.execute("DELETE FROM outbox WHERE number <= (SELECT min(number) FROM target)")

    def backlog(self, target: str) -> Backlog:
        """How much still waits for a target."""
        asked = f"SELECT count(*), coalesce(sum(count), 0) {_WAITING}"
        with self.history.commit() as db:
            batches, samples = db.execute(asked, (target,)).fetchone()
        return Backlog(batches=batches, samples=samples)

    def bytes(self) -> int:
        """What waits takes."""
        with self.history.commit() as db:
            return _size(db)

    def bound(self) -> None:
        """Keep to the most that may wait: the declared policy says what goes. The history keeps everything."""
        with self.history.commit() as db:
            full = _size(db) > self.policy.most_bytes
            if full and self.policy.when_full == "drop-oldest":
                self.dropped += _drop_oldest(db)
            self.history.forwarded = not full or self.policy.when_full == "drop-oldest"


def _size(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(sum(length(data)), 0) FROM outbox").fetchone()[0])


def _newest(db: sqlite3.Connection) -> int:
    """The number given last, also where everything was sent and is gone."""
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return int(found[0]) if found else 0


def _drop_oldest(db: sqlite3.Connection) -> int:
    (batches,) = db.execute("SELECT count(*) FROM outbox").fetchone()
    part = max(1, batches // _PART_DROPPED)
    asked = "DELETE FROM outbox WHERE number IN (SELECT number FROM outbox ORDER BY number LIMIT ?) RETURNING count"
    return sum(count for (count,) in db.execute(asked, (part,)).fetchall())
