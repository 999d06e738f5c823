"""A CPU's block list: the kinds of blocks, then the blocks of one kind. What is inside, a CPU does not tell."""

from collections.abc import Sequence

from factorylm_schema import BadRequestError, DeviceRefusedError
from factorylm_skill.driver import BrowsePage
from factorylm_skill.paging import page

from factorylm_s7 import system_data
from factorylm_s7.session import Session

COLUMNS = ["name", "path", "bytes", "note"]
_CONTENTS = {
    "OB": "organisation blocks (program)",
    "DB": "data blocks: readable by address",
    "SDB": "system data",
    "FC": "functions (program)",
    "SFC": "system functions",
    "FB": "function blocks (program)",
    "SFB": "system function blocks",
}


def browse_blocks(session: Session, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
    """At path "" the kinds, at path "DB" (or another kind) its blocks; data blocks with their size in bytes."""
    kind, word = path.strip().strip("/").upper(), search.upper()
    if not kind:
        counts = system_data.block_counts(session)
        kinds = [
            [name, name if counts[name] else "", None, f"{counts[name]} {what}"]
            for name, what in _CONTENTS.items()
            if word in name
        ]
        shown, following = page(kinds, limit, cursor, f"\n{search}")
        return BrowsePage(columns=COLUMNS, rows=[list(row) for row in shown], cursor=following)
    if kind not in _CONTENTS:
        raise BadRequestError(f"there is no kind of block {path[:40]!r}", hint=f"Use one of {', '.join(_CONTENTS)}")
    numbers = [number for number in _numbers(session, kind) if word in f"{kind}{number}"]
    shown_numbers, following = page(numbers, limit, cursor, f"{kind}\n{search}")
    sizes = _sizes(session, shown_numbers) if kind == "DB" else {}
    rows = [[f"{kind}{number}", "", sizes.get(number), ""] for number in shown_numbers]
    return BrowsePage(columns=COLUMNS, rows=[list(row) for row in rows], cursor=following)


def _numbers(session: Session, kind: str) -> list[int]:
    """Empty where the CPU refuses because it has none of that kind."""
    if not system_data.block_counts(session)[kind]:
        return []
    return system_data.block_numbers(session, kind)


def _sizes(session: Session, numbers: Sequence[int]) -> dict[int, int]:
    """Bytes of each data block, where the CPU tells; one no means it tells of none."""
    sizes: dict[int, int] = {}
    for number in numbers:
        try:
            sizes[number] = system_data.block_size(session, "DB", number)
        except DeviceRefusedError:
            break
    return sizes
