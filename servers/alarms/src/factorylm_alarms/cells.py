"""Text cells of a block as numbers: each distinct cell text is decoded once, however often it comes.

A row's cells are hashed eight bytes at a time, all rows of a block together. The hash has 64 bits and a key that is
new in every process, so that nobody can write a journal in which two texts collide on purpose.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from factorylm_alarms.arrays import Bytes, Codes, Hashes, Positions

PADDING = 256
"""Bytes to append to a block, so that whole words can be read past its last cell."""
MAX_WORDS = 24
SLOT_BITS = 20
MAX_DISTINCT = 2_000_000
KEEP = np.array([(1 << 8 * count) - 1 for count in range(8)] + [2**64 - 1], np.uint64)
SEED = np.uint64(secrets.randbits(64) | 1)
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: spreads every bit upwards
SHIFT = np.uint64(29)


def gather_words(buffer: Bytes, begins: Positions, count: int) -> Hashes:
    """`count` 8-byte words from each place, as one row each; reads past the cell, so mask what is not its own."""
    window = np.ndarray((len(buffer) - 8 * count + 1,), dtype=f"V{8 * count}", buffer=buffer, strides=(1,))
    return window[begins].view(np.uint64).reshape(len(begins), count)


def hash_cells(buffer: Bytes, begins: Positions, ends: Positions) -> Hashes:
    """A 64-bit hash of each stretch of bytes."""
    lengths = ends - begins
    hashes: Hashes = lengths.astype(np.uint64) * SEED
    longest = int(lengths.max(initial=0))
    words = gather_words(buffer, begins, min(MAX_WORDS, max(1, -(-longest // 8))))
    shortest = int(lengths.min(initial=0))
    for place in range(words.shape[1]):
        word = words[:, place]
        if shortest < 8 * place + 8:
            word = word & KEEP[np.clip(lengths - 8 * place, 0, 8)]
        hashes ^= word
        hashes *= MIX
        hashes ^= hashes >> SHIFT
    for row in np.flatnonzero(lengths > 8 * MAX_WORDS):
        digest = hashlib.blake2b(buffer[begins[row] : ends[row]].tobytes(), digest_size=8, key=SEED.tobytes())
        hashes[row] = np.frombuffer(digest.digest(), np.uint64)[0]
    return hashes


@dataclass
class Dictionary:
    """Gives every distinct hash a small number; `describe` is called once for each, with the first row that has it."""

    codes: dict[int, int] = field(default_factory=dict)
    slot_hash: Hashes = field(default_factory=lambda: np.zeros(1 << SLOT_BITS, np.uint64))
    slot_code: Codes = field(default_factory=lambda: np.full(1 << SLOT_BITS, -1, np.int32))

    def encode(self, hashes: Hashes, describe: Callable[[int], None]) -> Codes:
        """The codes of these rows. Most are found in one table look-up, the rest in the dictionary."""
        slots = (hashes >> np.uint64(64 - SLOT_BITS)).astype(np.int64)
        codes: Codes = self.slot_code[slots]
        unsure = np.flatnonzero((self.slot_hash[slots] != hashes) | (codes < 0))
        if len(unsure):
            distinct, first, inverse = np.unique(hashes[unsure], return_index=True, return_inverse=True)
            found = np.empty(len(distinct), np.int32)
            for place in np.argsort(first):
                found[place] = self._code(int(distinct[place]), int(unsure[first[place]]), describe)
            codes[unsure] = found[inverse]
        return codes

    def _code(self, value: int, row: int, describe: Callable[[int], None]) -> int:
        code = self.codes.get(value)
        if code is None:
            code = self.codes[value] = len(self.codes)
            describe(row)
            slot = value >> (64 - SLOT_BITS)
            if self.slot_code[slot] < 0:
                self.slot_code[slot], self.slot_hash[slot] = code, value
        return code
