"""Some rows of a journal as numbers, on their way from the file to the pairing."""

from dataclasses import dataclass

import numpy as np

from factorylm_alarms.arrays import Codes, Flags, Hashes, Positions, RowNumbers, Times


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some rows, in file order. `row_hash` is only filled where an equal instant makes it matter."""

    time: Times
    key: Codes
    row: RowNumbers
    row_hash: Hashes
    event_id: Hashes | None = None
    expanded: bool = False

    def where(self, chosen: Flags | slice) -> "Chunk":
        """Only these rows."""
        if not isinstance(chosen, slice) and chosen.all():
            return self
        ids = None if self.event_id is None else self.event_id[chosen]
        return Chunk(
            time=self.time[chosen],
            key=self.key[chosen],
            row=self.row[chosen],
            row_hash=self.row_hash[chosen],
            event_id=ids,
            expanded=self.expanded,
        )

    def at(self, time: Times, order: Positions) -> "Chunk":
        """These rows in another order, with corrected times (given in the old order)."""
        ids = None if self.event_id is None else self.event_id[order]
        return Chunk(
            time=time[order],
            key=self.key[order],
            row=self.row[order],
            row_hash=self.row_hash[order],
            event_id=ids,
            expanded=self.expanded,
        )

    @staticmethod
    def joined(parts: "list[Chunk]") -> "Chunk":
        """All rows of several chunks."""
        ids = [part.event_id for part in parts if part.event_id is not None]
        return Chunk(
            time=np.concatenate([part.time for part in parts] or [np.zeros(0, np.int64)]),
            key=np.concatenate([part.key for part in parts] or [np.zeros(0, np.int32)]),
            row=np.concatenate([part.row for part in parts] or [np.zeros(0, np.uint32)]),
            row_hash=np.concatenate([part.row_hash for part in parts] or [np.zeros(0, np.uint64)]),
            event_id=np.concatenate(ids) if ids else None,
            expanded=any(part.expanded for part in parts),
        )
