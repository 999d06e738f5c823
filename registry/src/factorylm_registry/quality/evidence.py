"""What was seen of a skill; rules judge it and touch nothing."""

from dataclasses import dataclass, field
from typing import Any

from factorylm_schema import SkillManifest

from factorylm_registry.wheels import Wheel


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How a tool answered a call that it should refuse."""

    is_error: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A running server, watched from outside over stdio."""

    answered: bool = False
    trouble: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    tools_again: list[dict[str, Any]] = field(default_factory=list)
    modern: bool = False
    stray_output: str = ""
    unknown_argument: dict[str, Answered] = field(default_factory=dict)
    survived_nonsense: bool = False
    ended_on_eof: bool = False
    ended_on_signal: bool = False
    start_cpu_s: float = 0.0
    floor_cpu_s: float = 0.0
    memory_mb: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything about one wheel; `contract` holds the kit's checks by name with the reason of each failure."""

    wheel: Wheel
    manifest: SkillManifest | None = None
    manifest_trouble: str = ""
    install_trouble: str = ""
    installed: list[str] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    contract: dict[str, str] | None = None
    contract_trouble: str = ""

    @property
    def distribution(self) -> str:
        return str(self.wheel.metadata["Name"])

    @property
    def version(self) -> str:
        return str(self.wheel.metadata["Version"])

    @property
    def requirements(self) -> list[str]:
        """What it needs, its extras aside."""
        return [line for line in self.wheel.metadata.get_all("Requires-Dist", []) if "extra ==" not in line]

    @property
    def entry_points(self) -> str:
        return self.wheel.text(f"{self.wheel.dist_info}/entry_points.txt")
