"""The registry as files: for any web server, an air-gapped share, or zipped and signed as a bundle."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factorylm_registry.cursors import Question
from factorylm_registry.listing import Listing
from factorylm_registry.registry import Registry
from factorylm_registry.signatures import sealed
from factorylm_registry.sources import BUNDLE, BUNDLE_FILE
from factorylm_registry.tile_log import TILE, tile_path

Progress = Callable[[int], None]


def write_index(
    registry: Registry, folder: Path, names: Sequence[str] = (), progress: Progress = lambda _: None
) -> int:
    """Write the tree of all servers, or of `names`; returns how many versions it holds.

    Each address of the API is a folder with `index.json`: tell the web server that this is its index file.
    """
    evidence, tree = registry.evidence_maker(), _Tree(folder)
    by_name: dict[str, list[Listing]] = {}
    count = 0
    for listing in _listings(registry, names):
        by_name.setdefault(listing.name, []).append(listing)
        tree.write(f"evidence/{listing.name}/versions/{listing.version}", evidence(listing))
        tree.write(f"v0.1/servers/{listing.name}/versions/{listing.version}", listing.wire())
        _copy_wheel(registry, listing, folder)
        count += 1
        progress(count)
    for name, listings in by_name.items():
        versions = f"v0.1/servers/{name}/versions"
        tree.write(versions, _list(sorted(listings, key=lambda one: one.number, reverse=True)))
        newest = next((one for one in listings if one.is_latest), listings[0])
        tree.write(f"{versions}/latest", newest.wire())
        tree.write(f"evidence/{name}/versions/latest", evidence(newest))
    latest = [one for listings in by_name.values() for one in listings if one.is_latest]
    tree.write("v0.1/servers", _list(latest))
    _write_log(registry, folder / "log")
    return count


def write_bundle(
    registry: Registry, target: Path, names: Sequence[str], dependencies: Path | None, scratch: Path
) -> int:
    """Zip the tree of `names`, with the wheels they need, and a signed list of every file."""
    tree = scratch / "tree"
    count = write_index(registry, tree, names)
    for wheel in sorted(dependencies.glob("*.whl")) if dependencies else ():
        (tree / "dependencies").mkdir(exist_ok=True)
        shutil.copy2(wheel, tree / "dependencies" / wheel.name)
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    subject = [
        {"name": path.relative_to(tree).as_posix(), "digest": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}
        for path in files
    ]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": BUNDLE,
        "predicate": {"versions": count},
    }
    waiting = target.with_suffix(".partial")
    with zipfile.ZipFile(waiting, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(BUNDLE_FILE, json.dumps(sealed(statement, registry.signer)))
        for path in files:
            archive.write(path, path.relative_to(tree).as_posix())
    waiting.replace(target)
    return count


def _listings(registry: Registry, names: Sequence[str]) -> Iterator[Listing]:
    for name in names:
        yield from reversed(registry.store.versions(name))
    question = Question(limit=1000)
    while not names:
        page = registry.store.page(question)
        yield from page[: question.limit]
        if len(page) <= question.limit:
            return
        question = question.following(page[question.limit - 1].number)


def _list(listings: Sequence[Listing]) -> dict[str, Any]:
    return {"servers": [one.wire() for one in listings], "metadata": {"count": len(listings)}}


def _copy_wheel(registry: Registry, listing: Listing, folder: Path) -> None:
    if "wheel" not in listing.ours:
        return
    wheel = registry.wheels.get(listing.ours["wheel"]["sha256"])
    target = folder / "wheels" / wheel.sha256 / wheel.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(wheel.content)


def _write_log(registry: Registry, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log, size = registry.log, registry.store.log_size()
    (folder / "checkpoint").write_text(log.checkpoint(), encoding="utf-8")
    level, count = 0, size
    while count:
        for number in range((count + TILE - 1) // TILE):
            width = min(TILE, count - number * TILE)
            _write_tile(folder / "tile" / str(level), number, width, log.tile(level, number, width))
            if level == 0:
                _write_tile(folder / "tile" / "entries", number, width, log.entries(number, width))
        level, count = level + 1, count // TILE


def _write_tile(folder: Path, number: int, width: int, content: bytes) -> None:
    name = tile_path(number) + (f".p/{width}" if width < TILE else "")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


@dataclass(frozen=True)
class _Tree:
    """Addresses as folders; each is made once, for on many disks that is what an index costs."""

    folder: Path
    made: set[str] = field(default_factory=set)

    def write(self, address: str, value: Any) -> None:
        self._make(address)
        text = json.dumps(value, separators=(",", ":"))
        with open(os.path.join(self.folder, address, "index.json"), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123
            file.write(text)

    def _make(self, address: str) -> None:
        if address in self.made:
            return
        if address:
            self._make(address.rpartition("/")[0])
        (self.folder / address).mkdir(parents=not address, exist_ok=True)
        self.made.add(address)
