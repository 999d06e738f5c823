"""Register maps of real products: a TOML page that names its source, and a tag table beside it."""

import csv
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from factorylm_schema import BadRequestError, UnknownNameError
from factorylm_skill.driver import BrowsePage

_COLUMNS = ["name", "address", "unit", "scale", "description"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One product: where its map was read, what its device options should be, and its tags."""

    name: str
    title: str
    source: str
    note: str
    device: dict[str, Any]
    rows: tuple[dict[str, str], ...]


def profile_names() -> list[str]:
    """Every profile in this package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


@cache
def load_profile(name: str) -> Profile:
    """The profile called `name`."""
    if name not in profile_names():
        raise UnknownNameError("profile", name, profile_names())
    page = tomllib.loads(_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    table = _folder().joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return Profile(
        name=name,
        title=page["title"],
        source=page["source"],
        note=page.get("note", ""),
        device=page.get("device", {}),
        rows=tuple(csv.DictReader(table.splitlines())),
    )


def browse_profiles(path: str, search: str, limit: int, cursor: str) -> BrowsePage:
    """A page of the profile at `path`, or of all profiles; `search` looks at names and descriptions."""
    columns, rows = _entries(path.strip("/"))
    wanted = [row for row in rows if search.lower() in " ".join(row).lower()]
    start = _start(cursor)
    end = start + limit
    return BrowsePage(
        columns=columns,
        rows=[list(row) for row in wanted[start:end]],
        cursor=str(end) if end < len(wanted) else "",
    )


def _entries(path: str) -> tuple[list[str], list[list[str]]]:
    if path:
        return _COLUMNS, [[row.get(key) or "" for key in _COLUMNS] for row in load_profile(path).rows]
    profiles = map(load_profile, profile_names())
    return ["path", "product", "tags"], [[p.name, p.title, str(len(p.rows))] for p in profiles]


def _start(cursor: str) -> int:
    if cursor and not (cursor.isascii() and cursor.isdecimal()):
        raise BadRequestError(f"{cursor[:40]!r} is not a cursor of this list", hint="Leave it out to begin again")
    return int(cursor or 0)


def _folder() -> Traversable:
    return files("factorylm_modbus").joinpath("profiles")
