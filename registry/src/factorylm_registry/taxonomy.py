"""What skills are sorted by: protocol, asset, and the 27 areas of a supply chain."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, kw_only=True)
class Group:
    """Categories under one title; `area` marks the supply chain's."""

    title: str
    categories: tuple[str, ...]
    area: bool = False


def _groups() -> tuple[Group, ...]:
    text = (files("factorylm_registry") / "taxonomy.toml").read_text(encoding="utf-8")
    return tuple(Group(**{**one, "categories": tuple(one["categories"])}) for one in tomllib.loads(text)["groups"])


GROUPS = _groups()
CATEGORIES = frozenset(category for group in GROUPS for category in group.categories)
