"""The transparency log as C2SP tlog-tiles serves it: a signed checkpoint, hash tiles, entry bundles; and proofs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from factorylm_registry.merkle import (
    Node,
    completed_nodes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
)
from factorylm_registry.refusals import NotListedError, UntrustedError
from factorylm_registry.signatures import Signer, Verifier, b64, open_note, signed_note, unb64
from factorylm_registry.store import Store

TILE = 256


@dataclass(frozen=True)
class Checkpoint:
    """The head of the log."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n"


def checkpoint_from(note: str, verifier: Verifier) -> Checkpoint:
    """The head that a note says, if `verifier` signed it."""
    lines = open_note(note, verifier).splitlines()
    if len(lines) < 3 or lines[0] != verifier.name or not (lines[1].isascii() and lines[1].isdigit()):
        raise UntrustedError("the note is not a checkpoint of this log")
    root = unb64(lines[2])
    if len(root) != 32 or (len(lines[1]) > 1 and lines[1][0] == "0"):
        raise UntrustedError("the checkpoint's root or size is not well-formed")
    return Checkpoint(lines[0], int(lines[1]), root)


@dataclass(frozen=True)
class TileLog:
    """Reads the store's log and signs its head."""

    store: Store
    signer: Signer

    def checkpoint(self) -> str:
        """The present head, signed."""
        size = self.store.log_size()
        return signed_note(Checkpoint(self.signer.name, size, root_hash(size, self._node)).text, self.signer)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """That entry `index` is in the tree of `size`."""
        return inclusion_proof(index, size, self._node)

    def consistency(self, old: int, size: int) -> list[bytes]:
        """That nothing before `old` was changed."""
        return consistency_proof(old, size, self._node)

    def tile(self, level: int, number: int, width: int) -> bytes:
        """`width` hashes of tile level `level`: level 0 holds leaf hashes, each level above 1/256 of them."""
        hashes = self.store.log_nodes(level * 8, number * TILE, width)
        if len(hashes) < width:
            raise NotListedError("the log has no such tile")
        return b"".join(hashes)

    def entries(self, number: int, width: int) -> bytes:
        """An entry bundle: each entry after its length in two bytes."""
        found = self.store.log_entries(number * TILE, width)
        if len(found) < width:
            raise NotListedError("the log has no such entry bundle")
        return b"".join(len(entry).to_bytes(2, "big") + entry for entry in found)

    def verify(self) -> int | None:
        """Read everything again; the number of the first entry that is not what was logged, or None."""
        size = self.store.log_size()
        for begin in range(0, size, TILE):
            entries = self.store.log_entries(begin, TILE)
            leaves = self.store.log_nodes(0, begin, TILE)
            if len(entries) != min(TILE, size - begin) or len(leaves) != len(entries):
                return begin
            for place, (entry, leaf) in enumerate(zip(entries, leaves, strict=True), start=begin):
                if leaf_hash(entry) != leaf or not self._builds_on(place, leaf):
                    return place
        return None

    def _builds_on(self, place: int, leaf: bytes) -> bool:
        """The nodes that this leaf completed are the kept ones."""
        nodes = completed_nodes(place, leaf, self._node)
        return all(self._node(level, position) == made for level, position, made in nodes)

    @cached_property
    def _node(self) -> Node:
        """Complete nodes never change, so one reader asks for each once."""

        @lru_cache(maxsize=100_000)
        def node(level: int, position: int) -> bytes:
            return self.store.log_nodes(level, position, 1)[0]

        return node


def nodes_of_tiles(fetch: Callable[[str], bytes], size: int) -> Node:
    """The nodes of a log of `size` entries, read from its tiles; `fetch` is given addresses below `log/tile/`."""

    @lru_cache(maxsize=1000)
    def tile(level: int, number: int) -> list[bytes]:
        width = min(TILE, (size >> (8 * level)) - number * TILE)
        raw = fetch(f"{level}/{tile_path(number)}" + (f".p/{width}" if width < TILE else ""))
        if len(raw) != 32 * width:
            raise UntrustedError(f"tile {level}/{number} of the log has {len(raw)} bytes, not {32 * width}")
        return [raw[at : at + 32] for at in range(0, len(raw), 32)]

    def node(level: int, position: int) -> bytes:
        """Tiles hold every eighth level; what lies between is hashed from below."""
        steps = level % 8
        number, first = divmod(position << steps, TILE)
        hashes = tile(level // 8, number)[first : first + (1 << steps)]
        while len(hashes) > 1:
            hashes = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    return node


def tile_number(path: str) -> tuple[int, int]:
    """`x001/x234/067` is 1234067; `.p/8` says a partial tile of 8. Returns number and width."""
    path, _, partial = path.partition(".p/")
    parts = path.split("/")
    well_formed = all(part.startswith("x") and len(part) == 4 for part in parts[:-1]) and len(parts[-1]) == 3
    digits = "".join(part.removeprefix("x") for part in parts)
    leading = len(parts) > 1 and parts[0] == "x000"
    wide = partial.isdigit() and partial[0] != "0" and 0 < int(partial[:4]) < TILE if partial else True
    if not well_formed or not (digits.isascii() and digits.isdigit()) or len(digits) > 15 or leading or not wide:
        raise NotListedError("the log has no such tile")
    return int(digits), int(partial) if partial else TILE


def tile_path(number: int) -> str:
    """1234067 is `x001/x234/067`."""
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    return "/".join(parts)
