"""Pages of long lists: the cursor is opaque, and knows which question it continues."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

from factorylm_schema import BadRequestError

T = TypeVar("T")


def page(items: Sequence[T], limit: int, cursor: str, question: str) -> tuple[Sequence[T], str]:
    """The part of `items` that `cursor` points at, and the cursor of the next part (empty at the end)."""
    start = opened(cursor, question)
    end = start + limit
    return items[start:end], cursor_at(end, question) if end < len(items) else ""


def cursor_at(offset: int, question: str) -> str:
    """A cursor that continues `question` at `offset`."""
    content = json.dumps([offset, _mark(question)], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def opened(cursor: str, question: str) -> int:
    """The offset in `cursor`; raises BadRequestError when it is not one of ours or continues another question."""
    if not cursor:
        return 0
    try:
        offset, mark = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        valid = isinstance(offset, int) and offset >= 0 and mark == _mark(question)
    except (ValueError, TypeError):
        valid, offset = False, 0
    if not valid:
        raise BadRequestError(
            "this cursor does not continue this question",
            hint="Repeat the call with the same arguments, or without cursor to begin again",
        )
    return int(offset)


def _mark(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:8]
