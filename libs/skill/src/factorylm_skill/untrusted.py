"""Text that came from a device or a file: shown as data, made harmless, never obeyed."""

LONGEST_TEXT = 200
LONGEST_ADVICE = 400  # ours, with names of the device in it


def told_to_the_model(text: str, limit: int = LONGEST_TEXT) -> str:
    """`text` with hidden characters spelled out (`<U+202E>`), cut to `limit` with `…`."""
    # cut first: ten thousand characters need not be looked at one by one
    shown = "".join(_visible(character) for character in text[:limit])
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "…"


def _visible(character: str) -> str:
    """Controls, bidi marks, zero-width and odd spaces are what a reader would not see or would see elsewhere."""
    return character if character.isprintable() else f"<U+{ord(character):04X}>"
