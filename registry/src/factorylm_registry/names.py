"""Server names: `namespace/name`, and which of them a person would take for another."""

import re

# What looks alike in common fonts; after these replacements two names that are equal are look-alikes
_ALIKE = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("0", "o"), ("1", "l"), ("i", "l"), ("5", "s"), ("8", "b"))
_SILENT = re.compile(r"[-_]")
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def namespace_of(name: str) -> str:
    """`com.example` of `com.example/pump`."""
    return name.split("/", 1)[0]


def skeleton(name: str) -> str:
    """Two names with one skeleton are taken for each other by a reader."""
    text = _SILENT.sub("", name.lower())
    for seen, meant in _ALIKE:
        text = text.replace(seen, meant)
    return text


def is_well_formed(part: str) -> bool:
    """Begins and ends with a letter or digit."""
    return _PART.fullmatch(part) is not None and ".." not in part


def covers(pattern: str, name: str) -> bool:
    """Whether a permission like `com.example/*` or `com.example.*/*` reaches `name`.

    The slash belongs to the pattern: `com.example/*` never reaches `com.example-evil/x` (prefix attack).
    """
    space, _, rest = pattern.partition("/")
    namespace, _, own = name.partition("/")
    reaches = namespace.startswith(space[:-1]) if space.endswith(".*") else namespace == space
    return reaches and rest in ("*", own)
