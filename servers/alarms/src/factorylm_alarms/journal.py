"""A journal as it was read: its alarms, its activations, and an honest account of every row.

Read in one pass while the rows are in time order. When one is not, the reading starts over and keeps all rows to sort
them: two readings of a disordered file instead of twice the memory for every file.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from factorylm_alarms.arrays import Codes, Counts
from factorylm_alarms.chunks import Chunk
from factorylm_alarms.dates import MISSING
from factorylm_alarms.errors import LogError
from factorylm_alarms.keys import Alarm, KeyTable
from factorylm_alarms.kinds import CLASS_OF_KIND, LAST_OF_LIFE, Kind
from factorylm_alarms.mapping import Mapping
from factorylm_alarms.open_log import LogFile, open_log
from factorylm_alarms.pairing import Activations, AlarmRows, Pairing
from factorylm_alarms.reading import Reader
from factorylm_alarms.tidy import Duplicates, OutOfOrder, Silences, in_time_order
from factorylm_alarms.untrusted import visible

FEED_ROWS = 2_000_000
NO_STEPS: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What happened to the rows, by declared rules."""

    rows: int
    rejected: int
    rejected_lines: tuple[tuple[str, int, str], ...]
    duplicates: int
    moved: int
    clock_steps: tuple[tuple[int, int], ...]
    rows_by_class: dict[str, int]
    unknown_words: dict[str, int]
    silences: tuple[tuple[int, int], ...]
    resolution_ms: int
    zone: str
    notes: tuple[str, ...]
    duplicates_kept: bool = False


@dataclass(frozen=True, kw_only=True)
class Journal:
    """`first_ms` and `last_ms` are those of all rows read, of whatever class. Times are local unless `zone` is UTC."""

    name: str
    log_id: str
    files: tuple[LogFile, ...]
    mapping: Mapping
    alarms: tuple[Alarm, ...]
    activations: Activations
    priority_counts: dict[str, int]
    changes: tuple[tuple[str, str, int], ...]
    first_ms: int
    last_ms: int
    quality: Quality

    @property
    def hours(self) -> float:
        """From the first row to the last."""
        return (self.last_ms - self.first_ms) / 3_600_000

    def place_of_row(self, row: int) -> tuple[str, int]:
        """(file name, line number) of a row number."""
        for file in reversed(self.files):
            if row >= file.first_row:
                return file.name, row - file.first_row + 1
        return self.name, row


@dataclass
class _Account:
    """Counts gathered while the rows go by."""

    keys: KeyTable
    pairing: Pairing = field(default_factory=Pairing)
    duplicates: Duplicates = field(default_factory=Duplicates)
    silences: Silences = field(default_factory=Silences)
    rows: int = 0
    by_key: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    first_ms: int | None = None
    last_ms: int = 0
    keep_duplicates: bool = False
    ids: dict[int, int] = field(default_factory=dict)

    def take(self, chunk: Chunk) -> None:
        """Rows in time order, the first of them not earlier than the last before."""
        if not len(chunk.time):
            return
        self.rows += len(chunk.time)
        self.first_ms = int(chunk.time[0]) if self.first_ms is None else self.first_ms
        self.last_ms = int(chunk.time[-1])
        self.silences.take(chunk.time)
        if not self.keep_duplicates:
            chunk = chunk.where(self.duplicates.keep(chunk.time, chunk.row_hash))
        counts = np.bincount(chunk.key, minlength=len(self.keys.kinds))
        self.by_key = counts + np.pad(self.by_key, (0, len(counts) - len(self.by_key)))
        kind = self.keys.kind_codes()[chunk.key]
        chunk, kind = chunk.where(alive := kind <= LAST_OF_LIFE), kind[alive]
        alarm = self.keys.alarm_codes()[chunk.key]
        group = alarm if chunk.event_id is None else self._groups(chunk)
        self.pairing.feed(AlarmRows(time=chunk.time, alarm=alarm, kind=kind, row=chunk.row, group=group))

    def _groups(self, chunk: Chunk) -> Codes:
        assert chunk.event_id is not None
        found = [self.ids.setdefault(value, len(self.ids)) for value in chunk.event_id.tolist()]
        return np.array(found, np.int32)


Progress = Callable[[int, int], None]


def read_journal(
    paths: Sequence[Path],
    *,
    mapping_file: Path | None = None,
    day_first: bool | None = None,
    keep_duplicates: bool = False,
    progress: Progress | None = None,
) -> Journal:
    """Read journal files as one log. Raises LogError, or one of its children, when they cannot be trusted."""
    if not paths:
        raise LogError("no journal was named")
    logs = [open_log(path, mapping_file=mapping_file, day_first=day_first) for path in paths]
    try:
        keys = KeyTable()
        account = _Account(keys=keys, keep_duplicates=keep_duplicates)
        reader = Reader(logs=logs, keys=keys, progress=progress)
        _read_in_order(reader, account)
        moved, steps = 0, NO_STEPS
    except OutOfOrder:
        keys = KeyTable()
        account = _Account(keys=keys, keep_duplicates=keep_duplicates)
        reader = Reader(logs=logs, keys=keys, progress=progress, hash_all=True)
        moved, steps = _read_and_sort(reader, account)
    return _journal(reader, account, moved, steps)


def _read_in_order(reader: Reader, account: _Account) -> None:
    latest = MISSING
    for chunk in reader.chunks():
        if len(chunk.time):
            if chunk.time[0] < latest or (chunk.time[1:] < chunk.time[:-1]).any():
                raise OutOfOrder
            latest = int(chunk.time[-1])
        account.take(chunk)


def _read_and_sort(reader: Reader, account: _Account) -> tuple[int, tuple[tuple[int, int], ...]]:
    whole = Chunk.joined(list(reader.chunks()))
    naive = reader.zone() == "not stated" and len(reader.logs) == 1
    times, order, moved, steps = in_time_order(whole.time, naive=naive and not whole.expanded)
    whole = whole.at(times, order)
    for at in range(0, len(whole.time), FEED_ROWS):
        account.take(whole.where(slice(at, at + FEED_ROWS)))
    return 0 if whole.expanded else moved, steps


def _journal(reader: Reader, account: _Account, moved: int, steps: tuple[tuple[int, int], ...]) -> Journal:
    if account.first_ms is None:
        seen = "; ".join(f"line {line}: {reason}" for _, line, reason in reader.rejected[:3])
        raise LogError(
            f"{reader.logs[0].path.name} has no readable row", hint=f"rejected: {seen}" if seen else "it holds no rows"
        )
    activations = account.pairing.finish(account.last_ms)
    keys = account.keys
    by_class = _by_class(keys, account.by_key)
    if reader.logs[0].mapping.is_confirmed and set(by_class) == {CLASS_OF_KIND[Kind.OTHER]}:
        raise _no_word_fits(reader, keys, account.by_key)
    quality = Quality(
        rows=reader.rows,
        rejected=reader.rejected_count,
        rejected_lines=tuple(reader.rejected),
        duplicates=account.duplicates.count,
        duplicates_kept=account.keep_duplicates,
        moved=moved,
        clock_steps=steps,
        rows_by_class=by_class,
        unknown_words=_unknown_words(keys, account.by_key),
        silences=account.silences.found(account.rows, account.first_ms, account.last_ms),
        resolution_ms=_resolution(activations),
        zone=reader.zone(),
        notes=tuple(reader.notes),
    )
    return Journal(
        name=reader.logs[0].path.name if len(reader.logs) == 1 else f"{len(reader.logs)} files",
        log_id=_log_id(activations, keys.alarms, reader.rows),
        files=tuple(log.as_file() for log in reader.logs),
        mapping=reader.logs[0].mapping,
        alarms=tuple(keys.alarms),
        activations=activations,
        priority_counts=_priorities(keys, account.by_key, activations),
        changes=_changes(keys, account.by_key),
        first_ms=account.first_ms,
        last_ms=account.last_ms,
        quality=quality,
    )


def _no_word_fits(reader: Reader, keys: KeyTable, by_key: Counts) -> LogError:
    words = ", ".join(visible(word, 20) for word in list(_unknown_words(keys, by_key))[:8])
    return LogError(
        f"by {reader.logs[0].mapping.evidence} no row is an alarm: its event column holds {words or 'nothing'}",
        hint="give each of these words its class under [events], or name another event column",
    )


def _priorities(keys: KeyTable, by_key: Counts, activations: Activations) -> dict[str, int]:
    """Activations by priority, the most frequent first; by row, or by alarm where states decide what a row is."""
    counts: dict[str, int] = {}

    def add(priority: str, count: int) -> None:
        if priority and count:
            counts[priority] = counts.get(priority, 0) + count

    if Kind.ACTIVATION_OR_ACKNOWLEDGE in keys.kinds:
        for alarm, count in zip(keys.alarms, np.bincount(activations.alarm).tolist(), strict=False):
            add(alarm.priority, count)
    else:
        for kind, priority, count in zip(keys.kinds, keys.priorities, by_key.tolist(), strict=False):
            add(priority if kind is Kind.ACTIVATION else "", count)
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _changes(keys: KeyTable, by_key: Counts) -> tuple[tuple[str, str, int], ...]:
    """(class, what, rows) of suppressions and setting changes, the most frequent first."""
    found: dict[tuple[str, str], int] = {}
    for (source, condition, *_), kind, count in zip(keys.known_keys, keys.kinds, by_key.tolist(), strict=False):
        if kind in {Kind.SUPPRESS, Kind.UNSUPPRESS, Kind.SETTING}:
            what = (CLASS_OF_KIND[kind], f"{source}.{condition}" if condition else str(source))
            found[what] = found.get(what, 0) + count
    return tuple((kind, what, count) for (kind, what), count in sorted(found.items(), key=lambda item: -item[1]))


def _by_class(keys: KeyTable, by_key: Counts) -> dict[str, int]:
    counts: dict[str, int] = {}
    for kind, count in zip(keys.kinds, by_key.tolist(), strict=False):
        counts[CLASS_OF_KIND[kind]] = counts.get(CLASS_OF_KIND[kind], 0) + count
    return counts


def _unknown_words(keys: KeyTable, by_key: Counts) -> dict[str, int]:
    """Words of the event column that have no meaning here, with how often they came."""
    counts: dict[str, int] = {}
    for kind, word, count in zip(keys.kinds, keys.event_words, by_key.tolist(), strict=False):
        if kind is Kind.OTHER:
            counts[word] = counts.get(word, 0) + count
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:20])


def _resolution(activations: Activations) -> int:
    """The coarsest of the usual steps on which 99 % of the activations lie."""
    sample: Iterable[int] = (60_000, 10_000, 1000, 100, 10)
    start = activations.start[:200_000]
    return next((step for step in sample if len(start) > 1 and (start % step == 0).mean() >= 0.99), 1)


def _log_id(activations: Activations, alarms: Sequence[Alarm], rows: int) -> str:
    """A handle that is the same for the same content, however it was packed."""
    digest = hashlib.blake2b(digest_size=6)
    digest.update(activations.start.tobytes())
    digest.update(activations.alarm.tobytes())
    digest.update("\0".join(alarm.name for alarm in alarms).encode("utf-8", "replace"))
    digest.update(str(rows).encode())
    return f"log-{digest.hexdigest()}"
