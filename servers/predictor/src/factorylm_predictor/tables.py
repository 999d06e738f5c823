"""Reading CSV and Parquet in chunks of bounded memory: numbers as numbers, everything else as text.

A file may be larger than memory; nothing here holds more than one chunk of it.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from factorylm_schema.errors import MissingPartError, UnknownNameError

from factorylm_predictor.arrays import Floats
from factorylm_predictor.errors import DataError

CHUNK_ROWS = 1_000
# What loggers and spreadsheets write where there is no value
_NO_VALUE = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "bad", "#n/a", "?"})
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_HEADER = 1_000_000
# No plant measures this; drivers write 1e308 or the like for "bad", and its square is infinite
MOST = 1e30

Cells = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some rows of a table; a column becomes text or numbers when asked for."""

    first_row: int
    columns: dict[str, Cells | Floats]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def texts(self, name: str) -> Cells:
        """The column as written; whole numbers from Parquet lose no digit and gain no '.0'."""
        column = self.columns[name]
        return column if isinstance(column, tuple) else tuple(f"{v:.15g}" for v in column.tolist())

    def numbers(self, name: str) -> Floats:
        """The column as numbers; what is no number, or beyond anything measured, is NaN."""
        column = self.columns[name]
        return measurable(numbers_from(column) if isinstance(column, tuple) else column)


def measurable(values: Floats) -> Floats:
    """The same values, NaN for what is infinite or beyond MOST."""
    within = np.abs(values) <= MOST
    return values if within.all() else np.where(within, values, np.nan)


def numbers_from(cells: Sequence[str]) -> Floats:
    """Cells as numbers, NaN where a cell is none; accepts decimal commas."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return np.array([_number(cell) for cell in cells])


def _number(cell: str) -> float:
    text = cell.strip()
    if text.lower() in _NO_VALUE:
        return np.nan
    try:
        return float(text)
    except ValueError:
        try:
            return float(text.replace(",", ".")) if text.count(",") == 1 else np.nan
        except ValueError:
            return np.nan


class Table(Protocol):
    """Rows that can be read more than once, in chunks."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    def header(self) -> list[str]:
        """The column names."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """The rows, in order."""
        ...


def first_chunk(table: Table) -> Chunk:
    """The first rows; a table without rows is an error."""
    chunk = next(iter(table.chunks()), None)
    if chunk is None or len(chunk) == 0:
        raise DataError(f"{table.name} has a header and no rows", hint="export the data again")
    return chunk


@dataclass(frozen=True)
class TableFile:
    """One CSV or Parquet file, opened anew for every pass."""

    path: Path
    chunk_rows: int = field(default=CHUNK_ROWS, kw_only=True)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    def header(self) -> list[str]:
        """The column names, in file order."""
        if self._is_parquet():
            return [str(name) for name in _parquet(self.path).schema_arrow.names]
        with _opened(self.path) as stream:
            return _header(stream, self.path)[0]

    def chunks(self) -> Iterator[Chunk]:
        """The rows, in file order."""
        return self._parquet_chunks() if self._is_parquet() else self._csv_chunks()

    def _is_parquet(self) -> bool:
        return self.path.suffix.lower() in {".parquet", ".pq"}

    def _csv_chunks(self) -> Iterator[Chunk]:
        with _opened(self.path) as stream:
            names, delimiter = _header(stream, self.path)
            rows = _rows(stream, delimiter)
            start = 2  # row numbers as a spreadsheet shows them
            while batch := self._taken(rows, start):
                self._check_width(batch, len(names), start)
                cells = zip(*batch, strict=True)
                columns: dict[str, Cells | Floats] = dict(zip(names, cells, strict=True))
                yield Chunk(first_row=start, columns=columns)
                start += len(batch)

    def _taken(self, rows: Iterator[list[str]], start: int) -> list[list[str]]:
        try:
            return list(islice(rows, self.chunk_rows))
        except (EOFError, csv.Error, OSError, zlib.error) as error:
            raise DataError(
                f"{self.path.name} cannot be read after row {start}: {error}", hint="export it again"
            ) from error

    def _check_width(self, batch: list[list[str]], width: int, start: int) -> None:
        for number, row in enumerate(batch, start):
            if len(row) != width:
                raise DataError(
                    f"{self.path.name} row {number} has {len(row)} cells, the header has {width}",
                    hint="the file may be cut off, or a decimal comma splits a cell: use ';' between columns",
                )

    def _parquet_chunks(self) -> Iterator[Chunk]:
        start = 2
        for batch in _parquet(self.path).iter_batches(batch_size=self.chunk_rows):
            columns = {str(n): _column(batch.column(i)) for i, n in enumerate(batch.schema.names)}
            yield Chunk(first_row=start, columns=columns)
            start += batch.num_rows


def _opened(path: Path) -> IO[str]:
    if path.is_dir():
        raise DataError(f"{path} is a folder", hint="name one CSV or Parquet file")
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise UnknownNameError("file", path.name, siblings, hint=f"looked in {path.parent}")
    try:
        with _unpacked(path) as stream:
            encoding = "utf-16" if stream.read(2) in _UTF_16 else "utf-8-sig"
        return io.TextIOWrapper(_unpacked(path), encoding=encoding, errors="replace", newline="")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} cannot be unpacked: {error}", hint="copy or export it again") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be opened: {error.strerror}") from error


def _unpacked(path: Path) -> IO[bytes]:
    return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _header(stream: IO[str], path: Path) -> tuple[list[str], str | None]:
    line = _first_line(stream, path).strip("\r\n")
    if not line.strip():
        raise DataError(f"{path.name} is empty", hint="the first line must name the columns")
    counts = {d: line.count(d) for d in ",;\t|"}
    delimiter = max(counts, key=lambda d: counts[d])
    if not counts[delimiter]:
        names = line.split()
        return _checked(names, path), None if len(names) > 1 else ","
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    return _checked(names, path), delimiter


def _first_line(stream: IO[str], path: Path) -> str:
    try:
        line = stream.readline(_LONGEST_HEADER)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path.name} cannot be unpacked: {error}", hint="copy or export it again") from error
    if "\0" in line or line.count("\ufffd") > 0.05 * len(line):
        raise DataError(f"{path.name} is not a text file", hint="export it as CSV in UTF-8, or as Parquet")
    if len(line) == _LONGEST_HEADER:
        raise DataError(f"{path.name} has no line end in its first million characters", hint="is it a table?")
    return line


def _checked(names: list[str], path: Path) -> list[str]:
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise DataError(f"{path.name} names these columns twice: {', '.join(doubled)}", hint="rename them")
    if all(np.isfinite(_number(n)) for n in names):
        raise DataError(f"{path.name} starts with numbers, not names", hint="add a header line naming the columns")
    return names


def _rows(stream: IO[str], delimiter: str | None) -> Iterator[list[str]]:
    if delimiter is None:
        return (row for line in stream if (row := line.split()))
    return (row for row in csv.reader(stream, delimiter=delimiter) if row)


def _parquet(path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202 - pyarrow has no types
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPartError(
            "reading Parquet needs pyarrow", hint="pip install 'factorylm-predictor[parquet]', or export CSV"
        ) from error
    if not path.is_file():
        _opened(path)
    try:
        return parquet.ParquetFile(path)
    except (ValueError, OSError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(f"{path.name} is not a readable Parquet file: {error}", hint="write it again") from error


def _column(column) -> Cells | Floats:  # type: ignore[no-untyped-def]  # noqa: ANN001 - pyarrow has no types
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind in "iufb":
        return np.asarray(values, dtype=np.float64)
    return tuple("" if v is None else str(v) for v in values)


def pick(name: str, header: Sequence[str], what: str, file: str) -> str:
    """`name` if the header has it, else an error naming the nearest columns."""
    if name not in header:
        raise UnknownNameError(f"column for the {what} in {file}:", name, header)
    return name
