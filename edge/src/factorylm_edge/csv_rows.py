"""Rows of somebody's CSV as samples; a row that could mean two things is rejected, and said why."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from factorylm_schema import BadRequestError, Quality, Value

from factorylm_edge.sample import Sample, microseconds

_NEEDED = ("tag", "time", "value")
_COLUMNS = (*_NEEDED, "quality")
_TOLD = 5
_LONGEST_NAME = 300
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_CODE = re.compile(r"0x[0-9A-Fa-f]{8}")
_ZONE_HINT = "Give --zone, for example --zone Europe/Berlin, or write times as 2026-01-31T14:00:00Z"


class _RejectedError(ValueError):
    """One row cannot be taken."""


@dataclass
class CsvRows:
    """Iterates over samples; what was rejected is counted, and of the first ones it is told why.

    With semicolons between columns, numbers may have a decimal comma, as spreadsheets of half of Europe write them.
    """

    path: Path
    zone: tzinfo | None
    latest_us: int
    rejected: int = 0
    faults: list[str] = field(default_factory=list)
    hint: str = ""
    _file: BinaryIO = field(init=False)
    _text: io.TextIOWrapper = field(init=False)
    _size: int = 0
    _kinds: dict[str, type] = field(default_factory=dict)

    def __enter__(self) -> "CsvRows":
        try:
            self._file = self.path.open("rb")
            self._size = self.path.stat().st_size
        except OSError as error:
            raise BadRequestError(f"{self.path} cannot be read: {error.strerror}", hint="Name a CSV file") from error
        self._text = io.TextIOWrapper(self._file, encoding="utf-8-sig", newline="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._text.close()

    @property
    def part(self) -> float:
        """How much of the file is read."""
        return self._file.tell() / max(1, self._size)

    def __iter__(self) -> Iterator[Sample]:
        try:
            header = self._text.readline()
            delimiter = next((mark for mark in ";\t" if mark in header), ",")
            places = _places(next(csv.reader([header], delimiter=delimiter), []), self.path)
            rows = csv.reader(self._text, delimiter=delimiter)
            for row in rows:
                if not row:
                    continue
                try:
                    yield self._sample([row[at] if at < len(row) else "" for at in places], comma=delimiter == ";")
                except _RejectedError as why:
                    self._reject(rows.line_num + 1, str(why))
        except UnicodeDecodeError as error:
            raise BadRequestError(f"{self.path} is not UTF-8 text", hint="Save it as CSV UTF-8") from error
        except csv.Error as error:
            raise BadRequestError(f"{self.path} is no CSV: {error}", hint="Export it anew") from error

    def _reject(self, line: int, why: str) -> None:
        self.rejected += 1
        if len(self.faults) < _TOLD:
            self.faults.append(f"{self.path.name}:{line}: {why}")

    def _sample(self, row: list[str], *, comma: bool) -> Sample:
        tag, stamp, text, code = (part.strip() for part in row)
        if not 0 < len(tag) <= _LONGEST_NAME:
            raise _RejectedError("no tag" if not tag else f"a tag's name has {_LONGEST_NAME} characters at most")
        quality = _quality(code)
        if not text and quality < 0x40000000:
            raise _RejectedError("no value, and yet the quality is Good")
        value = self._value(tag, text.replace(",", ".", 1) if comma and _is_comma_number(text) else text)
        return Sample(tag, self._time_us(stamp), value, quality)

    def _time_us(self, text: str) -> int:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise self._hinted(f"{text!r} is not a time", "Write times as 2026-01-31T14:00:00Z") from None
        if time.tzinfo is None:
            time = self._in_zone(time)
        found = microseconds(time)
        if not 0 <= found <= self.latest_us:
            raise self._hinted(f"{text} lies before 1970 or in the future", "Look at the clock it was taken with")
        return found

    def _in_zone(self, time: datetime) -> datetime:
        if self.zone is None:
            raise self._hinted(f"{time.isoformat()} names no time zone", _ZONE_HINT)
        first, second = (time.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset():
            why = f"{time.isoformat()} is twice or never in {self.zone}: the clock was changed in that hour"
            raise self._hinted(why, "Export with UTC times")
        return first

    def _value(self, tag: str, text: str) -> Value | None:
        """A tag stays what its first value is: "n/a" among numbers is no value, "17" among batch names is a name."""
        if not text:
            return None
        found = _read(text)
        kind = self._kinds.setdefault(tag, float if type(found) is int else type(found))
        if kind is str:
            return text
        if isinstance(found, str) or isinstance(found, bool) != (kind is bool):
            raise _RejectedError(
                f"{text[:40]!r} is not {'a yes or no' if kind is bool else 'a number'} as {tag} began with"
            )
        return found

    def _hinted(self, why: str, hint: str) -> _RejectedError:
        self.hint = self.hint or hint
        return _RejectedError(why)


def _places(header: list[str], path: Path) -> list[int]:
    """Where each of our columns stands; beyond the row where there is none."""
    names = [name.strip().lower() for name in header]
    missing = [name for name in _NEEDED if name not in names]
    unknown = [name for name in names if name not in _COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        said = f"no column {missing[0]!r}" if missing else f"a column {(unknown or names)[0]!r} too many"
        hint = f"The first line names the columns: {', '.join(_COLUMNS)} (quality may be left out)"
        raise BadRequestError(f"{path.name} has {said}", hint=hint)
    return [names.index(name) if name in names else len(names) for name in _COLUMNS]


def _read(text: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        if abs(number) == float("inf"):
            raise _RejectedError(f"{text} is larger than any number a history keeps")
        return number
    if _NO_NUMBER.fullmatch(text):
        raise _RejectedError(f"{text} is not a number")
    return text


def _is_comma_number(text: str) -> bool:
    return text.count(",") == 1 and _NUMBER.fullmatch(text.replace(",", ".")) is not None


def _quality(text: str) -> int:
    if not text:
        return Quality.Good.code
    if _CODE.fullmatch(text):
        return int(text, 16)
    try:
        return Quality[text].code
    except KeyError:
        raise _RejectedError(f"{text[:40]!r} is no OPC UA status code") from None
