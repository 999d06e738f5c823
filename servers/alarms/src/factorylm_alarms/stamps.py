"""Time stamps: thousands of spellings, one result, whole milliseconds since 1970.

The clock time, which differs in every row, is read for a whole block at once by looking digit pairs up in tables; the
day, which neighbouring rows mostly share, is read by the `DayBook` where it changes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from factorylm_alarms.arrays import Bytes, Codes, Doubles, Flags, Hashes, Positions, Times
from factorylm_alarms.cells import gather_words
from factorylm_alarms.dates import MINUTE_MS, MISSING, STAMP, DayBook, read_tail

NUMBER_UNITS = (
    (1e8, 5e9, 1000.0, 0.0, "seconds since 1970"),
    (1e11, 5e12, 1.0, 0.0, "milliseconds since 1970"),
    (1e14, 5e15, 1e-3, 0.0, "microseconds since 1970"),
    (1e17, 5e18, 1e-6, 0.0, "nanoseconds since 1970"),
)
"""(from, to, milliseconds a unit, offset in ms, what it is): the ranges are 1973 to 2128 and do not overlap."""


def two_digit_table(last: int) -> Codes:
    """Value of every two-character number up to `last`, by the two bytes as one integer; the rest negative."""
    table = np.full(65_536, -1, np.int32)
    for value in range(last + 1):
        tens, ones = f"{value:02d}".encode()
        table[tens | ones << 8] = value
    return table


HOURS, SIXTY, HUNDRED = two_digit_table(23), two_digit_table(60), two_digit_table(99)
MINUTES = two_digit_table(59)
GAP = np.isin(np.arange(256), np.frombuffer(b"T _,-", np.uint8))


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
        if len(rows) == len(begins) and fits.all():
            return found
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


def _read_layout(buffer: Bytes, begins: Positions, layout: Layout, book: DayBook) -> tuple[Times, Flags]:
    """(times, which rows have this layout) of rows that have its length."""
    words = gather_words(buffer, begins, -(-layout.length // 8))
    letters = words.view(np.uint8).reshape(len(begins), -1)
    clock = _clock_ms(letters, layout)
    fits = (clock >= 0) & _separators_fit(letters, layout)
    day = _days_ms(words, letters, layout, book)
    return day + clock, fits & (day != MISSING)


def _clock_ms(letters: Bytes, layout: Layout) -> Codes:
    """Milliseconds since midnight; negative where a digit is none or out of range."""
    first, end = layout.hour
    hour = HOURS[_pair(letters, first)] if end - first == 2 else _digit(letters, first)
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


def _fraction_ms(letters: Bytes, span: tuple[int, int], bad: Flags) -> Codes:
    """Rounded to whole milliseconds, so that 20.000000001 and 9.999999998 are what was meant."""
    total = np.zeros(len(letters), np.int64)
    for place in range(*span):
        digit = _digit(letters, place)
        bad |= digit < 0
        total = total * 10 + digit
    width = span[1] - span[0]
    unit = 10 ** max(0, width - 3)
    rounded: Codes = ((total * 10 ** max(0, 3 - width) + unit // 2) // unit).astype(np.int32)
    return rounded


def _pair(letters: Bytes, at: int) -> npt.NDArray[np.uint16]:
    return letters[:, at].astype(np.uint16) | letters[:, at + 1].astype(np.uint16) << np.uint16(8)


def _digit(letters: Bytes, at: int) -> Codes:
    digit = letters[:, at].astype(np.int32) - 48
    digit[(digit < 0) | (digit > 9)] = -1
    return digit


def _separators_fit(letters: Bytes, layout: Layout) -> Flags:
    fits: Flags = letters[:, layout.hour[1]] == ord(":")
    if layout.second is not None:
        fits &= letters[:, layout.second - 1] == ord(":")
        if layout.fraction[1]:
            mark = letters[:, layout.fraction[0] - 1]
            fits &= (mark == ord(".")) | (mark == ord(",")) | (mark == ord(":"))
    for place in range(layout.day_end, layout.hour[0]):
        fits &= GAP[letters[:, place]]
    return fits


def _days_ms(words: Hashes, letters: Bytes, layout: Layout, book: DayBook) -> Times:
    """Each row's day. Neighbouring rows mostly share it, so only changes are looked up."""
    rare = np.zeros(words.shape[1] * 8, np.uint8)
    rare[: layout.day_end] = 255
    rare[layout.tail : layout.length] = 255
    changed = np.ones(len(words), bool)
    changed[1:] = False
    for column, mask in enumerate(rare.view(np.uint64)):
        if mask:
            changed[1:] |= (words[1:, column] ^ words[:-1, column]) & mask != 0
    runs = np.flatnonzero(changed)
    days = [bytes(row) for row in letters[runs, : layout.day_end]]
    tails = [bytes(row) for row in letters[runs, layout.tail : layout.length]]
    starts = np.array([book.start_of_day_ms(day, tail) for day, tail in zip(days, tails, strict=True)], np.int64)
    return np.repeat(starts, np.diff(runs, append=len(words)))


def read_numbers(buffer: Bytes, begins: Positions, lengths: Positions) -> Doubles:
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
    first: Times = times - offsets[inverse, 0]
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


def _by_order(first: Times, second: Times, twice: Flags) -> Times:
    """In the repeated hour take the earlier reading until the clock runs back, then the later one."""
    result = first.copy()
    latest = MISSING
    for row in np.flatnonzero(twice):
        if row:
            latest = max(latest, int(result[row - 1]))
        result[row] = first[row] if first[row] >= latest else second[row]
    return result
