"""Lists what a server has, page by page: names, addresses, types, units and ranges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factorylm_schema import BadRequestError, UnknownNameError, Value
from factorylm_skill.driver import BrowsePage
from factorylm_skill.paging import page

from factorylm_opcua.address import parse
from factorylm_opcua.failures import RefusedError
from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.plan import batches
from factorylm_opcua.session import Session
from factorylm_opcua.values import NAMES

COLUMNS = ["name", "address", "kind", "type", "unit", "range", "writable"]

_IDS = ua.ObjectIds
_CHILDREN = ua.NodeId(_IDS.HierarchicalReferences)
_PROPERTIES = ua.NodeId(_IDS.HasProperty)
_MOST_LISTED = 20_000  # below one node
_MOST_SEARCHED = 5_000  # below a path
_DEEPEST = 12
_KINDS = {
    int(ua.NodeClass.Object): "object",
    int(ua.NodeClass.Variable): "variable",
    int(ua.NodeClass.Method): "method",
}
_WANTED = sum(_KINDS)


@dataclass(frozen=True)
class Entry:
    """One child: its name, with the path to it where it was searched for."""

    name: str
    node: NodeId
    kind: str


async def browse_page(session: Session, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
    """At most `limit` entries below `path` whose name contains `search`."""
    key = ("listing", path, search)
    entries = session.remembered.get(key)
    if entries is None or not cursor:
        start = await _start(session, path)
        entries = await (_searched(session, start, search) if search else _children(session, [start]))
        for old in [k for k in session.remembered if k[0] == "listing"]:
            del session.remembered[old]
        session.remembered[key] = entries
    shown, more = page(entries, limit, cursor, f"{path}\n{search}")
    return BrowsePage(columns=COLUMNS, rows=await _rows(session, shown), cursor=more)


# -- where to begin -------------------------------------------------------------------------------


async def _start(session: Session, path: str) -> NodeId:
    """An address as an earlier page gave it, or names from the Objects folder on: `Plant/Pump1`."""
    if not path.strip("/"):
        return ua.NodeId(_IDS.ObjectsFolder)
    try:
        address = parse(path)
    except ValueError:
        return await _named(session, [part for part in path.split("/") if part])
    try:
        return session.node_id(session.canonical(address))
    except ValueError as error:
        raise BadRequestError(str(error), hint="Browse without path to begin at the top") from error


async def _named(session: Session, names: Sequence[str]) -> NodeId:
    node = ua.NodeId(_IDS.ObjectsFolder)
    for name in names:
        children = await _children(session, [node])
        found = [child.node for child in children if child.name == name]
        found = found or [child.node for child in children if child.name.lower() == name.lower()]
        if not found:
            raise UnknownNameError("node", name, [child.name for child in children])
        node = found[0]
    return node


async def _searched(session: Session, start: NodeId, search: str) -> list[Entry]:
    """Breadth first, each node once; where it stops at the bound, the last row says so."""
    word = search.lower()
    found: list[Entry] = []
    seen = {start}
    level = [Entry("", start, "object")]
    for depth in range(_DEEPEST):
        below: list[Entry] = []
        for part in batches(level, session.limits.browse):
            below += await _below(session, part, seen, must=depth == 0)
            if len(seen) > _MOST_SEARCHED:
                break
        found += [entry for entry in below if word in entry.name.rpartition("/")[2].lower()]
        if len(seen) > _MOST_SEARCHED:
            return _stopped(found, start, search, len(seen))
        level = below
        if not level:
            break
    return found


async def _below(session: Session, part: Sequence[Entry], seen: set[NodeId], *, must: bool) -> list[Entry]:
    """The children of these nodes that were not seen yet, named with the way to them."""
    below: list[Entry] = []
    lists = await _listed(session, [entry.node for entry in part], _CHILDREN, must=must)
    for parent, children in zip(part, lists, strict=True):
        for child in children:
            if child.node not in seen and not _is_server(child.node):
                seen.add(child.node)
                name = f"{parent.name}/{child.name}" if parent.name else child.name
                below.append(Entry(name, child.node, child.kind))
    return below


def _stopped(found: list[Entry], start: NodeId, search: str, seen: int) -> list[Entry]:
    hint = "Give a path nearer to it"
    if not found:
        raise BadRequestError(f"looked at {seen} nodes without finding {search!r}", hint=hint)
    return [*found, Entry(f"(stopped after {seen} nodes, there may be more. {hint})", start, "note")]


def _is_server(node: NodeId) -> bool:
    """The server's own object has hundreds of nodes that nobody looks for by name."""
    return bool(node == ua.NodeId(_IDS.Server))


# -- references -----------------------------------------------------------------------------------


async def _children(session: Session, nodes: Sequence[NodeId]) -> list[Entry]:
    [children] = await _listed(session, nodes, _CHILDREN, must=True)
    unique = {child.node: child for child in children}
    return list(unique.values())


async def _listed(session: Session, nodes: Sequence[NodeId], kind: NodeId, *, must: bool = False) -> list[list[Entry]]:
    """The children of each node, all pages of them; none of a node that may not be looked into, unless it `must`."""
    descriptions = [
        ua.BrowseDescription(
            NodeId=node,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=kind,
            IncludeSubtypes=True,
            NodeClassMask=_WANTED,
            ResultMask=ua.BrowseResultMask.All,
        )
        for node in nodes
    ]
    request = ua.BrowseRequest(
        Parameters=ua.BrowseParameters(RequestedMaxReferencesPerNode=_MOST_LISTED, NodesToBrowse=descriptions)
    )
    reply = await session.call(request, ua.BrowseResponse)
    if len(reply.Results) != len(nodes):
        raise session.misfit(f"{len(reply.Results)} lists came back for {len(nodes)} asked")
    bad = [result.StatusCode.value for result in reply.Results if result.StatusCode.value >> 31]
    if must and bad:
        raise RefusedError(bad[0], "Browse")
    return [await _all_pages(session, result) for result in reply.Results]


async def _all_pages(session: Session, result: Any) -> list[Entry]:
    entries = [_entry(reference) for reference in result.References or []]
    while result.ContinuationPoint and len(entries) < _MOST_LISTED:
        reply = await _continued(session, result.ContinuationPoint, release=False)
        if len(reply.Parameters.Results) != 1:
            raise session.misfit("a list did not continue")
        result = reply.Parameters.Results[0]
        entries += [_entry(reference) for reference in result.References or []]
    if result.ContinuationPoint:
        await _continued(session, result.ContinuationPoint, release=True)
        entries.append(Entry(f"(only the first {len(entries)} are listed)", ua.NodeId(_IDS.ObjectsFolder), "note"))
    return entries


async def _continued(session: Session, point: bytes, *, release: bool) -> Any:
    request = ua.BrowseNextRequest()
    # said either way: the library's default would end the list
    request.Parameters.ReleaseContinuationPoints = release
    request.Parameters.ContinuationPoints = [point]
    return await session.call(request, ua.BrowseNextResponse)


def _entry(reference: Any) -> Entry:
    name = reference.BrowseName.Name or reference.DisplayName.Text or ""
    return Entry(name, _plain(reference.NodeId), _KINDS.get(int(reference.NodeClass), "other"))


def _plain(node: NodeId) -> NodeId:
    """A NodeId that may stand in a request, from the expanded one of an answer."""
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


# -- the rows -------------------------------------------------------------------------------------


async def _rows(session: Session, entries: Sequence[Entry]) -> list[list[Value | None]]:
    variables = [entry.node for entry in entries if entry.kind == "variable"]
    about = dict(zip(variables, await _about(session, variables), strict=True)) if variables else {}
    rows = []
    for entry in entries:
        of_variable = about.get(entry.node, [None, None, None, None])
        rows.append([entry.name, session.address(entry.node).text, entry.kind, *of_variable])
    return rows


async def _about(session: Session, nodes: Sequence[NodeId]) -> list[list[Value | None]]:
    """Type, unit, range and whether it may be written, for each variable."""
    rows: list[list[Value | None]] = []
    for part in batches(nodes, max(1, min(session.limits.browse, session.limits.read // 4))):
        properties = await _listed(session, part, _PROPERTIES)
        wanted = [{entry.name: entry.node for entry in entries} for entries in properties]
        asked = [
            (node, attribute)
            for node, own in zip(part, wanted, strict=True)
            for node, attribute in _questions(node, own)
        ]
        items = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node, attribute in asked]
        request = ua.ReadRequest(Parameters=ua.ReadParameters(NodesToRead=items))
        reply = await session.call(request, ua.ReadResponse)
        if len(reply.Results) != len(items):
            raise session.misfit(f"{len(reply.Results)} values came back for {len(items)} asked")
        answers = iter(reply.Results)
        rows += [_described(own, [_good(next(answers)) for _ in range(2 + len(_extras(own)))]) for own in wanted]
    return rows


def _questions(node: NodeId, own: dict[str, NodeId]) -> list[tuple[NodeId, Any]]:
    value = ua.AttributeIds.Value
    extras = [(own[name], value) for name in _extras(own)]
    return [(node, ua.AttributeIds.DataType), (node, ua.AttributeIds.UserAccessLevel), *extras]


def _extras(own: dict[str, NodeId]) -> list[str]:
    return [name for name in ("EngineeringUnits", "EURange") if name in own]


def _described(own: dict[str, NodeId], answers: list[Any]) -> list[Value | None]:
    data_type, access, *extras = answers
    named = dict(zip(_extras(own), extras, strict=True))
    writable = bool(access & 0x02) if isinstance(access, int) else None
    return [_type_name(data_type), _unit(named.get("EngineeringUnits")), _range(named.get("EURange")), writable]


def _good(answer: Any) -> Any:
    good = answer.StatusCode is None or answer.StatusCode.is_good()
    return answer.Value.Value if good and answer.Value is not None else None


def _type_name(data_type: Any) -> str | None:
    if data_type is None:
        return None
    number = data_type.Identifier if data_type.NamespaceIndex == 0 else None
    return (NAMES.get(number) if isinstance(number, int) else None) or str(data_type.to_string())


def _unit(unit: Any) -> str | None:
    """The unit as the server shows it; a plant file wants its UCUM code."""
    return unit.DisplayName.Text if isinstance(unit, ua.EUInformation) else None


def _range(given: Any) -> str | None:
    return f"{given.Low:g} to {given.High:g}" if isinstance(given, ua.Range) else None
