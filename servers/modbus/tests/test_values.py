import math
import struct

import pytest
from factorylm_modbus.address import ByteOrder, parse
from factorylm_modbus.values import decode, decodings, encode, masks, reordered
from hypothesis import given, settings
from hypothesis import strategies as st

REAL = parse("40001:REAL")


@pytest.mark.parametrize(
    ("order", "wire"),
    [("ABCD", "47f12000"), ("CDAB", "200047f1"), ("BADC", "f1470020"), ("DCBA", "0020f147")],
)
def test_the_four_orders_of_123456_are_those_the_field_uses(order: str, wire: str):
    assert decode(bytes.fromhex(wire), REAL, ByteOrder(order)) == 123456.0
    assert encode(123456.0, REAL, ByteOrder(order)).hex() == wire


@pytest.mark.parametrize(
    ("order", "wire"),
    [
        ("ABCD", "0102030405060708"),
        ("CDAB", "0708050603040102"),
        ("BADC", "0201040306050807"),
        ("DCBA", "0807060504030201"),
    ],
)
def test_64_bit_values_follow_the_same_orders(order: str, wire: str):
    assert decode(bytes.fromhex(wire), parse("40001:ULINT"), ByteOrder(order)) == 0x0102030405060708


def test_all_four_decodings_stand_side_by_side_with_what_is_no_number():
    shown = decodings(bytes.fromhex("47f12000"), REAL)
    assert shown[ByteOrder.ABCD] == 123456.0
    assert [order.value for order in shown] == ["ABCD", "BADC", "CDAB", "DCBA"]
    assert decodings(bytes.fromhex("7fc00000"), REAL)[ByteOrder.ABCD] == "not a number"
    assert "is not BCD" in str(decodings(bytes.fromhex("12af0000"), parse("40001:LBCD"))[ByteOrder.ABCD])


@pytest.mark.parametrize(
    ("address", "wire", "value"),
    [
        ("40001:INT", "ffff", -1),
        ("40001:UINT", "ffff", 65535),
        ("40001:DINT", "fffffffe", -2),
        ("40001:LINT", "ffffffffffffffff", -1),
        ("40001:LREAL", "3ff8000000000000", 1.5),
        ("40001:BCD", "1234", 1234),
        ("40001:LBCD", "12345678", 12345678),
        ("40001:STRING[5]", "50756d7031ff", "Pump1"),
        ("40001:STRING[6]", "50756d700000", "Pump"),
        ("40001:STRING[6]", "5075c3bc6d20", "Puüm"),
        ("40001:STRING[2]", "b0ff", "°ÿ"),
        ("40001.0", "0001", True),
        ("40001.15", "7fff", False),
        ("40001.4..7", "00a5", 10),
    ],
)
def test_each_type_reads_what_the_device_wrote(address: str, wire: str, value: object):
    read = decode(bytes.fromhex(wire), parse(address))
    assert (read, type(read)) == (value, type(value))


def test_a_real_of_one_point_one_reads_as_one_point_one():
    assert decode(struct.pack(">f", 1.1), REAL) == 1.1
    assert math.isnan(decode(bytes.fromhex("7fc00000"), REAL))


_WHOLE = {"INT": (-(2**15), 2**15 - 1), "UDINT": (0, 2**32 - 1), "LINT": (-(2**63), 2**63 - 1), "LBCD": (0, 99999999)}


@given(data=st.data(), kind=st.sampled_from(sorted(_WHOLE)), order=st.sampled_from(ByteOrder))
@settings(max_examples=200, deadline=None)
def test_what_is_written_reads_back(data: st.DataObject, kind: str, order: ByteOrder):
    address = parse(f"40001:{kind}")
    value = data.draw(st.integers(*_WHOLE[kind]))
    assert decode(encode(value, address, order), address, order) == value


@given(st.binary(min_size=2, max_size=8).filter(lambda data: len(data) % 2 == 0), st.sampled_from(ByteOrder))
@settings(max_examples=100, deadline=None)
def test_every_order_is_its_own_inverse(data: bytes, order: ByteOrder):
    assert reordered(reordered(data, order), order) == data


@pytest.mark.parametrize(
    ("address", "value", "why"),
    [
        ("40001:UINT", 65536, "holds 0 to 65535"),
        ("40001:UINT", -1, "holds 0 to 65535"),
        ("40001:INT", 1.5, "whole number"),
        ("40001:INT", True, "takes a number"),
        ("40001:INT", "7", "takes a number"),
        ("40001:INT", math.nan, "whole number"),
        ("40001:BCD", 10000, "holds 0 to 9999"),
        ("40001:REAL", 1e39, "cannot hold"),
        ("40001:REAL", math.inf, "finite"),
        ("40001:LREAL", math.nan, "finite"),
        ("40001:STRING[3]", "Pump", "the field holds 3"),
        ("40001:STRING[3]", 7, "takes a text"),
    ],
)
def test_a_value_the_type_cannot_hold_is_refused(address: str, value: object, why: str):
    with pytest.raises(ValueError, match=why):
        encode(value, parse(address))  # type: ignore[arg-type]


@given(old=st.integers(0, 0xFFFF), low=st.integers(0, 15), width=st.integers(1, 16), data=st.data())
@settings(max_examples=200, deadline=None)
def test_masks_change_only_their_own_bits(old: int, low: int, width: int, data: st.DataObject):
    high = min(15, low + width - 1)
    value = data.draw(st.integers(0, (1 << (high - low + 1)) - 1))
    field = ((1 << (high - low + 1)) - 1) << low
    and_mask, or_mask = masks(value, parse(f"40001.{low}..{high}:UINT"))
    new = (old & and_mask) | (or_mask & ~and_mask & 0xFFFF)
    assert new & field == value << low
    assert new & ~field == old & ~field


def test_a_bit_takes_only_true_or_false():
    assert masks(value=True, address=parse("40001.3")) == (0xFFF7, 0x0008)
    with pytest.raises(ValueError, match="true or false"):
        masks(1, parse("40001.3"))
    with pytest.raises(ValueError, match="holds 0 to 15"):
        masks(16, parse("40001.4..7"))
