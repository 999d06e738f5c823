"""Decoding the answer to a Read: like the library where it is right, and never beyond the bytes."""

import math
import struct
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from factorylm_opcua.datavalue import (
    READ_RESPONSE,
    MalformedReplyError,
    Structure,
    decode_reply,
    decode_sample,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 11, 20, 6, 0, 0, 123456, tzinfo=UTC)
V = ua.VariantType

SCALARS = st.one_of(
    st.tuples(st.just(V.Boolean), st.booleans()),
    st.tuples(st.just(V.SByte), st.integers(-128, 127)),
    st.tuples(st.just(V.Byte), st.integers(0, 255)),
    st.tuples(st.just(V.Int16), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just(V.UInt16), st.integers(0, 2**16 - 1)),
    st.tuples(st.just(V.Int32), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(V.UInt32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(V.Int64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(V.UInt64), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(V.Float), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(V.Double), st.floats(allow_nan=False)),
    st.tuples(st.just(V.String), st.text(st.characters(codec="utf-8"), max_size=30)),
    st.tuples(st.just(V.ByteString), st.binary(min_size=1, max_size=30)),
)
STATUSES = st.sampled_from([0, 0x40900000, 0x80340000, 0x80000000])


def answer(*values: ua.DataValue) -> bytes:
    response = ua.ReadResponse()
    response.ResponseHeader.RequestHandle = 7
    response.Results = list(values)
    return struct_to_binary(response)


@given(st.lists(st.tuples(SCALARS, STATUSES, st.booleans(), st.booleans()), max_size=12))
def test_scalars_are_read_as_the_server_wrote_them(given):
    values = [
        ua.DataValue(
            ua.Variant(value, vtype),
            ua.StatusCode(status),
            SourceTimestamp=NOW if with_source else None,
            ServerTimestamp=NOW if with_server else None,
        )
        for (vtype, value), status, with_source, with_server in given
    ]
    reply = decode_reply(answer(*values))
    assert (reply.service, reply.handle, reply.result) == (READ_RESPONSE, 7, 0)
    found = [(s.type_id, s.value, s.status, s.source_time) for s in reply.samples]
    assert found == [
        (vtype.value, value, status, NOW if with_source else None) for (vtype, value), status, with_source, _ in given
    ]


def test_every_other_type_is_read():
    guid = uuid4()
    variants = [
        (ua.Variant(NOW), "2026-11-20T06:00:00.123456Z"),
        (ua.Variant(guid), str(guid)),
        (ua.Variant(ua.NodeId("x", 3)), "ns=3;s=x"),
        (ua.Variant(ua.NodeId(5, 0)), "i=5"),
        (ua.Variant(ua.NodeId(70_000, 300)), "ns=300;i=70000"),
        (ua.Variant(ua.NodeId(guid, 2)), f"ns=2;g={guid}"),
        (ua.Variant(ua.NodeId(b"\x01\x02", 2, ua.NodeIdType.ByteString)), "ns=2;b=0102"),
        (ua.Variant(ua.ExpandedNodeId(5, 1, NamespaceUri="urn:x")), "nsu=urn:x;i=5"),
        (ua.Variant(ua.StatusCode(0x80340000)), "0x80340000"),
        (ua.Variant(ua.QualifiedName("q", 2)), "q"),
        (ua.Variant(ua.LocalizedText("Text", "en")), "Text"),
        (ua.Variant([1, 2, 3], V.Int32), [1, 2, 3]),
        (ua.Variant(["a", "b"]), ["a", "b"]),
        (ua.Variant([[1, 2], [3, 4]], V.Int16), [[1, 2], [3, 4]]),
        (ua.Variant(ua.EUInformation(UnitId=3)), Structure("i=889", b"\xff\xff\xff\xff\3" + bytes(5))),
        (ua.Variant(None), None),
        (ua.Variant(ua.DataValue(ua.Variant(5, V.Byte)), V.DataValue), 5),
    ]
    reply = decode_reply(answer(*(ua.DataValue(variant) for variant, _ in variants)))
    assert [sample.value for sample in reply.samples] == [value for _, value in variants]


def test_a_number_that_is_none_stays_one_that_is_none():
    [sample] = decode_reply(answer(ua.DataValue(ua.Variant(math.nan, V.Double)))).samples
    assert isinstance(sample.value, float)
    assert math.isnan(sample.value)


def test_a_service_fault_is_told_from_an_answer():
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadTooManyOperations)
    reply = decode_reply(struct_to_binary(fault))
    assert (reply.service, reply.result) == (
        ua.ObjectIds.ServiceFault_Encoding_DefaultBinary,
        ua.StatusCodes.BadTooManyOperations,
    )


def test_no_beginning_of_an_answer_is_an_answer():
    whole = answer(*(ua.DataValue(ua.Variant([1.5, 2.5], V.Double), SourceTimestamp=NOW) for _ in range(3)))
    for size in range(len(whole)):
        with pytest.raises(MalformedReplyError):
            decode_reply(whole[:size])


def test_bytes_after_the_answer_make_it_none():
    with pytest.raises(MalformedReplyError, match="1 bytes too many"):
        decode_reply(answer() + b"\x00")


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 120), st.binary(min_size=1, max_size=4))
def test_damaged_bytes_give_an_answer_or_an_error_and_never_more(noise, at, patch):
    whole = answer(*(ua.DataValue(ua.Variant(float(k), V.Double), SourceTimestamp=NOW) for k in range(4)))
    for data in (noise, whole[:at] + patch + whole[at + len(patch) :]):
        try:
            reply = decode_reply(data)
        except MalformedReplyError:
            continue
        assert len(reply.samples) <= len(data)


def test_an_array_with_fewer_elements_than_its_dimensions_is_refused():
    # asyncua fills the missing elements with empty lists
    flat = struct.pack("<BBi2d", 1, 0x80 | 0x40 | V.Double.value, 2, 1.0, 2.0)
    dimensions = struct.pack("<iii", 2, 2, 2)
    with pytest.raises(MalformedReplyError, match="2 elements"):
        decode_sample(flat + dimensions)


def test_announced_counts_beyond_the_bytes_allocate_nothing():
    with pytest.raises(MalformedReplyError):
        decode_sample(struct.pack("<BBi", 1, 0x80 | V.Double.value, 2**31 - 1))
