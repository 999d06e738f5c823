"""Dates, zones and AM/PM: what is rare in a journal, so that each spelling is read once, in plain Python."""

import re
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

MISSING = -(2**63)
"""Stands for no time, in arrays of 64-bit integers."""
MINUTE_MS = 60_000
DAY_MS = 86_400_000

STAMP = re.compile(
    rb"^(?P<date>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2}|\d{8}"
    rb"|\d{1,2}[- ][A-Za-z]{3,9}\.?,?[- ]\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})"
    rb"(?P<gap>[T _,-]{0,3})"
    rb"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,:](?P<fraction>\d{1,9}))?)?"
    rb"(?P<tail> ?(?:[AaPp]\.?[Mm]\.?)?(?: ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2}))?)$"
)
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar",
            "feb february februar",
            "mar march märz mrz",
            "apr april",
            "may mai",
            "jun june juni",
            "jul july juli",
            "aug august",
            "sep sept september",
            "oct okt october oktober",
            "nov november",
            "dec dez december dezember",
        ),
        start=1,
    )
    for name in names.split()
}


@dataclass(kw_only=True)
class DayBook:
    """Remembers what each date spelling means. `day_first` is None until there is evidence for one order.

    A stamp without an offset is read in `zone`; without a zone it stays local time, as written.
    """

    day_first: bool | None = None
    zone: ZoneInfo | None = None
    known: dict[bytes, int] = field(default_factory=dict)
    zoned: int = 0
    unzoned: int = 0

    def start_of_day_ms(self, day: bytes, tail: bytes) -> int:
        """Milliseconds of the day's start, moved by the zone offset and by PM; MISSING when it is no date."""
        key = day + b"\0" + tail
        if key not in self.known:
            self.known[key] = self._work_out(day, tail)
        return self.known[key]

    def _work_out(self, day: bytes, tail: bytes) -> int:
        found = read_date(day.decode("latin-1"), self.day_first)
        if found is None:
            return MISSING
        half, offset_ms = read_tail(tail.decode("latin-1"))
        if offset_ms is None:
            self.unzoned += 1
        else:
            self.zoned += 1
        noon_ms = 12 * 60 * MINUTE_MS if half == "p" else 0
        return (found - date(1970, 1, 1)).days * DAY_MS + noon_ms - (offset_ms or 0)


def read_date(text: str, day_first: bool | None) -> date | None:
    """A date in any of the known orders; None when it is no date or its order is not decided."""
    words = re.split(r"[-/. ,]+", text.strip())
    try:
        if len(words) == 1 and len(text) == 8:
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        if words[0].isalpha():
            return date(int(words[2]), MONTHS[words[0].lower()], int(words[1]))
        if words[1].isalpha():
            return date(full_year(words[2]), MONTHS[words[1].lower()], int(words[0]))
        if len(words[0]) == 4:
            return date(int(words[0]), int(words[1]), int(words[2]))
        return _in_order(int(words[0]), int(words[1]), full_year(words[2]), "." in text or day_first)
    except (ValueError, KeyError, IndexError):
        return None


def _in_order(first: int, second: int, year: int, day_first: bool | None) -> date | None:
    if day_first is None and first != second:
        if first <= 12 and second <= 12:
            return None
        day_first = first > 12
    return date(year, second, first) if day_first else date(year, first, second)


def full_year(text: str) -> int:
    """Two digits mean 1970 to 2069, as in POSIX."""
    year = int(text)
    return year if len(text) == 4 else year + (2000 if year < 70 else 1900)


def read_tail(text: str) -> tuple[str, int | None]:
    """('a', 'p' or '', offset in ms or None) of what follows the clock time."""
    text = text.strip().upper().replace(".", "")
    half = text[0].lower() if text[:2] in {"AM", "PM"} else ""
    zone = text[2:].strip() if half else text
    if not zone:
        return half, None
    if zone in {"Z", "UTC", "GMT"}:
        return half, 0
    digits = zone[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return half, (-minutes if zone[0] == "-" else minutes) * MINUTE_MS


def decide_day_order(days: list[str], *, hints: str = "") -> tuple[bool | None, str]:
    """(day first?, evidence) from the distinct dates in file order; None when nothing decides.

    Evidence counts in this order: a part above 12, dots, rows that would run backwards, a date in the file name.
    """
    pairs = [tuple(map(int, re.split(r"[-/.]", day)[:2])) for day in days]
    day_first, month_first = any(a > 12 for a, _ in pairs), any(b > 12 for _, b in pairs)
    if day_first and month_first:
        return None, "some dates only fit day first and some only month first"
    if day_first or month_first:
        return day_first, "a part above 12 can only be a day"
    if all("." in day for day in days):
        return True, "dates with dots are written day first"
    ordered = {order: _runs_forward(days, order) for order in (True, False)}
    if ordered[True] != ordered[False]:
        return ordered[True], "the other order would run backwards"
    named = {order: _is_named(days, order, hints) for order in (True, False)}
    if named[True] != named[False]:
        return named[True], "the file name holds the date"
    return None, "every date fits both orders"


def _runs_forward(days: list[str], day_first: bool) -> bool:
    read = [read_date(day, day_first) for day in days]
    return None not in read and all(a <= b for a, b in pairwise(read) if a and b)


def _is_named(days: list[str], day_first: bool, hints: str) -> bool:
    digits = re.sub(r"\D", "", hints)
    read = (read_date(day, day_first) for day in days)
    return any(found is not None and found.strftime("%Y%m%d") in digits for found in read)
