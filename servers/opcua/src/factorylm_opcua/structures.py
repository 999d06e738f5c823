"""What a structured value says: its members by the definition that the server gives of their type.

A definition (OPC 10000-3, 8.48) is read once a connection, from the type that the node declares, and believed only
where it names the very encoding of the value. What it does not describe to the last byte stays a structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factorylm_schema import DeviceError

from factorylm_opcua.datavalue import Decoded, Reader, Sample, Structure
from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.session import Session, read_parameters

_DEFINITION = f"i={ua.ObjectIds.StructureDefinition_Encoding_DefaultBinary}"
_ENUMERATION = f"i={ua.ObjectIds.EnumDefinition_Encoding_DefaultBinary}"
_BUILT_IN = {f"i={number}": number for number in range(1, 26)}
# Types that are another's by name only, and have no definition (OPC 10000-3, 8)
_BUILT_IN |= {"i=290": 11, "i=294": 13, "i=295": 12}  # Duration, UtcTime, LocaleId
_ENUMERATION_IS = 6  # Int32 on the wire
_PLAIN_STRUCTURE, _SCALAR, _ONE_DIMENSION = 0, -1, 1
_DEEPEST = 3


@dataclass(frozen=True)
class Member:
    """One field: of a built-in type, or a structure of its own."""

    name: str
    type_id: int
    members: "tuple[Member, ...]"
    is_array: bool


async def spelled_out(session: Session, nodes: Sequence[NodeId], samples: list[Sample]) -> list[Sample]:
    """The samples, structures in them as their members where the server defines these."""
    found = []
    for node, sample in zip(nodes, samples, strict=True):
        first = sample.value[0] if isinstance(sample.value, list) and sample.value else sample.value
        if isinstance(first, Structure):
            members = await _members_of(session, node, first.type_id)
            sample = sample._replace(value=_told(sample.value, first.type_id, members)) if members else sample
        found.append(sample)
    return found


def _told(value: Decoded, type_id: str, members: tuple[Member, ...]) -> Decoded:
    if isinstance(value, list):
        return [_told(each, type_id, members) for each in value]
    if not isinstance(value, Structure) or value.type_id != type_id:
        return value
    reader = Reader(value.body)
    try:
        fields = _fields(reader, members)
    except (ValueError, IndexError, LookupError):
        return value
    return fields if reader.at == len(value.body) else value


def _fields(reader: Reader, members: tuple[Member, ...]) -> dict[str, Decoded]:
    return {member.name: _field(reader, member) for member in members}


def _field(reader: Reader, member: Member) -> Decoded:
    if not member.is_array:
        return _single(reader, member)
    if not member.members:
        return reader.array(member.type_id)
    count = reader.length()
    if count > len(reader.data):
        raise ValueError("more elements announced than bytes sent")
    return [_single(reader, member) for _ in range(count)]


def _single(reader: Reader, member: Member) -> Decoded:
    return _fields(reader, member.members) if member.members else reader.scalar(member.type_id)


# -- the definition ------------------------------------------------------------------------------


async def _members_of(session: Session, node: NodeId, encoding: str) -> tuple[Member, ...]:
    """The members of the type that `node` declares, if its values are encoded as `encoding`; else none."""
    key = ("structure", encoding)
    if key not in session.remembered:
        session.remembered[key] = await _learned(session, node, encoding)
    members: tuple[Member, ...] = session.remembered[key]
    return members


async def _learned(session: Session, node: NodeId, encoding: str) -> tuple[Member, ...]:
    try:
        declared = await _attribute(session, node, ua.AttributeIds.DataType)
        return await _defined(session, declared, encoding, depth=1) if isinstance(declared, str) else ()
    except (DeviceError, ValueError, IndexError, LookupError):
        return ()  # a value whose type is not told is still a structure


async def _defined(session: Session, data_type: str, encoding: str, *, depth: int) -> tuple[Member, ...]:
    definition = await _attribute(session, ua.NodeId.from_string(data_type), ua.AttributeIds.DataTypeDefinition)
    if not isinstance(definition, Structure) or definition.type_id != _DEFINITION or depth > _DEEPEST:
        raise ValueError(f"{data_type} has no definition that is followed here")
    reader = Reader(definition.body)
    default_encoding, _base = reader.node_id(), reader.node_id()
    if encoding not in ("", default_encoding) or reader.scalar(_ENUMERATION_IS) != _PLAIN_STRUCTURE:
        raise ValueError("the value is of another type than its node declares, or has optional fields")
    fields = [_raw_field(reader) for _ in range(reader.length())]
    return tuple([await _member(session, *field, depth=depth) for field in fields])


def _raw_field(reader: Reader) -> tuple[str, str, int]:
    """Name, data type and value rank of a StructureField (OPC 10000-3, 8.51)."""
    name, _description = reader.text(), reader.localized_text()
    data_type, rank = reader.node_id(), reader.scalar(_ENUMERATION_IS)
    _sizes, _longest, optional = reader.array(7), reader.scalar(7), reader.scalar(1)
    if optional or rank not in (_SCALAR, _ONE_DIMENSION):
        raise ValueError("an optional field, or one of several dimensions")
    return name, data_type, int(str(rank))


async def _member(session: Session, name: str, data_type: str, rank: int, *, depth: int) -> Member:
    is_array = rank == _ONE_DIMENSION
    if data_type in _BUILT_IN:
        return Member(name, _BUILT_IN[data_type], (), is_array)
    if await _is_enumeration(session, data_type):
        return Member(name, _ENUMERATION_IS, (), is_array)
    return Member(name, 0, await _defined(session, data_type, "", depth=depth + 1), is_array)


async def _is_enumeration(session: Session, data_type: str) -> bool:
    definition = await _attribute(session, ua.NodeId.from_string(data_type), ua.AttributeIds.DataTypeDefinition)
    return isinstance(definition, Structure) and definition.type_id == _ENUMERATION


async def _attribute(session: Session, node: Any, attribute: Any) -> Decoded:
    [sample] = await session.read(read_parameters([node], attribute))
    if sample.status >> 30:
        raise ValueError("the server does not tell")
    return sample.value
