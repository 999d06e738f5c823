"""How a text journal is written: encoding, delimiter, line ends, where its header stands.

Everything is decided from the first 64 kB, by what the bytes say and never by the machine's locale.
"""

import csv
from collections import Counter
from dataclasses import dataclass

SAMPLE_BYTES = 65_536
DELIMITERS = (",", ";", "\t", "|")
UTF16_SHARE = 0.3
"""Share of NULs in every second byte that makes a file without a mark UTF-16: Latin text has nearly all."""


BINARY_SHARE = 0.05
_CONTROLS = [bytes([code]) for code in (*range(1, 9), *range(14, 32), 127)]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """`header` is empty when the first data row already holds a stamp; lines before the header are preamble."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    columns: int
    preamble_lines: int
    first_rows: tuple[tuple[str, ...], ...]


def find_encoding(sample: bytes) -> str:
    """The encoding by mark, by NUL pattern, by UTF-8 validity; else Windows-1252."""
    if sample.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if sample.startswith(b"\xff\xfe"):
        return "utf-16-le"
    if sample.startswith(b"\xfe\xff"):
        return "utf-16-be"
    half = max(1, len(sample) // 2)
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if odd > UTF16_SHARE > even:
        return "utf-16-le"
    if even > UTF16_SHARE > odd:
        return "utf-16-be"
    return "utf-8" if _is_utf8(sample) else "cp1252"


def looks_binary(sample: bytes) -> bool:
    """A text holds hardly any control characters; a journal with stray NULs still is one."""
    controls = sum(map(sample.count, _CONTROLS))
    return controls > BINARY_SHARE * len(sample)


def decode_cell(raw: bytes) -> str:
    """One cell as text: UTF-8 where it is valid, else Windows-1252, else Latin-1 for its five gaps.

    Deciding cell by cell keeps a file readable whose parts come from two systems.
    """
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def find_dialect(sample: bytes, encoding: str) -> Dialect:
    """The dialect of a sample that is already UTF-8 or a one-byte encoding."""
    text = decode_cell(sample[:SAMPLE_BYTES])
    lines = [line for line in text.splitlines() if line.strip()]
    if len(sample) >= SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # cut off by the end of the sample
    delimiter, rows = max(
        ((mark, _split(lines, mark)) for mark in DELIMITERS), key=lambda choice: _regularity(choice[1])
    )
    width = _usual_width(rows)
    at = next((i for i, row in enumerate(rows) if len(row) == width), 0)
    header = rows[at] if rows and not any(_has_date(cell) for cell in rows[at]) else ()
    body = [tuple(row) for row in rows[at + bool(header) :] if len(row) == width]
    return Dialect(
        encoding=encoding,
        delimiter=delimiter,
        header=tuple(cell.strip() for cell in header),
        columns=width,
        preamble_lines=_lines_before(text, lines[at]) if lines else 0,
        first_rows=tuple(body[:2000]),
    )


def _is_utf8(sample: bytes) -> bool:
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(sample) - 3 and len(sample) >= SAMPLE_BYTES
    return True


def _split(lines: list[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:  # a cell beyond csv's own limit
        return [line.split(delimiter) for line in lines]


def _usual_width(rows: list[list[str]]) -> int:
    """The most frequent number of cells; of two equally frequent the larger one."""
    counts = Counter(len(row) for row in rows)
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _regularity(rows: list[list[str]]) -> tuple[float, int]:
    """Prefer the delimiter that gives most rows one width above 1, then the one with more cells."""
    width = _usual_width(rows)
    if width < 2:
        return (0.0, width)
    return (round(sum(len(row) == width for row in rows) / len(rows), 2), width)


def _has_date(cell: str) -> bool:
    digits = sum(letter.isdigit() for letter in cell)
    return digits >= 6 and not any(letter.isalpha() for letter in cell[:2])


def _lines_before(text: str, line: str) -> int:
    return text[: max(0, text.find(line))].count("\n")
