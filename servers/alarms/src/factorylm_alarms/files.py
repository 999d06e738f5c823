"""Which files may be opened, and what they hold as blocks of bytes.

The folder is a fence: a path is resolved first and must then lie inside. Archives are unpacked as a stream and stopped
when they grow beyond reason. UTF-16 becomes UTF-8 here and tables become CSV (`stores`), so that everything behind
this door sees one kind of input.
"""

import codecs
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from factorylm_alarms.dialect import SAMPLE_BYTES, find_encoding
from factorylm_alarms.errors import LogError, UnsafeFileError
from factorylm_alarms.stores import json_blocks, parquet_blocks, sqlite_blocks

BLOCK_BYTES = 4 << 20
MAX_RATIO = 200
"""Alarm journals pack 10 to 30 times; a file of zeros packs 1000 times."""
MAX_UNPACKED = 64 << 30
JOURNAL_SUFFIXES = (".csv", ".tsv", ".txt", ".log", ".gz", ".parquet", ".sqlite", ".sqlite3", ".db", ".jsonl")


def allowed_path(name: str | Path, folder: Path | None) -> Path:
    """The file behind `name`, which must lie inside `folder` when one is given."""
    path = Path(name)
    if folder is not None and not path.is_absolute():
        path = folder / path
    try:
        path = path.resolve(strict=True)
    except (OSError, ValueError) as error:
        raise LogError(f"there is no file {str(name)[:200]!r}", hint="check the name and the folder") from error
    if folder is not None and not path.is_relative_to(folder.resolve()):
        raise UnsafeFileError(
            f"{str(name)[:200]!r} is outside the folder of journals", hint=f"put the file into {folder}"
        )
    if not path.is_file():
        raise LogError(f"{str(name)[:200]!r} is not a file", hint="name one journal file, not a folder or a device")
    return path


def open_blocks(path: Path) -> tuple[str, bytes, Iterator[bytes]]:
    """(encoding, first bytes, all blocks from the start) of any readable journal, as UTF-8 or a one-byte encoding."""
    blocks = _raw_blocks(path)
    first = next(blocks, b"")
    if not first:
        raise LogError(f"{path.name} is empty", hint="export the journal again")
    encoding = find_encoding(first[:SAMPLE_BYTES])
    if encoding.startswith("utf-16"):
        decoded = _from_utf16(chain([first], blocks), encoding)
        first = next(decoded, b"")
        return encoding, first[:SAMPLE_BYTES], chain([first], decoded)
    if encoding == "utf-8-sig":
        first = first[3:]
    return encoding, first[:SAMPLE_BYTES], _with_newlines(chain([first], blocks))


def _raw_blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"\x1f\x8b"):
        return _gzip_blocks(path)
    if head.startswith(b"SQLite format 3\0"):
        return sqlite_blocks(path)
    if head.startswith(b"PAR1"):
        return parquet_blocks(path)
    if head.startswith(b"PK\x03\x04"):
        raise LogError(f"{path.name} is a zip or spreadsheet file", hint="save the sheet as CSV and give that")
    return json_blocks(path) if head.lstrip().startswith(b"{") else _plain_blocks(path)


def _plain_blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _gzip_blocks(path: Path) -> Iterator[bytes]:
    """A broken or cut archive yields all that could be unpacked, then says so by `TruncatedArchive`."""
    limit = max(path.stat().st_size * MAX_RATIO, 16 << 20)
    total = 0
    for block in _unpacked(path):
        total += len(block)
        if total > min(limit, MAX_UNPACKED):
            raise UnsafeFileError(
                f"{path.name} unpacks to more than {MAX_RATIO} times its size",
                hint="unpack it yourself if you trust it",
            )
        yield block


def _unpacked(path: Path) -> Iterator[bytes]:
    total, unpacker = 0, zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while packed := file.read(1 << 18):
            while packed:
                try:
                    block = unpacker.decompress(packed, BLOCK_BYTES)
                except zlib.error as error:
                    raise TruncatedArchive(total) from error
                total += len(block)
                if block:
                    yield block
                packed = unpacker.unconsumed_tail
                if unpacker.eof:  # archives may be strung together; zeros may pad the last one
                    packed = unpacker.unused_data.lstrip(b"\0")
                    unpacker = zlib.decompressobj(wbits=31) if packed or file.peek(1) else unpacker
    if not unpacker.eof:
        raise TruncatedArchive(total)


class TruncatedArchive(Exception):  # noqa: N818  an event between two functions of this package, not an error shown
    """The archive ended early after `bytes_read` bytes."""

    def __init__(self, bytes_read: int) -> None:
        super().__init__(bytes_read)
        self.bytes_read = bytes_read


def _from_utf16(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for number, block in enumerate(blocks):
        text = decoder.decode(block)
        yield (text.removeprefix("\ufeff") if number == 0 else text).encode()
    if rest := decoder.decode(b"", final=True):
        yield rest.encode()


def _with_newlines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Old line ends (a lone CR) as LF; decided from the first block."""
    first = next(blocks, b"")
    sample = first[:SAMPLE_BYTES]
    if b"\n" in sample or b"\r" not in sample:
        yield first
        yield from blocks
        return
    for block in chain([first], blocks):
        yield block.replace(b"\r", b"\n")
