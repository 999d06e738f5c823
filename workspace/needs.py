"""What requirements bring along, read from the environment; runs in .venv."""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires

from workspace.members import requirement_name


def direct_needs(name: str) -> set[str]:
    """What a distribution asks for, its extras left out; nothing when it is for another platform."""
    return {requirement_name(line) for line in _lines(name, frozenset())}


def all_needs(requirements: Iterable[str]) -> set[str]:
    """The distributions that these requirement lines bring, themselves and the extras they name included."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = {_wanted(line) for line in requirements}
    while waiting:
        wanted = waiting.pop()
        found.add(wanted)
        waiting |= {_wanted(line) for line in _lines(*wanted)} - found
    return {name for name, _ in found}


def _lines(name: str, extras: frozenset[str]) -> list[str]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return []
    return [
        line
        for line in lines
        if "extra ==" not in line or any(re.search(f"extra == ['\"]{extra}['\"]", line) for extra in extras)
    ]


def _wanted(line: str) -> tuple[str, frozenset[str]]:
    """`mcp[cli]>=2.3` as its name and the extras it asks for."""
    extras = re.match(r"[\w.-]+\s*\[(?P<extras>[^]]*)\]", line)
    asked = extras["extras"].split(",") if extras else []
    return requirement_name(line), frozenset(extra.strip() for extra in asked)
