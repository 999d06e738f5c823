"""Groups in a graph of neighbours, without being told how many there are.

Two items are linked by how many of their nearest neighbours they share (Jarvis and Patrick 1973); groups are found by
modularity (Louvain: Blondel and others 2008). Deterministic: nodes are visited in order of their number.
"""

import numpy as np

from factorylm_alarms.arrays import Flags, Floats, Positions

Graph = list[dict[int, float]]

NEIGHBOURS_OF_ROOT = 0.6
MAX_NEIGHBOURS = 20
RESOLUTION = 0.4
"""Below 1 prefers larger groups. All three were chosen on the labelled alarm floods of two simulated plants."""
MAX_ROUNDS = 20


def group_by_neighbours(distance: Floats, related: Flags | None = None) -> Positions:
    """A group number for each item, 0 being the largest; `related` forbids links between items without kinship."""
    count = len(distance)
    if count == 0:
        return np.zeros(0, np.int64)
    neighbours = min(MAX_NEIGHBOURS, max(2, round(NEIGHBOURS_OF_ROOT * count**0.5)), count - 1)
    graph = _shared_neighbour_graph(distance, neighbours, related) if neighbours > 0 else [{}]
    return _by_size(_louvain(graph))


def _shared_neighbour_graph(distance: Floats, neighbours: int, related: Flags | None) -> Graph:
    count = len(distance)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : neighbours + 1]
    member = np.zeros((count, count), np.float32)
    member[np.arange(count)[:, None], nearest] = 1
    member[np.arange(count), np.arange(count)] = 1
    shared = member @ member.T
    sizes = member.sum(axis=1)
    weight = shared / (sizes[:, None] + sizes[None, :] - shared)
    linked = (member + member.T) > 0
    if related is not None:
        linked &= related
    linked &= ~np.eye(count, dtype=bool)
    graph: Graph = [{} for _ in range(count)]
    for a, b in np.argwhere(linked & (weight > 0)).tolist():
        graph[a][b] = float(weight[a, b])
    return graph


def _louvain(graph: Graph) -> list[int]:
    """Move nodes to where modularity grows, then treat each group as one node, until nothing moves."""
    place = list(range(len(graph)))
    loops = [0.0] * len(graph)
    for _ in range(MAX_ROUNDS):
        groups, moved = _move_nodes(graph, loops)
        if not moved:
            break
        names = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        groups = [names[group] for group in groups]
        place = [groups[node] for node in place]
        graph, loops = _folded(graph, loops, groups, len(names))
    return place


def _move_nodes(graph: Graph, loops: list[float]) -> tuple[list[int], bool]:
    degree = [sum(links.values()) + 2 * loop for links, loop in zip(graph, loops, strict=True)]
    total = sum(degree) or 1.0
    groups, weight = list(range(len(graph))), degree.copy()
    any_moved = False
    for _ in range(MAX_ROUNDS):
        moved = False
        for node, links in enumerate(graph):
            home = groups[node]
            weight[home] -= degree[node]
            best = _best_group(node, links, groups, weight, RESOLUTION * degree[node] / total)
            weight[best] += degree[node]
            if best != home:
                groups[node], moved, any_moved = best, True, True
        if not moved:
            break
    return groups, any_moved


def _best_group(node: int, links: dict[int, float], groups: list[int], weight: list[float], pull: float) -> int:
    into: dict[int, float] = {groups[node]: 0.0}
    for other, link in links.items():
        into[groups[other]] = into.get(groups[other], 0.0) + link
    best, gain = groups[node], into[groups[node]] - pull * weight[groups[node]]
    for group, link in into.items():
        if link - pull * weight[group] > gain + 1e-12:
            best, gain = group, link - pull * weight[group]
    return best


def _folded(graph: Graph, loops: list[float], groups: list[int], count: int) -> tuple[Graph, list[float]]:
    folded: Graph = [{} for _ in range(count)]
    inner = [0.0] * count
    for node, links in enumerate(graph):
        mine = groups[node]
        inner[mine] += loops[node]
        for other, link in links.items():
            if groups[other] == mine:
                inner[mine] += link / 2
            else:
                folded[mine][groups[other]] = folded[mine].get(groups[other], 0.0) + link
    return folded, inner


def _by_size(groups: list[int]) -> Positions:
    """Renumber, the largest group first, equal ones by their first item."""
    numbers, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(numbers), np.int64)
    rank[np.lexsort((first, -counts))] = np.arange(len(numbers))
    return rank[inverse]
