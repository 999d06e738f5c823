"""One version of one server as the registry keeps and shows it."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

OFFICIAL_META = "io.modelcontextprotocol.registry/official"
# Everything we add to the official answer stands under this key, beside the official one
OUR_META = "io.factorylm.registry/listing"


class Status(StrEnum):
    """Where a version is in its life; a deleted one stays in the log and can be asked for."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """`server` is its server.json, `ours` what FactoryLM knows besides: wheel, trust level, check result."""

    number: int
    server: dict[str, Any]
    published_at: str
    updated_at: str
    status: Status = Status.ACTIVE
    status_message: str = ""
    status_changed_at: str
    is_latest: bool
    ours: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.server["name"])

    @property
    def version(self) -> str:
        return str(self.server["version"])

    def wire(self) -> dict[str, Any]:
        """As the API answers; `_meta` is on every entry, because VS Code needs it."""
        official = {
            "status": self.status,
            **({"statusMessage": self.status_message} if self.status_message else {}),
            "statusChangedAt": self.status_changed_at,
            "publishedAt": self.published_at,
            "updatedAt": self.updated_at,
            "isLatest": self.is_latest,
        }
        return {
            "server": self.server,
            "_meta": {OFFICIAL_META: official, **({OUR_META: self.ours} if self.ours else {})},
        }


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value in one canonical form: what the log keeps of it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def instant(moment: datetime) -> str:
    """Fixed width, so that text sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_of(text: str) -> datetime:
    """The moment an `instant` says."""
    return datetime.fromisoformat(text)
