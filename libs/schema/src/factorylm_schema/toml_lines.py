"""Where a key stands in a TOML file: tomllib reads values and forgets lines."""

import re

Key = tuple[str, ...]

_TABLE = re.compile(r"^\s*\[\[?\s*(?P<key>[^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_PAIR = re.compile(
    r"""^\s*(?P<key>(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(?:\.|$)""")


def key_lines(text: str) -> dict[Key, int]:
    """Line number (from 1) of every table and key; keys inside an inline table share its line."""
    lines: dict[Key, int] = {}
    table: Key = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            closing = "" if closing in line else closing
        elif found := _TABLE.match(line):
            table = _parts(found["key"])
            lines.setdefault(table, number)
        elif found := _PAIR.match(line):
            lines.setdefault(table + _parts(found["key"]), number)
            closing = _opened(line[found.end() :])
    return lines


def line_of(key: Key, lines: dict[Key, int]) -> int:
    """The line of `key`, or of the nearest table above it."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _parts(dotted: str) -> Key:
    return tuple(double or single or bare for double, single, bare in _PART.findall(dotted))


def _opened(value: str) -> str:
    """The quotes that a multi-line string begun on this line still waits for."""
    for quotes in ('"""', "'''"):
        if value.count(quotes) % 2:
            return quotes
    return ""
