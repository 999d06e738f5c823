"""Small parts of the page: texts of others made harmless, lists of facts, badges."""

from collections.abc import Sequence
from html import escape
from typing import Any

from factorylm_skill.untrusted import told_to_the_model

from factorylm_registry.listing import Status

_TIERS = ("bronze", "silver", "gold", "platinum")
_LEVELS = ("community", "verified", "reviewed")


def shown(text: object) -> str:
    """Data of others: hidden characters made visible, cut, escaped."""
    return escape(told_to_the_model(str(text), 300))


def facts(rows: Sequence[tuple[str, object]]) -> str:
    """Names and values."""
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{shown(value)}</dd>" for name, value in rows) + "</dl>"


def badges(ours: dict[str, Any], status: Status) -> str:
    """Tier, level, and a warning; a word that is none of ours gets no colour."""
    tier, level = str(ours.get("check", {}).get("tier", "")), str(ours.get("level", "unsigned"))
    tier_class = tier if tier in _TIERS else "plain"
    level_class = "signed" if level in _LEVELS else "plain"
    warning = "" if status is Status.ACTIVE else f' <span class="badge bad">{status}</span>'
    return (
        f'<span class="badge {tier_class}">{shown(tier or "not checked")}</span> '
        f'<span class="badge {level_class}">{shown(level)}</span>{warning}'
    )
