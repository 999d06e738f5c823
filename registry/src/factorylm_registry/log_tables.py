"""The log's tables: an entry is appended inside the transaction of the change that it records."""

import json
from typing import Any

from factorylm_registry.database import Database
from factorylm_registry.merkle import completed_nodes, leaf_hash
from factorylm_registry.refusals import NotProvenError


def append_entry(database: Database, event: str, name: str, version: str, by: str, at: str, **details: Any) -> None:
    """Add an entry and the nodes it completes; within `database.writing()`."""
    entry = {"event": str(event), "name": name, "version": version, "by": by, "time": at, **details}
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    (size,) = database.rows("SELECT COALESCE(MAX(position) + 1, 0) FROM log_entries")[0]
    database.run("INSERT INTO log_entries VALUES(?, ?, ?, ?)", int(size), name, version, text)

    def node(level: int, position: int) -> bytes:
        return nodes(database, level, position, 1)[0]

    for level, position, made in completed_nodes(int(size), leaf_hash(text.encode()), node):
        database.run("INSERT INTO log_nodes(level, position, hash) VALUES(?, ?, ?)", level, position, made.hex())


def nodes(database: Database, level: int, begin: int, count: int) -> list[bytes]:
    """Hashes of complete nodes."""
    sql = "SELECT hash FROM log_nodes WHERE level = ? AND position >= ? AND position < ? ORDER BY position"
    return [bytes.fromhex(row[0]) for row in database.rows(sql, level, begin, begin + count)]


def use_permit(database: Database, permit: str) -> None:
    """A token allows one change: seen again on the wire, it allows nothing."""
    if not permit:
        return
    if database.rows("SELECT 1 FROM spent WHERE permit = ?", permit):
        raise NotProvenError("this token was used before", hint="Log in again: a token is good for one change")
    database.run("INSERT INTO spent(permit, until) VALUES(?, '9999')", permit)
