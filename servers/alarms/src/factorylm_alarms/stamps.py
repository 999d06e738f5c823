"""Time stamps: thousands of spellings, one result, whole milliseconds since 1970.

`DayBook` reads what is rare (dates, zones, AM/PM: a few hundred spellings a log) in plain Python, once each.
The clock time, which differs in every row, is read for a whole block at once by looking digit pairs up in tables.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from factorylm_alarms.cells import gather_words

MISSING = np.iinfo(np.int64).min
MINUTE_MS = 60_000
DAY_MS = 86_400_000

Times = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

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
NUMBER_UNITS = (
    (1e8, 5e9, 1000.0, 0.0, "seconds since 1970"),
    (1e11, 5e12, 1.0, 0.0, "milliseconds since 1970"),
    (1e14, 5e15, 1e-3, 0.0, "microseconds since 1970"),
    (1e17, 5e18, 1e-6, 0.0, "nanoseconds since 1970"),
)
"""(from, to, milliseconds a unit, offset in ms, what it is): the ranges are 1973 to 2128 and do not overlap."""


def two_digit_table(last: int) -> npt.NDArray[np.int32]:
    """Value of every two-character number up to `last`, by the two bytes as one integer; the rest negative."""
    table = np.full(65_536, -1, np.int32)
    for value in range(last + 1):
        tens, ones = f"{value:02d}".encode()
        table[tens | ones << 8] = value
    return table


HOURS, SIXTY, HUNDRED = two_digit_table(23), two_digit_table(60), two_digit_table(99)
MINUTES = two_digit_table(59)


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
    return None not in read and all(a <= b for a, b in zip(read, read[1:], strict=False) if a and b)


def _is_named(days: list[str], day_first: bool, hints: str) -> bool:
    digits = re.sub(r"\D", "", hints)
    read = (read_date(day, day_first) for day in days)
    return any(found is not None and found.strftime("%Y%m%d") in digits for found in read)


def read_stamp(raw: bytes, book: DayBook) -> int:
    """One stamp, the plain way; the reference for `read_stamps` and its last resort."""
    match = STAMP.match(raw.strip())
    if match is None:
        return MISSING
    start = book.start_of_day_ms(match["date"], match["tail"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    half = read_tail(match["tail"].decode())[0]
    if half:
        if not 1 <= hour <= 12:
            return MISSING
        hour %= 12
    if start == MISSING or hour > 23 or minute > 59 or second > 60:
        return MISSING
    fraction = (match["fraction"] or b"").ljust(9, b"0")
    return start + (hour * 60 + minute) * MINUTE_MS + second * 1000 + (int(fraction) + 500_000) // 1_000_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the parts of a stamp stand; all rows of one length and these separators are read together."""

    length: int
    day_end: int
    hour: tuple[int, int]
    minute: int
    second: int | None
    fraction: tuple[int, int]
    tail: int
    half_day: bool


def layout_of(raw: bytes) -> Layout | None:
    """The layout of one stamp, or None when it is no stamp."""
    match = STAMP.match(raw)
    if match is None:
        return None
    second = match.start("second") if match["second"] else None
    return Layout(
        length=len(raw),
        day_end=match.end("date"),
        hour=match.span("hour"),
        minute=match.start("minute"),
        second=second,
        fraction=match.span("fraction") if match["fraction"] else (0, 0),
        tail=match.start("tail"),
        half_day=bool(read_tail(match["tail"].decode())[0]),
    )


MAX_STAMP_BYTES = 48
MAX_LAYOUTS = 40


def read_stamps(buffer: Bytes, begins: Positions, lengths: Positions, book: DayBook) -> Times:
    """The stamps at these places of a block; MISSING where a cell is no stamp.

    Layouts are learned from the first row not yet read; what is left after MAX_LAYOUTS is read one by one.
    """
    times = np.full(len(begins), MISSING, np.int64)
    todo = np.flatnonzero((lengths > 0) & (lengths <= MAX_STAMP_BYTES))
    for _ in range(MAX_LAYOUTS):
        if not len(todo):
            return times
        layout = layout_of(_cell(buffer, begins[todo[0]], lengths[todo[0]]))
        if layout is None:
            todo = todo[1:]
            continue
        same = lengths[todo] == layout.length
        rows = todo if same.all() else todo[same]
        found, fits = _read_layout(buffer, begins[rows], layout, book)
        times[rows[fits]] = found[fits]
        left = np.zeros(len(begins), bool)
        left[todo] = True
        left[rows[fits]] = False
        left[todo[0]] = False
        todo = np.flatnonzero(left)
    for row in todo:
        times[row] = read_stamp(_cell(buffer, begins[row], lengths[row]), book)
    return times


def _cell(buffer: Bytes, begin: int, length: int) -> bytes:
    return bytes(buffer[begin : begin + length])


def _read_layout(buffer: Bytes, begins: Positions, layout: Layout, book: DayBook) -> tuple[Times, npt.NDArray[np.bool_]]:
    """(times, which rows have this layout) of rows that have its length."""
    letters = gather_words(buffer, begins, -(-layout.length // 8)).view(np.uint8).reshape(len(begins), -1)
    clock = _clock_ms(letters, layout)
    fits = (clock >= 0) & _separators_fit(letters, layout)
    return _days_ms(letters, fits, layout, book, clock)


def _clock_ms(letters: Bytes, layout: Layout) -> npt.NDArray[np.int32]:
    """Milliseconds since midnight; negative where a digit is none or out of range."""
    first, end = layout.hour
    if end - first == 2:
        hour = HOURS[_pair(letters, first)]
    else:
        hour = _digit(letters, first)
    if layout.half_day:
        hour = np.where((hour < 1) | (hour > 12), -1, hour % 12).astype(np.int32)
    minute = MINUTES[_pair(letters, layout.minute)]
    bad = (hour < 0) | (minute < 0)
    total = hour * 3_600_000 + minute * 60_000
    if layout.second is not None:
        seconds = SIXTY[_pair(letters, layout.second)]
        bad |= seconds < 0
        total += seconds * 1000 + _fraction_ms(letters, layout.fraction, bad)
    total[bad] = -1
    return total


def _fraction_ms(letters: Bytes, span: tuple[int, int], bad: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Rounded to whole milliseconds, so that 20.000000001 and 9.999999998 are what was meant."""
    total = np.zeros(len(letters), np.int64)
    for place in range(*span):
        digit = _digit(letters, place)
        bad |= digit < 0
        total = total * 10 + digit
    width = span[1] - span[0]
    if width <= 3:
        return (total * 10 ** (3 - width)).astype(np.int32)
    unit = 10 ** (width - 3)
    return ((total + unit // 2) // unit).astype(np.int32)


def _pair(letters: Bytes, at: int) -> npt.NDArray[np.uint16]:
    return letters[:, at].astype(np.uint16) | letters[:, at + 1].astype(np.uint16) << np.uint16(8)


def _digit(letters: Bytes, at: int) -> npt.NDArray[np.int32]:
    digit = letters[:, at].astype(np.int32) - 48
    digit[(digit < 0) | (digit > 9)] = -1
    return digit


def _separators_fit(letters: Bytes, layout: Layout) -> npt.NDArray[np.bool_]:
    fits = letters[:, layout.hour[1]] == ord(":")
    if layout.second is not None:
        fits &= letters[:, layout.second - 1] == ord(":")
        if layout.fraction[1]:
            mark = letters[:, layout.fraction[0] - 1]
            fits &= (mark == ord(".")) | (mark == ord(",")) | (mark == ord(":"))
    for place in range(layout.day_end, layout.hour[0]):
        fits &= np.isin(letters[:, place], np.frombuffer(b"T _,-", np.uint8))
    return fits


def _days_ms(
    letters: Bytes, fits: npt.NDArray[np.bool_], layout: Layout, book: DayBook, clock: npt.NDArray[np.int32]
) -> tuple[Times, npt.NDArray[np.bool_]]:
    """Add each row's day. Neighbouring rows mostly share it, so only changes are looked up."""
    frame = np.concatenate((letters[:, : layout.day_end], letters[:, layout.tail : layout.length]), axis=1)
    width = -(-frame.shape[1] // 8)
    words = np.zeros((len(frame), width * 8), np.uint8)
    words[:, : frame.shape[1]] = frame
    keys = words.view(np.uint64)
    changed = np.ones(len(frame), bool)
    changed[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    runs = np.flatnonzero(changed)
    cut = layout.day_end
    starts = np.array(
        [book.start_of_day_ms(raw[:cut], raw[cut:]) for raw in map(bytes, frame[runs])], np.int64
    )
    day = np.repeat(starts, np.diff(runs, append=len(frame)))
    return day + clock, fits & (day != MISSING)


def read_numbers(buffer: Bytes, begins: Positions, lengths: Positions) -> npt.NDArray[np.float64]:
    """Plain numbers, with a decimal comma or point; NaN where a cell is none."""
    out = np.full(len(begins), np.nan)
    for row, (begin, length) in enumerate(zip(begins.tolist(), lengths.tolist(), strict=True)):
        try:
            out[row] = float(bytes(buffer[begin : begin + length]).replace(b",", b"."))
        except ValueError:
            continue
    return out


def number_unit(value: float) -> tuple[float, float, str] | None:
    """(ms a unit, offset, words) of a stamp written as one number; None when it is in no known range."""
    for low, high, scale, offset, words in NUMBER_UNITS:
        if low <= value < high:
            return scale, offset, words
    return None


def local_to_utc(times: Times, zone: ZoneInfo) -> Times:
    """Local wall-clock times in file order to UTC; the repeated hour is told apart by the order of rows."""
    hours, inverse = np.unique(times // 3_600_000, return_inverse=True)
    offsets = np.array([_offsets_ms(int(hour) * 3_600_000, zone) for hour in hours], np.int64).reshape(-1, 2)
    first = times - offsets[inverse, 0]
    second = times - offsets[inverse, 1]
    twice = first != second
    if not twice.any():
        return first
    return _by_order(first, second, twice)


def _offsets_ms(local_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    wall = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=local_ms)
    both = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0) for fold in (0, 1))
    first, second = (int(offset.total_seconds() * 1000) for offset in both)
    return first, second


def _by_order(first: Times, second: Times, twice: npt.NDArray[np.bool_]) -> Times:
    """In the repeated hour take the earlier reading until the clock runs back, then the later one."""
    result = first.copy()
    latest = MISSING
    for row in np.flatnonzero(twice):
        if row:
            latest = max(latest, int(result[row - 1]))
        result[row] = first[row] if first[row] >= latest else second[row]
    return result
