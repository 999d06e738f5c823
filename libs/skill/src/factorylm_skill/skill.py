"""What a skill hands to the kit, and what the kit opens from it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from factorylm_schema import Plant

from factorylm_skill.audit import AuditLog
from factorylm_skill.desk import ApprovalDesk
from factorylm_skill.devices import Devices, StandingAlarms
from factorylm_skill.shelf import SeriesShelf
from factorylm_skill.tool import ServedTool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the operator decided when starting the server; a model can change none of it.

    When a client cannot ask its user, a write waits on the operator's `desk` where there is one; else `approve`
    decides: "person" refuses it, "plan" accepts a single-use plan id, which a model can confirm itself: a speed
    bump, not a gate.
    """

    plant: Plant = field(default_factory=Plant)
    allow_writes: bool = False
    approve: Literal["person", "plan"] = "person"
    audit: AuditLog | None = None
    desk: ApprovalDesk | None = None
    data: tuple[Path, ...] = ()
    shelf: SeriesShelf = field(default_factory=SeriesShelf)


async def _nothing_to_close() -> None:
    return None


async def _no_devices(_: Plant) -> None:
    return None


async def _no_alarms() -> StandingAlarms:
    return StandingAlarms()


@dataclass(frozen=True, kw_only=True)
class OpenSkill:
    """A skill ready to serve: its tools, and how to let go of what they hold.

    `replant` takes over a plant file that changed while the server runs; `alarms` tells which alarms stand now.
    """

    tools: Sequence[ServedTool]
    devices: Devices | None = None
    replant: Callable[[Plant], Awaitable[None]] = _no_devices
    alarms: Callable[[], Awaitable[StandingAlarms]] = _no_alarms
    close: Callable[[], Awaitable[None]] = _nothing_to_close


class Skill(Protocol):
    """What the entry-point group `factorylm.skills` points at."""

    @property
    def name(self) -> str:
        """Short name, the prefix of its tools: `modbus`."""
        ...

    @property
    def title(self) -> str:
        """Name for people: `Modbus`."""
        ...

    @property
    def version(self) -> str:
        """The package's version."""
        ...

    @property
    def instructions(self) -> str:
        """What a model should know before the first call; short, since every conversation pays for it."""
        ...

    @property
    def package(self) -> str:
        """The import package that holds SKILL.md."""
        ...

    def open(self, settings: Settings) -> OpenSkill:
        """The tools under these settings; nothing is connected or loaded yet."""
        ...


@dataclass(frozen=True, kw_only=True)
class DomainSkill:
    """A skill that speaks to no device: `tools` makes its tools from the settings."""

    name: str
    title: str
    version: str
    instructions: str
    package: str
    tools: Callable[[Settings], Sequence[ServedTool]]

    def open(self, settings: Settings) -> OpenSkill:
        """Its tools."""
        return OpenSkill(tools=self.tools(settings))
