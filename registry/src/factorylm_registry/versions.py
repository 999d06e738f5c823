"""Which of two versions is the newer one, by the rules of the MCP registry."""

import re
from datetime import datetime

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_RANGE = re.compile(r"[\^~<>=*|]|\s-\s|(^|\.)[xX](\.|$)|\s")

Key = tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]


def semver_key(version: str) -> Key | None:
    """Sorts as SemVer 2.0.0 says (clause 11): build metadata does not count, a pre-release comes before its release."""
    found = _SEMVER.fullmatch(version)
    if found is None:
        return None
    major, minor, patch, before = found.groups()
    return int(major), int(minor), int(patch), int(before is None), _identifiers(before or "")


def is_newer(version: str, published: datetime, than: str, than_published: datetime) -> bool:
    """Both semantic: compared; one semantic: that one; none: the later one."""
    one, other = semver_key(version), semver_key(than)
    if one is not None and other is not None and one != other:
        return one > other
    if (one is None) != (other is None):
        return one is not None
    return published >= than_published


def looks_like_a_range(version: str) -> bool:
    """`^1.2`, `~=1`, `1.x`, `>=1,<2` and the like."""
    return _RANGE.search(version) is not None


def _identifiers(text: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers compare as numbers and come before words."""
    parts = text.split(".") if text else []
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
