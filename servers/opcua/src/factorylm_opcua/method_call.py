"""A tag that is written by calling a method: only the one the plant file names, with the one value approved."""

from typing import Any

from factorylm_schema import BadRequestError, DeviceRefusedError, Tag, Value, WriteRefusedError

from factorylm_opcua.address import parse
from factorylm_opcua.dialect import WriteMethod
from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.session import Session
from factorylm_opcua.status import quality_of, words
from factorylm_opcua.values import NAMES, to_write

_PROPERTIES = ua.NodeId(ua.ObjectIds.HasProperty)


def method_of(tag: Tag) -> WriteMethod | None:
    """The method that writes `tag`, where the plant file names one."""
    given = tag.options.get("write_method")
    return WriteMethod.model_validate(given) if given else None


async def call_request(session: Session, method: WriteMethod, value: Value) -> Any:
    """The request, typed as the method declares; raises WriteRefusedError before anything is sent."""
    target, parent = _node(session, method.method), _node(session, method.object)
    declared = await _inputs(session, target)
    wanted = 1 if method.sends_value else 0
    if len(declared) != wanted:
        raise WriteRefusedError(
            f"the method takes {len(declared)} inputs, the plant file gives it {wanted}",
            hint="Only methods with one input, or none (sends_value = false), can write a tag",
        )
    call = ua.CallMethodRequest(ObjectId=parent, MethodId=target)
    call.InputArguments = [_typed(declared[0], value)] if wanted else []
    request = ua.CallRequest()
    request.Parameters.MethodsToCall = [call]
    return request


def judge_call(tag: Tag, result: Any) -> None:
    """Raise DeviceRefusedError when the method, or its input, was not accepted."""
    bad = [code for code in result.InputArgumentResults or [] if not code.is_good()]
    status = result.StatusCode if not result.StatusCode.is_good() else (bad[0] if bad else result.StatusCode)
    if not status.is_good():
        said, hint = words(status.value)
        quality = quality_of(status.value)
        raise DeviceRefusedError(
            f"the method behind {tag.id} refused: {said}", hint=hint, quality=quality if quality.is_bad else None
        )


def _node(session: Session, address: str) -> NodeId:
    try:
        return session.node_id(session.canonical(parse(address)))
    except ValueError as error:
        raise WriteRefusedError(str(error), hint="Correct write_method in the plant file") from error


async def _inputs(session: Session, method: NodeId) -> list[Any]:
    """The method's declared inputs (OPC 10000-3, 8.6), asked once per connection."""
    key = ("inputs", method.to_string())
    if key not in session.remembered:
        session.remembered[key] = await _asked(session, method)
    found: list[Any] = session.remembered[key]
    return found


async def _asked(session: Session, method: NodeId) -> list[Any]:
    path = ua.BrowsePath(StartingNode=method)
    element = ua.RelativePathElement(
        ReferenceTypeId=_PROPERTIES,
        IsInverse=False,
        IncludeSubtypes=True,
        TargetName=ua.QualifiedName("InputArguments", 0),
    )
    path.RelativePath.Elements = [element]
    request = ua.TranslateBrowsePathsToNodeIdsRequest()
    request.Parameters.BrowsePaths = [path]
    reply = await session.call(request, ua.TranslateBrowsePathsToNodeIdsResponse)
    if len(reply.Results) != 1:
        raise session.misfit(f"{len(reply.Results)} paths came back for 1 asked")
    status, targets = reply.Results[0].StatusCode.value, reply.Results[0].Targets
    if status == ua.StatusCodes.BadNoMatch:
        return []  # a method without inputs has no such property
    if status >> 31 or not targets:
        said, hint = words(status)
        raise WriteRefusedError(f"the method cannot be looked at: {said}", hint=hint)
    item = ua.ReadValueId(NodeId=targets[0].TargetId, AttributeId=ua.AttributeIds.Value)
    answer = await session.call(ua.ReadRequest(Parameters=ua.ReadParameters(NodesToRead=[item])), ua.ReadResponse)
    value = answer.Results[0].Value.Value if len(answer.Results) == 1 else None
    if not isinstance(value, list) or not all(hasattr(part, "ValueRank") for part in value):
        raise WriteRefusedError("the server does not describe the method's inputs", hint="Write it at the server")
    return value


def _typed(argument: Any, value: Value) -> Any:
    data_type = argument.DataType
    type_name = NAMES.get(data_type.Identifier, "") if data_type.NamespaceIndex == 0 else ""
    if argument.ValueRank >= 0:
        raise WriteRefusedError("the method takes an array", hint="Only single values are written")
    try:
        return ua.Variant(to_write(type_name or str(data_type.to_string()), value), getattr(ua.VariantType, type_name))
    except BadRequestError as error:
        raise WriteRefusedError(error.message, hint=error.hint) from error
