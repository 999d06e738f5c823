"""Keys, licences and usage over either database."""

from collections.abc import Sequence
from dataclasses import dataclass

from factorylm_registry.accounts import Change, KeyHolder, Role, UsageEvent
from factorylm_registry.database import Database
from factorylm_registry.listing import instant
from factorylm_registry.log_tables import append_entry, use_permit
from factorylm_registry.refusals import ConflictError, NotListedError, NotProvenError

_KEY = "namespace, holder, role, since, until"


@dataclass(frozen=True)
class SqlAccounts:
    """In the same database and the same log as the listings."""

    database: Database

    def add_key(self, namespace: str, holder: str, role: Role, change: Change) -> None:
        at = instant(change.at)
        with self.database.writing():
            use_permit(self.database, change.permit)
            known = {one.holder: one for one in self._keys("namespace = ?", namespace)}.get(holder)
            if known is not None and known.until:
                hint = "Make a new key and show that one"
                raise NotProvenError(f"this key was retired on {known.until[:10]}", hint=hint)
            if known is not None and known.role == role:
                return
            self.database.run("DELETE FROM keys WHERE namespace = ? AND holder = ?", namespace, holder)
            self.database.run("INSERT INTO keys VALUES(?, ?, ?, ?, '')", namespace, holder, role, at)
            append_entry(self.database, "key-added", namespace, "", change.by, at, key=holder, role=role)

    def retire_key(self, namespace: str, holder: str, reason: str, change: Change) -> None:
        at = instant(change.at)
        with self.database.writing():
            use_permit(self.database, change.permit)
            used = [one.holder for one in self._keys("namespace = ? AND until = ''", namespace)]
            if holder not in used:
                hint = f"In use are: {', '.join(used) or 'none'}"
                raise NotListedError(f"{namespace} has no such key in use: {holder[:80]}", hint=hint)
            self.database.run("UPDATE keys SET until = ? WHERE namespace = ? AND holder = ?", at, namespace, holder)
            append_entry(self.database, "key-retired", namespace, "", change.by, at, key=holder, reason=reason)

    def keys(self, namespace: str) -> list[KeyHolder]:
        with self.database.reading():
            return self._keys("namespace = ?", namespace)

    def roles_of(self, holder: str) -> list[KeyHolder]:
        with self.database.reading():
            return self._keys("holder = ? AND until = ''", holder)

    def retired_in(self, holder: str) -> set[str]:
        with self.database.reading():
            return {one.namespace for one in self._keys("holder = ? AND until <> ''", holder)}

    def audit(self, namespace: str) -> list[tuple[int, bytes]]:
        sql = "SELECT position, entry FROM log_entries WHERE name = ? OR name LIKE ? ORDER BY position"
        with self.database.reading():
            return [(int(row[0]), row[1].encode()) for row in self.database.rows(sql, namespace, f"{namespace}/%")]

    def revoke_licence(self, name: str, licence: str, reason: str, change: Change) -> None:
        at = instant(change.at)
        with self.database.writing():
            use_permit(self.database, change.permit)
            if licence in self._revoked(name):
                raise ConflictError(f"the licence {licence} of {name} is revoked already")
            self.database.run("INSERT INTO revoked VALUES(?, ?)", name, licence)
            append_entry(self.database, "licence-revoked", name, "", change.by, at, licence=licence, reason=reason)

    def revoked(self, name: str) -> list[str]:
        with self.database.reading():
            return self._revoked(name)

    def add_usage(self, events: Sequence[UsageEvent]) -> int:
        new = 0
        with self.database.writing():
            for one in events:
                if self.database.rows("SELECT 1 FROM usage_events WHERE source = ? AND id = ?", one.source, one.id):
                    continue
                values = (one.source, one.id, one.name, one.unit, one.count, one.time)
                self.database.run("INSERT INTO usage_events VALUES(?, ?, ?, ?, ?, ?)", *values)
                new += 1
        return new

    def usage(self, name: str) -> list[tuple[str, str, int]]:
        sql = "SELECT source, unit, SUM(count) FROM usage_events WHERE name = ? GROUP BY source, unit ORDER BY 1, 2"
        with self.database.reading():
            return [(str(row[0]), str(row[1]), int(row[2])) for row in self.database.rows(sql, name)]

    def _keys(self, where: str, value: str) -> list[KeyHolder]:
        rows = self.database.rows(f"SELECT {_KEY} FROM keys WHERE {where} ORDER BY since, holder", value)  # noqa: S608
        return [
            KeyHolder(namespace=row[0], holder=row[1], role=Role(row[2]), since=row[3], until=row[4]) for row in rows
        ]

    def _revoked(self, name: str) -> list[str]:
        rows = self.database.rows("SELECT licence FROM revoked WHERE name = ? ORDER BY licence", name)
        return [str(row[0]) for row in rows]
