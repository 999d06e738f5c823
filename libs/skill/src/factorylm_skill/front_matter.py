"""The head of a SKILL.md: the block YAML that the Agent Skills format allows, and no more of YAML.

Maps, lists and one-line texts; no flow lists, anchors or folded texts, which its validator refuses too.
"""

from typing import Any

Block = list[tuple[int, str]]


def front_matter(text: str) -> dict[str, Any]:
    """The keys between the two lines of `---`; raises ValueError where the file does not begin so."""
    if not text.startswith("---\n") or "\n---" not in text[4:]:
        raise ValueError("SKILL.md begins with a block between two lines of ---")
    lines = text[4:].split("\n---", 1)[0].splitlines()
    block = [(len(line) - len(line.lstrip()), line.strip()) for line in lines if line.strip()]
    found = _value(block)
    if not isinstance(found, dict):
        raise ValueError("the head of SKILL.md is a list of `key: value` lines")  # noqa: TRY004 (a fault of the text)
    return found


def _value(block: Block) -> Any:
    if not block:
        return ""
    if block[0][1].startswith("- "):
        return [_plain(text[2:]) for _, text in block]
    return {key: _plain(rest) if rest else _value(inner) for key, rest, inner in _entries(block)}


def _entries(block: Block) -> list[tuple[str, str, Block]]:
    depth = block[0][0]
    entries: list[tuple[str, str, Block]] = []
    for indent, text in block:
        if indent > depth and entries:
            entries[-1][2].append((indent, text))
        else:
            key, colon, rest = text.partition(":")
            if not colon:
                raise ValueError(f"not a `key: value` line: {text[:60]!r}")
            entries.append((key.strip(), rest.strip(), []))
    return entries


def _plain(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text
