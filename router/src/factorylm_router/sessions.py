"""Which agent conversation a request belongs to."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson


def session_of(header: str | None, surface: str, body: Mapping[str, Any], key: str) -> str:
    """The client's own name for it, or else how the conversation began: a history only grows at its end."""
    if header:
        return f"{key}/{header[:200]}"
    if not body.get("tools"):
        return ""
    turns = body.get("messages") or body.get("input")
    first = next((turn for turn in turns if _is_users(turn)), None) if isinstance(turns, list) else turns
    began = (key, surface, body.get("system") or body.get("instructions"), first)
    return hashlib.sha256(orjson.dumps(began)).hexdigest()


def _is_users(turn: Any) -> bool:
    return isinstance(turn, Mapping) and turn.get("role") == "user"
