"""RFC 6962 trees: hashes, inclusion and consistency proofs. Pure; where nodes come from is the caller's business.

A node (level, position) covers leaves position·2^level up to (position + 1)·2^level; only complete ones are kept.
"""

import hashlib
from collections.abc import Callable, Sequence

EMPTY = hashlib.sha256(b"").digest()

# Asks for the hash of a complete node
Node = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962, 2.1: the zero byte keeps leaves and nodes apart."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962, 2.1."""
    return hashlib.sha256(b"\1" + left + right).digest()


def completed_nodes(size: int, leaf: bytes, node: Node) -> list[tuple[int, int, bytes]]:
    """The nodes that become complete when `leaf` is appended to a tree of `size` leaves, the leaf first."""
    nodes = [(0, size, leaf)]
    level, position, made = 0, size, leaf
    while position & 1:
        made = node_hash(node(level, position - 1), made)
        level, position = level + 1, position >> 1
        nodes.append((level, position, made))
    return nodes


def range_hash(begin: int, end: int, node: Node) -> bytes:
    """The hash over leaves begin…end-1, where the range is a subtree of the RFC's recursion."""
    count = end - begin
    if count == 0:
        return EMPTY
    if count & (count - 1) == 0 and begin % count == 0:
        return node(count.bit_length() - 1, begin // count)
    middle = begin + _split(count)
    return node_hash(range_hash(begin, middle, node), range_hash(middle, end, node))


def root_hash(size: int, node: Node) -> bytes:
    """The tree head of the first `size` leaves."""
    return range_hash(0, size, node)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """RFC 6962, 2.1.1, nearest sibling first."""
    return _path(index, 0, size, node)


def consistency_proof(old: int, size: int, node: Node) -> list[bytes]:
    """RFC 6962, 2.1.2: that the tree of `old` leaves is the beginning of the tree of `size`."""
    return [] if old in (0, size) else _subproof(old, 0, size, node, known=True)


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size or any(len(sibling) != 32 for sibling in proof):
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162, 2.1.4.2."""
    if not 0 <= old <= size or any(len(sibling) != 32 for sibling in proof):
        return False
    if old == 0:
        return not proof and old_root == EMPTY
    if old == size:
        return not proof and old_root == root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    return bool(path) and _climbs(path, old - 1, size - 1, old_root, root)


def _climbs(path: list[bytes], at: int, last: int, old_root: bytes, root: bytes) -> bool:
    while at & 1:
        at, last = at >> 1, last >> 1
    old_found = found = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_found, found = node_hash(sibling, old_found), node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old_found == old_root and found == root


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _path(index: int, begin: int, end: int, node: Node) -> list[bytes]:
    if end - begin == 1:
        return []
    middle = begin + _split(end - begin)
    if index < middle:
        return [*_path(index, begin, middle, node), range_hash(middle, end, node)]
    return [*_path(index, middle, end, node), range_hash(begin, middle, node)]


def _subproof(old: int, begin: int, end: int, node: Node, *, known: bool) -> list[bytes]:
    if old == end:
        return [] if known else [range_hash(begin, end, node)]
    middle = begin + _split(end - begin)
    if old <= middle:
        return [*_subproof(old, begin, middle, node, known=known), range_hash(middle, end, node)]
    return [*_subproof(old, middle, end, node, known=False), range_hash(begin, middle, node)]
