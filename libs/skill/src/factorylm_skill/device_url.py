"""What the URLs of devices have in common: keys behind the `?`, and numbers with bounds. Pure."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from factorylm_schema import nearest


def query_of(text: str, known: Sequence[str], scheme: str) -> dict[str, str]:
    """The keys of a URL's query; ValueError for one that is not among `known`, or stands there twice."""
    query: dict[str, str] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        if key not in known:
            raise ValueError(f"{key!r} is not known in {scheme} URLs; did you mean {', '.join(nearest(key, known))}?")
        if key in query:
            raise ValueError(f"{key!r} is in the URL twice")
        query[key] = value
    return query


def number_of(text: str, key: str, low: int, high: int) -> int:
    """The number of a key; ValueError with what it may be."""
    if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
        allowed = str(low) if low == high else f"a number from {low} to {high}"
        raise ValueError(f"{key}={text[:20]} in the URL: {key} is {allowed}")
    return int(text)
