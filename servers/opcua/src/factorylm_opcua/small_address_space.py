"""The part of the standard address space that the simulator needs: a tenth of it, built in a tenth of the time.

asyncua builds all 6,000 standard nodes, which takes two seconds; a simulator is started for every test.
Left out are instances and members of types that a pump has no use for (PubSub, files, roles, encodings).
"""

import asyncio
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from asyncua.server.internal_server import InternalServer
from asyncua.server.standard_address_space import standard_address_space
from asyncua.server.standard_address_space.standard_address_space_services import (
    create_standard_address_space_Services,
)

from factorylm_opcua.library import ua

_IDS = ua.ObjectIds
_TYPES = (ua.NodeClass.ObjectType, ua.NodeClass.VariableType, ua.NodeClass.ReferenceType, ua.NodeClass.DataType)

# Below these every node is kept: the server's own object, and what the alarm is made of
_WHOLE = (
    _IDS.RootFolder,
    _IDS.BaseEventType,
    _IDS.RefreshStartEventType,
    _IDS.RefreshEndEventType,
    _IDS.ConditionType,
    _IDS.AcknowledgeableConditionType,
    _IDS.AlarmConditionType,
    _IDS.DiscreteAlarmType,
    _IDS.OffNormalAlarmType,
    _IDS.TwoStateVariableType,
    _IDS.ConditionVariableType,
    _IDS.AnalogItemType,
    _IDS.BaseAnalogType,
)
_MODELLING_RULE = ua.NodeId(_IDS.ModellingRuleType)
# but not below these parts of the server object
_NONE = (
    _IDS.ServerConfiguration,
    _IDS.PublishSubscribe,
    _IDS.Dictionaries,
    _IDS.Server_ServerDiagnostics,
    _IDS.Server_Namespaces,
    _IDS.Server_ServerCapabilities_RoleSet,
    _IDS.XmlSchema_TypeSystem,
    _IDS.OPCBinarySchema_TypeSystem,
)


class SmallInternalServer(InternalServer):
    """asyncua's server core with only the nodes it needs."""

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:  # noqa: ARG002
        """Instead of all of it."""
        await asyncio.to_thread(_fill, self.node_mgt_service)


def _fill(service: Any) -> None:
    nodes, references = _standard()
    with standard_address_space.PostponeReferences(service) as postponing:  # type: ignore[no-untyped-call]
        postponing.add_nodes(nodes)
        postponing.add_references(references)


@cache
def _standard() -> tuple[list[Any], list[Any]]:
    """Nodes and references to keep; generated once per process."""
    everything = _Collector()
    create_standard_address_space_Services(everything)  # type: ignore[no-untyped-call]
    kept = _kept(everything.nodes)
    nodes = [item for item in everything.nodes if item.RequestedNewNodeId in kept]
    references = [r for r in everything.references if r.SourceNodeId in kept and r.TargetNodeId in kept]
    return nodes, references


def _kept(items: Iterable[Any]) -> set[Any]:
    """Every type by itself, and whole branches below `_WHOLE`."""
    whole = {ua.NodeId(number) for number in _WHOLE}
    none = {ua.NodeId(number) for number in _NONE}
    kept: set[Any] = set()
    for item in items:  # parents come before their children
        node, parent = item.RequestedNewNodeId, item.ParentNodeId
        if node in none or parent in none:
            none.add(node)
        elif item.NodeClass in _TYPES or item.TypeDefinition == _MODELLING_RULE:
            kept.add(node)
        elif node in whole or parent in whole:
            whole.add(node)
            kept.add(node)
    return kept


class _Collector:
    """Takes what asyncua's generated code would add to a server."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.references: list[Any] = []

    def add_nodes(self, nodes: list[Any]) -> None:
        self.nodes.extend(nodes)

    def add_references(self, references: list[Any]) -> None:
        self.references.extend(references)
