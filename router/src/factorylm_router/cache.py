"""Answers given a short while ago, bounded by their bytes."""

from collections import OrderedDict


class RecentAnswers:
    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0

    def get(self, digest: str, now_s: float) -> bytes | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if entry[0] <= now_s:
            self._drop(digest)
            return None
        self._entries.move_to_end(digest)
        return entry[1]

    def put(self, digest: str, value: bytes, expires_s: float, limit_bytes: int) -> None:
        if digest in self._entries:
            self._drop(digest)
        self._entries[digest] = (expires_s, value)
        self._size += len(value)
        while self._size > limit_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, digest: str) -> None:
        self._size -= len(self._entries.pop(digest)[1])
