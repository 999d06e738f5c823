"""What requirements bring along, read from the environment; runs in .venv."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires

from workspace.members import requirement_name


def direct_needs(name: str) -> set[str]:
    """What a distribution asks for, its extras left out; nothing when it is for another platform."""
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return set()
    return {requirement_name(line) for line in lines if "extra ==" not in line}


def all_needs(requirements: Iterable[str]) -> set[str]:
    """The distributions that these requirement lines bring, themselves included."""
    found: set[str] = set()
    waiting = {requirement_name(line) for line in requirements}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= direct_needs(name) - found
    return found
