"""From single rows to activations: which return closes which activation, which acknowledgement answers which.

Rows come in time order, chunk after chunk, so a log of any length needs memory only for its activations. An activation
whose next record is another activation has an unknown end (a lost return, or the alarm announced anew): it is kept as
such and never closed silently.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from factorylm_alarms.arrays import Codes, Flags, Kinds, Positions, RowNumbers, Times
from factorylm_alarms.dates import MISSING
from factorylm_alarms.kinds import Kind


class Ending(IntEnum):
    """How an activation ended: by its return, by another activation first, or not before the log did."""

    RETURNED = 0
    ACTIVATED_AGAIN = 1
    OPEN = 2


@dataclass(frozen=True, kw_only=True)
class Activations:
    """One entry an activation, in time order. `end` is the return, the next activation or the log's end by `ending`."""

    start: Times
    end: Times
    ending: Kinds
    alarm: Codes
    row: RowNumbers
    ack_alarm: Codes
    ack_ms: Times
    orphan_returns: int
    orphan_acks: int

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, kw_only=True)
class AlarmRows:
    """Rows of an alarm's life in time order. `group` is what is paired: the alarm, or the event id if there is one."""

    time: Times
    alarm: Codes
    kind: Kinds
    row: RowNumbers
    group: Codes


@dataclass
class Pairing:
    """The state of every group between two chunks, and what was found so far."""

    pending: Positions = field(default_factory=lambda: np.zeros(0, np.int64))
    unacked_since: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    count: int = 0
    starts: list[Times] = field(default_factory=list)
    ends: list[Times] = field(default_factory=list)
    endings: list[Kinds] = field(default_factory=list)
    alarms: list[Codes] = field(default_factory=list)
    rows: list[RowNumbers] = field(default_factory=list)
    late: list[tuple[Positions, Times, Kinds]] = field(default_factory=list)
    acks: list[tuple[Codes, Times]] = field(default_factory=list)
    orphan_returns: int = 0
    orphan_acks: int = 0

    def feed(self, chunk: AlarmRows) -> None:
        """Take the next rows; none may be earlier than those before."""
        if not len(chunk.time):
            return
        self._make_room(int(chunk.group.max()) + 1)
        order = _by_group(chunk.group)
        group, kind = chunk.group[order], chunk.kind[order].copy()
        acknowledged = self._decide_states(group, kind)
        self._pair_returns(chunk, order, group, kind)
        kind[acknowledged] = Kind.OTHER
        self._pair_acks(chunk, order, group, kind)

    def finish(self, last_ms: int) -> Activations:
        """Everything found; what is still open lasts to `last_ms`."""
        start = _joined(self.starts, np.int64)
        end, ending = _joined(self.ends, np.int64), _joined(self.endings, np.int8)
        for index, when, how in self.late:
            end[index], ending[index] = when, how
        end[ending == Ending.OPEN] = last_ms
        return Activations(
            start=start,
            end=end,
            ending=ending,
            alarm=_joined(self.alarms, np.int32),
            row=_joined(self.rows, np.uint32),
            ack_alarm=_joined([alarm for alarm, _ in self.acks], np.int32),
            ack_ms=_joined([delay for _, delay in self.acks], np.int64),
            orphan_returns=self.orphan_returns,
            orphan_acks=self.orphan_acks,
        )

    def _make_room(self, groups: int) -> None:
        more = groups - len(self.pending)
        if more > 0:
            more = max(more, len(self.pending), 1024)
            self.pending = np.concatenate((self.pending, np.full(more, -1, np.int64)))
            self.unacked_since = np.concatenate((self.unacked_since, np.full(more, MISSING, np.int64)))

    def _decide_states(self, group: Codes, kind: Kinds) -> Positions:
        """What a row of states changed, by the state before it; an alarm's first row finds it normal.

        Returns the rows that are activations nobody has to acknowledge.
        """
        if not np.isin(kind, (Kind.RETURN_OR_ACKNOWLEDGE, Kind.ACTIVATION_OR_ACKNOWLEDGE)).any():
            return np.zeros(0, np.int64)
        life = np.flatnonzero(kind != Kind.ACKNOWLEDGE)
        who, what = group[life], kind[life]
        first = _changes(who)
        was_active = np.zeros(len(life), bool)
        was_active[1:] = np.isin(what[:-1], (Kind.ACTIVATION, Kind.ACTIVATION_OR_ACKNOWLEDGE))
        was_active[first] = self.pending[who[first]] >= 0
        goes, comes = what == Kind.RETURN_OR_ACKNOWLEDGE, what == Kind.ACTIVATION_OR_ACKNOWLEDGE
        kind[life[(goes & ~was_active) | (comes & was_active)]] = Kind.ACKNOWLEDGE
        kind[life[goes & was_active]] = Kind.RETURN
        kind[life[comes & ~was_active]] = Kind.ACTIVATION
        acknowledged: Positions = life[comes & ~was_active]
        return acknowledged

    def _pair_returns(self, chunk: AlarmRows, order: Positions, group: Codes, kind: Kinds) -> None:
        life = np.flatnonzero((kind == Kind.ACTIVATION) | (kind == Kind.RETURN))
        if not len(life):
            return
        who, comes, time = group[life], kind[life] == Kind.ACTIVATION, chunk.time[order[life]]
        first = _changes(who)
        self._close_pending(who[first], comes[first], time[first])
        is_first = np.zeros(len(life), bool)
        is_first[first] = True
        after_activation = np.zeros(len(life), bool)
        after_activation[1:] = comes[:-1]
        after_activation[first] = self.pending[who[first]] >= 0
        self.orphan_returns += int((~comes & ~after_activation).sum())

        is_last = np.append(is_first[1:], True)
        ending = np.full(len(life), Ending.OPEN, np.int8)
        ending[:-1] = np.where(comes[1:], Ending.ACTIVATED_AGAIN, Ending.RETURNED)
        ending[is_last] = Ending.OPEN
        end = np.append(time[1:], 0)

        index = self._keep(chunk, order[life[comes]], end[comes], ending[comes])
        self.pending[who[is_last]] = -1
        still = is_last[comes]
        self.pending[who[comes][still]] = index[still]

    def _close_pending(self, who: Codes, comes: Flags, time: Times) -> None:
        """The first record of a group in this chunk ends what an earlier chunk left open."""
        index = self.pending[who]
        there = index >= 0
        how = np.where(comes, Ending.ACTIVATED_AGAIN, Ending.RETURNED).astype(np.int8)
        self.late.append((index[there], time[there], how[there]))

    def _keep(self, chunk: AlarmRows, places: Positions, end: Times, ending: Kinds) -> Positions:
        """Store this chunk's activations in time order; returns their numbers, in the order given."""
        in_time = np.argsort(places, kind="stable")
        index = np.empty(len(places), np.int64)
        index[in_time] = self.count + np.arange(len(places))
        where = places[in_time]
        self.starts.append(chunk.time[where])
        self.alarms.append(chunk.alarm[where])
        self.rows.append(chunk.row[where])
        self.ends.append(end[in_time])
        self.endings.append(ending[in_time])
        self.count += len(places)
        return index

    def _pair_acks(self, chunk: AlarmRows, order: Positions, group: Codes, kind: Kinds) -> None:
        """Acknowledge time runs from the first activation since the last acknowledgement."""
        rows = np.flatnonzero((kind == Kind.ACTIVATION) | (kind == Kind.ACKNOWLEDGE))
        if not len(rows):
            return
        who, acks = group[rows], kind[rows] == Kind.ACKNOWLEDGE
        time, alarm = chunk.time[order[rows]], chunk.alarm[order[rows]]
        first = _changes(who)
        opens = ~acks
        opens[1:] &= acks[:-1]
        opens[first] = ~acks[first]
        since = np.where(opens, time, MISSING)
        carried = self.unacked_since[who[first]]
        since[first] = np.where(carried != MISSING, carried, since[first])
        latest = _last_known(np.flatnonzero(opens | _marks(first, len(rows))), since)
        after_ack = np.zeros(len(rows), bool)
        after_ack[1:] = acks[:-1]
        after_ack[first] = False
        answered = acks & ~after_ack & (latest != MISSING)
        self.acks.append((alarm[answered], (time - latest)[answered]))
        self.orphan_acks += int((acks & ~answered).sum())
        last = np.append(first[1:], len(rows)) - 1
        self.unacked_since[who[last]] = np.where(acks[last], MISSING, latest[last])


def _by_group(group: Codes) -> Positions:
    """Stable order by group; 16-bit numbers are sorted by radix, several times faster."""
    small = group.astype(np.uint16) if int(group.max()) < 65_536 else group
    return np.argsort(small, kind="stable")


def _changes(group: Codes) -> Positions:
    """Where a new group begins in a sorted array."""
    return np.concatenate(([0], np.flatnonzero(group[1:] != group[:-1]) + 1)) if len(group) else np.zeros(0, np.int64)


def _marks(places: Positions, length: int) -> Flags:
    flags = np.zeros(length, bool)
    flags[places] = True
    return flags


def _last_known(places: Positions, values: Times) -> Times:
    """At each position the value at the last of `places` up to it."""
    return np.repeat(values[places], np.diff(places, append=len(values)))


def _joined(parts: Sequence[npt.NDArray[np.generic]], dtype: type) -> npt.NDArray:  # type: ignore[type-arg]
    return np.concatenate(parts) if parts else np.zeros(0, dtype)
