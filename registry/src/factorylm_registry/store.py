"""What a registry keeps, behind one interface: SQLite on one machine, PostgreSQL beyond it.

Every change is one transaction that also appends its entry to the transparency log: either both are there
afterwards or neither, whatever breaks in between.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from factorylm_registry.accounts import Accounts
from factorylm_registry.cursors import Question
from factorylm_registry.listing import Listing, Status


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version about to be listed; `permit` is the single-use id of the token that allows it."""

    server: dict[str, Any]
    at: datetime
    by: str
    ours: dict[str, Any] = field(default_factory=dict)
    permit: str = ""


@dataclass(frozen=True, kw_only=True)
class StatusChange:
    """Of one version, or of all where `version` is empty."""

    name: str
    version: str
    status: Status
    message: str
    at: datetime
    by: str
    permit: str = ""


class Store(Protocol):
    """A registry's memory. Names and versions that do not exist are NotListedError."""

    @property
    def accounts(self) -> Accounts:
        """Keys, licences, usage."""
        ...

    def publish(self, release: Release) -> Listing:
        """List it; ConflictError when the version exists, NotYoursError for a look-alike name."""
        ...

    def set_status(self, change: StatusChange) -> list[Listing]:
        """Change the status of one version or of all."""
        ...

    def annotate(self, name: str, version: str, found: dict[str, Any], at: datetime, by: str) -> Listing:
        """Add what was found out later: a check result, a review."""
        ...

    def page(self, question: Question) -> list[Listing]:
        """At most `limit` + 1 entries in the order of publication: the extra one says that there is more."""
        ...

    def versions(self, name: str, *, include_deleted: bool = False) -> list[Listing]:
        """All versions, newest first."""
        ...

    def version(self, name: str, version: str, *, include_deleted: bool = False) -> Listing:
        """One version, or `latest`."""
        ...

    def spend(self, permit: str, until: datetime, now: datetime) -> None:
        """Use a proof once; NotProvenError the second time."""
        ...

    def log_size(self) -> int:
        """Entries in the transparency log."""
        ...

    def log_entries(self, begin: int, count: int) -> list[bytes]:
        """The entries from `begin` on."""
        ...

    def log_of(self, name: str, version: str) -> list[tuple[int, bytes]]:
        """Every entry about one version, with its place in the log."""
        ...

    def log_nodes(self, level: int, begin: int, count: int) -> list[bytes]:
        """Hashes of complete nodes."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def open_store(place: str) -> Store:
    """`postgresql://…`, or the path of an SQLite file."""
    from factorylm_registry.sql_store import SqlStore

    if place.startswith(("postgresql://", "postgres://")):
        from factorylm_registry.postgresql import connect_postgresql

        return SqlStore(connect_postgresql(place))
    from factorylm_registry.sqlite import connect_sqlite

    return SqlStore(connect_sqlite(place))
