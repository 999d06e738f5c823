"""Pages of a list: what is asked, and a cursor that is safe in an address and carries the whole question.

VS Code drops `search` from page two on and appends the cursor as it is; so the cursor must be enough.
"""

import base64
import binascii
import json
from dataclasses import dataclass, replace
from datetime import datetime

from factorylm_registry.listing import instant
from factorylm_registry.refusals import BadQuestionError

MOST_PER_PAGE = 100
_LONGEST_TEXT = 300


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a list shows: everything after entry number `after` that fits the filters."""

    search: str = ""
    version: str = ""
    updated_since: str = ""
    include_deleted: bool = False
    category: str = ""
    after: int = 0
    limit: int = 30

    def following(self, number: int) -> "Question":
        """The same question for what comes after entry `number`."""
        return replace(self, after=number)


def cursor_of(question: Question) -> str:
    """The question as letters, digits, `-` and `_`."""
    parts = [question.after, question.search, question.version, question.updated_since, question.category]
    text = json.dumps([*parts, int(question.include_deleted)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_cursor(cursor: str, limit: int) -> Question:
    """The question a cursor carries; raises BadQuestionError for one that this registry did not make."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        after, search, version, since, category, deleted = json.loads(raw)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise _foreign(cursor) from error
    texts = (search, version, since, category)
    whole = isinstance(after, int) and not isinstance(after, bool) and 0 <= after < 2**53
    if not whole or not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts):
        raise _foreign(cursor)
    question = Question(search=_clean(search), version=_clean(version), category=_clean(category), limit=limit)
    return replace(question, after=after, updated_since=_since(since), include_deleted=bool(deleted))


def question_of(given: dict[str, str]) -> Question:
    """The question in a request's parameters; a cursor wins over the filters beside it."""
    limit = _limit(given.get("limit", "30"))
    if given.get("cursor"):
        return from_cursor(given["cursor"], limit)
    since = _since(given.get("updated_since", ""))
    return Question(
        search=_clean(given.get("search", "")),
        version=_clean(given.get("version", "")),
        updated_since=since,
        # whoever follows changes must see what was deleted
        include_deleted=bool(since) or _truth(given.get("include_deleted", "false")),
        category=_clean(given.get("category", "")),
        limit=limit,
    )


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MOST_PER_PAGE:
        raise BadQuestionError(f"limit is {text[:20]!r}", hint=f"Say a whole number from 1 to {MOST_PER_PAGE}")
    return int(text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", ""):
        raise BadQuestionError(f"include_deleted is {text[:20]!r}", hint="Say true or false")
    return text.lower() in ("true", "1")


def _clean(text: str) -> str:
    if "\0" in text or len(text) > _LONGEST_TEXT:
        raise BadQuestionError("a filter holds a NUL character or is too long", hint=f"At most {_LONGEST_TEXT}")
    return text


def _since(text: str) -> str:
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in an address arrives as a blank
        return instant(moment) if moment.tzinfo else _unzoned(text)
    except (ValueError, OverflowError):
        return _unzoned(text)


def _unzoned(text: str) -> str:
    hint = "Say an RFC 3339 time with its zone, for example 2026-08-07T13:15:04Z"
    raise BadQuestionError(f"updated_since is {text[:40]!r}", hint=hint)


def _foreign(cursor: str) -> BadQuestionError:
    return BadQuestionError(f"{cursor[:40]!r} is not a cursor of this registry", hint="Begin again without a cursor")
