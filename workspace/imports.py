"""Who imports whom, read from the source, not from what packages declare."""

import ast
from pathlib import Path

from workspace.members import ROOT, Member


def layer(member: Member) -> int:
    """How high a package stands; it may import what stands lower."""
    place = member.folder.relative_to(ROOT).as_posix()
    return {"libs/schema": 0, "libs/skill": 1, "host": 3}.get(place, 2)


def sources(member: Member) -> list[Path]:
    """The package's modules."""
    return sorted((member.folder / "src").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level names of everything the file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}:{node.lineno}: a relative import hides where it points")
            found.add((node.module or "").split(".")[0])
    return found


def siblings_of(member: Member, everybody: list[Member]) -> set[str]:
    """The names of the packages of this workspace that `member` imports."""
    by_import = {other.package: other.name for other in everybody if other != member}
    used = {name for path in sources(member) for name in imported(path)}
    return {by_import[name] for name in used & by_import.keys()}
