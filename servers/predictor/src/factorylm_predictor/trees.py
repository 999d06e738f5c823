"""Decision trees as plain arrays, walked by numpy alone."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from factorylm_predictor.arrays import Floats, Ints

_ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Many trees in one set of node arrays.

    `left` and `right` are steps ahead from the node itself; a leaf steps 0 and so stays where it is. `value` has a
    column per output. `member` says to which model of a bag a tree belongs, `base` what each member adds.
    """

    left: NDArray[np.uint16]
    right: NDArray[np.uint16]
    feature: NDArray[np.uint16]
    threshold: NDArray[np.float32]
    value: NDArray[np.float32]
    start: NDArray[np.uint32]
    member: NDArray[np.uint16]
    base: Floats
    depth: int

    def by_member(self, features: NDArray[np.float32]) -> Floats:
        """Sum of each member's trees: [rows, members, outputs]."""
        parts = [features[i : i + _ROWS_AT_ONCE] for i in range(0, len(features), _ROWS_AT_ONCE)]
        return np.concatenate([self._some(part) for part in parts])

    def of_member(self, number: int) -> "Forest":
        """The trees of one member alone."""
        first, last = np.searchsorted(self.member, [number, number + 1])
        begin, end = np.append(self.start, len(self.left))[[first, last]]
        nodes, trees = slice(int(begin), int(end)), slice(int(first), int(last))
        return replace(
            self,
            left=self.left[nodes],
            right=self.right[nodes],
            feature=self.feature[nodes],
            threshold=self.threshold[nodes],
            value=self.value[nodes],
            start=self.start[trees] - begin.astype(np.uint32),
            member=np.zeros(int(last - first), np.uint16),
            base=self.base[number : number + 1],
        )

    def _some(self, features: NDArray[np.float32]) -> Floats:
        node = np.broadcast_to(self.start.astype(np.int64), (len(features), len(self.start))).copy()
        rows = np.arange(len(features))[:, None]
        for _ in range(self.depth):
            low = features[rows, self.feature[node]] <= self.threshold[node]
            node += np.where(low, self.left[node], self.right[node])
        leaves = self.value[node].astype(np.float64)
        edges = np.searchsorted(self.member, np.arange(len(self.base)))
        return np.add.reduceat(leaves, edges, axis=1) + self.base[None, :, :]


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree as exported: absolute child indices, -1 at leaves."""

    left: Ints
    right: Ints
    feature: Ints
    threshold: Floats
    value: Floats


def forest_of(members: list[list[Tree]], base: Floats) -> Forest:
    """Join the trees of all members."""
    trees = [tree for member in members for tree in member]
    sizes = [len(tree.left) for tree in trees]
    return Forest(
        left=np.concatenate([_steps(t.left) for t in trees]),
        right=np.concatenate([_steps(t.right) for t in trees]),
        feature=np.concatenate([np.where(t.left < 0, 0, t.feature) for t in trees]).astype(np.uint16),
        threshold=np.concatenate([_floor32(np.where(t.left < 0, 0.0, t.threshold)) for t in trees]),
        value=np.concatenate([np.where((t.left < 0)[:, None], t.value, 0) for t in trees]).astype(np.float32),
        start=np.cumsum([0, *sizes[:-1]]).astype(np.uint32),
        member=np.repeat(np.arange(len(members)), [len(m) for m in members]).astype(np.uint16),
        base=base,
        depth=max(_depth(tree) for tree in trees),
    )


def _steps(child: Ints) -> NDArray[np.uint16]:
    return np.where(child < 0, 0, child - np.arange(len(child))).astype(np.uint16)


def _floor32(threshold: Floats) -> NDArray[np.float32]:
    """The largest float32 not above: `x <= t` stays the same for every float32 x, so nothing is lost."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def _depth(tree: Tree) -> int:
    level = np.zeros(len(tree.left), dtype=np.int64)
    for node in range(len(tree.left)):
        if tree.left[node] >= 0:
            level[[tree.left[node], tree.right[node]]] = level[node] + 1
    return int(level.max())
