"""The store over either database: listings, their log, and what has been used up."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from factorylm_registry.accounts import Accounts
from factorylm_registry.cursors import Question
from factorylm_registry.database import Database, Row
from factorylm_registry.listing import Listing, Status, digest_of, instant, moment_of
from factorylm_registry.log_tables import append_entry, nodes, use_permit
from factorylm_registry.names import namespace_of, skeleton
from factorylm_registry.refusals import ConflictError, NotListedError, NotProvenError, NotYoursError
from factorylm_registry.sql_accounts import SqlAccounts
from factorylm_registry.store import Release, StatusChange
from factorylm_registry.versions import is_newer

MOST_VERSIONS = 10_000
_COLUMNS = "number, server, status, status_message, status_changed_at, published_at, updated_at, is_latest, ours"


@dataclass(frozen=True)
class SqlStore:
    """A registry's memory in a database."""

    database: Database

    @property
    def accounts(self) -> Accounts:
        return SqlAccounts(self.database)

    def publish(self, release: Release) -> Listing:
        name, version, at = release.server["name"], release.server["version"], instant(release.at)
        with self.database.writing():
            use_permit(self.database, release.permit)
            self._refuse_existing(name, version)
            self._refuse_look_alike(name)
            (number,) = self.database.rows("SELECT COALESCE(MAX(number), 0) + 1 FROM versions")[0]
            leads = self._lead(name, version, release.at)
            self._insert(int(number), release, at, leads=leads)
            append_entry(
                self.database,
                "listed",
                name,
                version,
                release.by,
                at,
                server=digest_of(release.server),
                ours=digest_of(release.ours),
            )
        return self.version(name, version, include_deleted=True)

    def set_status(self, change: StatusChange) -> list[Listing]:
        at = instant(change.at)
        with self.database.writing():
            use_permit(self.database, change.permit)
            changed = self._of(change.name, change.version)
            if all((old.status, old.status_message) == (change.status, change.message) for old in changed):
                raise ConflictError(f"no changes to apply: the status is already {change.status}")
            for old in changed:
                self.database.run(
                    "UPDATE versions SET status = ?, status_message = ?, status_changed_at = ?, updated_at = ? "
                    "WHERE number = ?",
                    *(change.status, change.message, at, at, old.number),
                )
                append_entry(self.database, change.status, old.name, old.version, change.by, at, message=change.message)
            self._choose_latest(change.name)
        return self._of(change.name, change.version)

    def annotate(self, name: str, version: str, found: dict[str, Any], at: datetime, by: str) -> Listing:
        with self.database.writing():
            old = self._of(name, version)[0]
            merged = {**old.ours, **found}
            text = json.dumps(merged, sort_keys=True)
            self.database.run(
                "UPDATE versions SET ours = ?, updated_at = ? WHERE number = ?", text, instant(at), old.number
            )
            append_entry(self.database, "found", name, version, by, instant(at), ours=digest_of(merged))
        return self._of(name, version)[0]

    def page(self, question: Question) -> list[Listing]:
        category = [_category(question.category)] if question.category else []
        search = self.database.search([*([question.search.lower()] if question.search else []), *category])
        conditions = [f"{search.order} > ?", *search.conditions]
        values: list[Any] = [question.after, *search.values]
        for text, given in _filters(question):
            conditions.append(text)
            values.extend(given)
        where = f"WHERE {' AND '.join(conditions)} ORDER BY {search.order} LIMIT ?"
        sql = f"SELECT {_COLUMNS} FROM {search.tables} {where}"  # noqa: S608 (constant parts)
        with self.database.reading():
            return [_listing(row) for row in self.database.rows(sql, *values, question.limit + 1)]

    def versions(self, name: str, *, include_deleted: bool = False) -> list[Listing]:
        with self.database.reading():
            found = [one for one in self._of(name, "") if include_deleted or one.status != Status.DELETED]
        if not found:
            raise NotListedError(f"{name} was deleted", hint="Ask with include_deleted=true")
        return found

    def version(self, name: str, version: str, *, include_deleted: bool = False) -> Listing:
        wanted = "is_latest = 1" if version == "latest" else "version = ?"
        values = [name] if version == "latest" else [name, version]
        with self.database.reading():
            rows = self.database.rows(f"SELECT {_COLUMNS} FROM versions WHERE name = ? AND {wanted}", *values)  # noqa: S608
        found = [one for one in map(_listing, rows) if include_deleted or one.status != Status.DELETED]
        if not found:
            raise _not_listed(name, version)
        return found[0]

    def spend(self, permit: str, until: datetime, now: datetime) -> None:
        with self.database.writing():
            self.database.run("DELETE FROM spent WHERE until < ?", instant(now))
            if self.database.rows("SELECT 1 FROM spent WHERE permit = ?", permit):
                raise NotProvenError("this proof was used before", hint="Sign the present time anew")
            self.database.run("INSERT INTO spent(permit, until) VALUES(?, ?)", permit, instant(until))

    def log_size(self) -> int:
        with self.database.reading():
            return int(self.database.rows("SELECT COALESCE(MAX(position) + 1, 0) FROM log_entries")[0][0])

    def log_entries(self, begin: int, count: int) -> list[bytes]:
        sql = "SELECT entry FROM log_entries WHERE position >= ? AND position < ? ORDER BY position"
        with self.database.reading():
            return [row[0].encode() for row in self.database.rows(sql, begin, begin + count)]

    def log_of(self, name: str, version: str) -> list[tuple[int, bytes]]:
        sql = "SELECT position, entry FROM log_entries WHERE name = ? AND version = ? ORDER BY position"
        with self.database.reading():
            return [(int(row[0]), row[1].encode()) for row in self.database.rows(sql, name, version)]

    def log_nodes(self, level: int, begin: int, count: int) -> list[bytes]:
        with self.database.reading():
            return nodes(self.database, level, begin, count)

    def close(self) -> None:
        self.database.close()

    def _refuse_existing(self, name: str, version: str) -> None:
        if self.database.rows("SELECT 1 FROM versions WHERE name = ? AND version = ?", name, version):
            hint = "A published version never changes; give it a new version number"
            raise ConflictError(f"{name} {version} is listed already", hint=hint)
        (count,) = self.database.rows("SELECT COUNT(*) FROM versions WHERE name = ?", name)[0]
        if count >= MOST_VERSIONS:
            raise ConflictError(f"{name} has {count} versions, which is the most a server may have")

    def _refuse_look_alike(self, name: str) -> None:
        rows = self.database.rows(
            "SELECT name FROM versions WHERE (namespace_skeleton = ? AND namespace <> ?) "
            "OR (name_skeleton = ? AND name <> ?) LIMIT 1",
            *(skeleton(namespace_of(name)), namespace_of(name), skeleton(name), name),
        )
        if rows:
            hint = "Choose a name that nobody takes for it"
            raise NotYoursError(f"{name} looks like {rows[0][0]}, which is listed already", hint=hint)

    def _lead(self, name: str, version: str, at: datetime) -> bool:
        """Whether the new version becomes the latest; the one before gives the place up."""
        latest = self.database.rows(
            "SELECT number, version, published_at, status FROM versions WHERE name = ? AND is_latest = 1", name
        )
        if not latest:
            return True
        number, old, published, status = latest[0]
        if status != Status.DELETED and not is_newer(version, at, old, moment_of(published)):
            return False
        self.database.run("UPDATE versions SET is_latest = 0, updated_at = ? WHERE number = ?", instant(at), number)
        return True

    def _choose_latest(self, name: str) -> None:
        candidates = self._of(name, "")
        living = [one for one in candidates if one.status != Status.DELETED] or candidates
        best = living[-1]
        for one in living[:-1]:
            if is_newer(one.version, moment_of(one.published_at), best.version, moment_of(best.published_at)):
                best = one
        self.database.run("UPDATE versions SET is_latest = 0 WHERE name = ? AND number <> ?", name, best.number)
        self.database.run("UPDATE versions SET is_latest = 1 WHERE number = ?", best.number)

    def _insert(self, number: int, release: Release, at: str, *, leads: bool) -> None:
        server, name = release.server, release.server["name"]
        words = _words(server, release.ours)
        text, ours = json.dumps(server, sort_keys=True), json.dumps(release.ours, sort_keys=True)
        values = (number, name, server["version"], namespace_of(name), skeleton(name), skeleton(namespace_of(name)))
        rest = (Status.ACTIVE, "", at, at, at, int(leads), text, ours, words)
        places = ", ".join("?" * (len(values) + len(rest)))
        self.database.run(f"INSERT INTO versions VALUES({places})", *values, *rest)
        self.database.index_words(number, words)

    def _of(self, name: str, version: str) -> list[Listing]:
        sql = f"SELECT {_COLUMNS} FROM versions WHERE name = ? AND (? = '' OR version = ?) ORDER BY number DESC"  # noqa: S608
        found = [_listing(row) for row in self.database.rows(sql, name, version, version)]
        if not found:
            raise _not_listed(name, version)
        return found


def _filters(question: Question) -> list[tuple[str, list[str]]]:
    filters: list[tuple[str, list[str]]] = []
    if not question.include_deleted:
        filters.append(("status <> 'deleted'", []))
    if question.version == "latest":
        filters.append(("is_latest = 1", []))
    elif question.version:
        filters.append(("version = ?", [question.version]))
    if question.updated_since:
        filters.append(("updated_at >= ?", [question.updated_since]))
    return filters


def _listing(row: Row) -> Listing:
    number, server, status, message, changed, published, updated, latest, ours = row
    return Listing(
        number=number,
        server=json.loads(server),
        status=Status(status),
        status_message=message,
        status_changed_at=changed,
        published_at=published,
        updated_at=updated,
        is_latest=bool(latest),
        ours=json.loads(ours),
    )


def _words(server: dict[str, Any], ours: dict[str, Any]) -> str:
    categories = "".join(map(_category, ours.get("categories", [])))
    return "\n".join([server["name"], server.get("title", ""), server["description"], categories]).lower()


def _category(name: str) -> str:
    """Findable as a whole word, and not by an ordinary search: those hold no tab."""
    return f"\tcategory:{name.lower()}\t"


def _not_listed(name: str, version: str) -> NotListedError:
    wanted = f"{name} {version}".strip()
    return NotListedError(f"Server not found: {wanted[:200]}", hint="GET /v0.1/servers?search=… finds what there is")
