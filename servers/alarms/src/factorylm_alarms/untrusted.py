"""Text that comes from a plant: shown, capped and harmless, never obeyed.

Control, bidirectional and zero-width characters become visible escapes; taking them out would hide the evidence.
"""

import hashlib
import unicodedata

MAX_CELL = 300
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str, limit: int = 80) -> str:
    """The text with everything invisible made visible, at most `limit` characters of it.

    The kit's rule without the kit, which brings mcp: a report needs no server.
    """
    shown = "".join(_visible(letter) for letter in text[: limit + 1])
    return shown if len(text) <= limit and len(shown) <= 2 * limit else shown[: limit - 1] + "…"


def _visible(letter: str) -> str:
    if letter == " " or unicodedata.category(letter)[0] not in "CZ":
        return letter
    return f"<U+{ord(letter):04X}>"


def capped(text: str) -> str:
    """A cell kept for ever: a very long one is cut, and keeps its identity by a short hash."""
    if len(text) <= MAX_CELL:
        return text
    mark = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{text[: MAX_CELL - 12]}…#{mark}"


def spreadsheet_safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe before what could start one."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) or text.startswith(FORMULA_STARTS) else text
