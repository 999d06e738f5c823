"""The packages of this workspace, found from the folders the root pyproject.toml names."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class Member:
    """One package: its folder and what its pyproject.toml says."""

    folder: Path
    project: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.project["name"])

    @property
    def package(self) -> str:
        """The import name, which is the one folder under src/."""
        return self.name.replace("-", "_")

    @property
    def skills(self) -> dict[str, str]:
        """The skills it announces to the host, by name."""
        return dict(self.project.get("entry-points", {}).get("factorylm.skills", {}))

    @property
    def requirements(self) -> list[str]:
        """Everything it declares, its extras included."""
        extras = self.project.get("optional-dependencies", {})
        return [*self.project.get("dependencies", []), *(line for extra in extras.values() for line in extra)]


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def members(root: Path = ROOT) -> list[Member]:
    """Every member, in the order of their folders."""
    patterns = read_toml(root / "pyproject.toml")["tool"]["uv"]["workspace"]["members"]
    found = sorted({path for pattern in patterns for path in root.glob(f"{pattern}/pyproject.toml")})
    return [Member(path.parent, read_toml(path)["project"]) for path in found]


def requirement_name(requirement: str) -> str:
    """The normalised distribution name of a requirement line (PEP 503)."""
    match = NAME.match(requirement)
    if match is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", match[1]).lower()


def third_party(root: Path = ROOT) -> list[str]:
    """What all members and developers need from outside, one requirement a line, sorted."""
    found = members(root)
    own = {requirement_name(member.name) for member in found}
    development = read_toml(root / "pyproject.toml")["dependency-groups"]["dev"]
    lines = {line for member in found for line in member.requirements} | set(development)
    return sorted(line for line in lines if requirement_name(line) not in own)
