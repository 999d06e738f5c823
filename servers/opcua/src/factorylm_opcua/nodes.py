"""Addresses to the library's node ids and back."""

import base64
from uuid import UUID

from factorylm_opcua.address import NodeAddress
from factorylm_opcua.library import NodeId, ua


def to_node_id(address: NodeAddress, index: int) -> NodeId:
    match address.kind:
        case "i":
            return ua.NodeId(int(address.identifier), index)
        case "s":
            return ua.NodeId(str(address.identifier), index, ua.NodeIdType.String)
        case "g":
            return ua.NodeId(UUID(str(address.identifier)), index, ua.NodeIdType.Guid)
        case "b":
            return ua.NodeId(base64.b64decode(str(address.identifier)), index, ua.NodeIdType.ByteString)


def to_address(node: NodeId, uri: str, number: int) -> NodeAddress:
    match node.NodeIdType:
        case ua.NodeIdType.String:
            return NodeAddress(kind="s", identifier=str(node.Identifier), uri=uri, number=number)
        case ua.NodeIdType.Guid:
            return NodeAddress(kind="g", identifier=str(node.Identifier), uri=uri, number=number)
        case ua.NodeIdType.ByteString:
            opaque = base64.b64encode(bytes(node.Identifier)).decode()
            return NodeAddress(kind="b", identifier=opaque, uri=uri, number=number)
        case _:
            return NodeAddress(kind="i", identifier=int(node.Identifier), uri=uri, number=number)
