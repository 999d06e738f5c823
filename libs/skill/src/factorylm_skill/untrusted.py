"""Text that came from a device or a file: shown as data, made harmless, never obeyed."""

import unicodedata

LONGEST_TEXT = 200

# Categories that a screen does not show or that reorder what it shows: controls, formats (bidi, zero width),
# surrogates, private use, line and paragraph separators
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def told_to_the_model(text: str, limit: int = LONGEST_TEXT) -> str:
    """`text` with hidden characters spelled out (`<U+202E>`), cut to `limit` with `…`."""
    # cut first: ten thousand characters need not be looked at one by one
    shown = "".join(_visible(character) for character in text[:limit])
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "…"


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return f"<U+{ord(character):04X}>"
