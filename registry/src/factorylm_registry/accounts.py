"""Who holds keys for a namespace and in which role, which licences are revoked, and what was used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

Action = Literal["publish", "edit", "manage"]


class Role(StrEnum):
    """What the holder of a key may do in a namespace."""

    OWNER = "owner"
    PUBLISHER = "publisher"
    EDITOR = "editor"
    WORKFLOW = "workflow"

    @property
    def actions(self) -> tuple[Action, ...]:
        """An editor deprecates and yanks, a publisher also publishes, an owner also decides about keys.

        The key that a workflow made for one release opens nothing by itself.
        """
        everything: tuple[Action, ...] = ("edit", "publish", "manage")
        return everything[: {Role.WORKFLOW: 0, Role.EDITOR: 1, Role.PUBLISHER: 2, Role.OWNER: 3}[self]]


@dataclass(frozen=True, kw_only=True)
class KeyHolder:
    """A key by its line NAME+HASH+KEY; `until` is empty while it is in use."""

    namespace: str
    holder: str
    role: Role
    since: str
    until: str = ""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Who changes something, when, and with which single-use permit."""

    by: str
    at: datetime
    permit: str = ""


@dataclass(frozen=True, kw_only=True)
class UsageEvent:
    """A CloudEvent's essence; `source` and `id` together are unique, so that it counts once."""

    source: str
    id: str
    name: str
    unit: str
    count: int
    time: str


class Accounts(Protocol):
    """Every change of keys and licences is an entry of the log; usage is private and is not."""

    def add_key(self, namespace: str, holder: str, role: Role, change: Change) -> None:
        """Note a key; nothing happens when it is there in that role. NotProvenError when it was retired."""
        ...

    def retire_key(self, namespace: str, holder: str, reason: str, change: Change) -> None:
        """From now on the key proves nothing; NotListedError when it is not in use."""
        ...

    def keys(self, namespace: str) -> list[KeyHolder]:
        """Also the retired ones, oldest first."""
        ...

    def roles_of(self, holder: str) -> list[KeyHolder]:
        """Where a key is in use."""
        ...

    def retired_in(self, holder: str) -> set[str]:
        """The namespaces that retired a key: what one owner retires stays good for others."""
        ...

    def audit(self, namespace: str) -> list[tuple[int, bytes]]:
        """Every log entry about the namespace and its servers."""
        ...

    def revoke_licence(self, name: str, licence: str, reason: str, change: Change) -> None:
        """ConflictError when it is revoked already."""
        ...

    def revoked(self, name: str) -> list[str]:
        """The ids of revoked licences, sorted."""
        ...

    def add_usage(self, events: Sequence[UsageEvent]) -> int:
        """How many of them were new."""
        ...

    def usage(self, name: str) -> list[tuple[str, str, int]]:
        """Source, unit and sum."""
        ...
