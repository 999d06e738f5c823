"""Into how many requests a batch goes, by what the server says it can take."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TypeVar

T = TypeVar("T")

# What a server takes that does not say (OPC 10000-5, 6.3.11: 0 or no node means no limit stated)
UNSTATED = 1000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Most operations in one request."""

    read: int = UNSTATED
    browse: int = UNSTATED
    monitored_items: int = UNSTATED

    def reading_less(self, tried: int) -> "Limits":
        """After the server refused `tried` reads in one request."""
        return replace(self, read=min(self.read, max(1, tried // 2)))


def batches(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """`items` in order, in the fewest batches of at most `most`, as even as they can be."""
    count = ceil(len(items) / most)
    size, longer = divmod(len(items), count) if count else (0, 0)
    cut = []
    start = 0
    for number in range(count):
        end = start + size + (number < longer)
        cut.append(items[start:end])
        start = end
    return cut


def distinct(items: Sequence[T]) -> tuple[list[T], list[int]]:
    """Each item once, and for every given item the position of its one."""
    place: dict[T, int] = {}
    positions = [place.setdefault(item, len(place)) for item in items]
    return list(place), positions
