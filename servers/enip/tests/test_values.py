"""Bytes and values: the same number both ways, and nothing that does not fit."""

import math

import pytest
from factorylm_enip.values import (
    ATOMIC_BY_NAME,
    ATOMIC_KINDS,
    DWORD,
    STRING,
    STRUCTURE,
    Kind,
    UnfitValueError,
    bit_masks,
    bit_of,
    decode,
    encode,
)
from hypothesis import given
from hypothesis import strategies as st

INTEGERS = [a for a in ATOMIC_BY_NAME.values() if a.is_integer and a.code != DWORD]


def _kind(name: str) -> Kind:
    return next(kind for kind in ATOMIC_KINDS if kind.name == name)


@given(st.sampled_from(INTEGERS), st.integers())
def test_an_integer_comes_back_or_is_refused_with_its_range(atomic, value):
    bits = 8 * atomic.size
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if atomic.format.islower() else (0, (1 << bits) - 1)
    kind = _kind(atomic.name)
    if low <= value <= high:
        assert decode(kind, encode(kind, value)) == value
    else:
        with pytest.raises(UnfitValueError, match=f"{low} to {high}"):
            encode(kind, value)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_is_told_with_the_fewest_digits_that_are_the_same_real(value):
    kind = _kind("REAL")
    told = decode(kind, encode(kind, value))
    assert encode(kind, told) == encode(kind, value)
    assert len(repr(told)) <= len(repr(value))


def test_a_real_is_1_1_and_not_1_10000002384():
    kind = _kind("REAL")
    assert decode(kind, encode(kind, 1.1)) == 1.1


def test_an_lreal_keeps_every_bit():
    assert decode(_kind("LREAL"), encode(_kind("LREAL"), 0.1 + 0.2)) == 0.1 + 0.2


def test_a_real_that_is_no_number_is_handed_on_for_the_reading_to_judge():
    value = decode(_kind("REAL"), b"\x00\x00\xc0\x7f")
    assert isinstance(value, float)
    assert math.isnan(value)


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=82))
def test_a_text_comes_back(text):
    assert decode(STRING, encode(STRING, text)) == text


@pytest.mark.parametrize("length", [-1, 83, 2**31 - 1])
def test_a_text_that_claims_more_than_its_type_has_is_no_value(length):
    with pytest.raises(UnfitValueError, match="claims"):
        decode(STRING, length.to_bytes(4, "little", signed=True) + bytes(84))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DINT", 1.5, "whole number"),
        ("DINT", True, "takes a number"),
        ("DINT", "5", "takes a number"),
        ("DINT", 2**31, "-2147483648 to 2147483647"),
        ("REAL", 1e39, "does not fit"),
        ("REAL", math.nan, "takes a number"),
        ("REAL", math.inf, "takes a number"),
        ("REAL", 10**400, "does not fit"),
        ("BOOL", 2, "true or false"),
        ("BOOL", "true", "true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(name, value, reason):
    with pytest.raises(UnfitValueError, match=reason):
        encode(_kind(name), value)


@pytest.mark.parametrize(("value", "reason"), [(5, "takes a text"), ("€", "no character"), ("a" * 83, "holds 82")])
def test_a_text_that_does_not_fit_is_refused(value, reason):
    with pytest.raises(UnfitValueError, match=reason):
        encode(STRING, value)


def test_a_structure_is_no_value_and_takes_none():
    motor = Kind(code=STRUCTURE, size=8, handle=1, structure="Motor")
    with pytest.raises(UnfitValueError, match="structure"):
        decode(motor, bytes(8))
    with pytest.raises(UnfitValueError, match="members"):
        encode(motor, 1)


@given(st.sampled_from(INTEGERS), st.data())
def test_masks_change_one_bit_and_no_other(atomic, data):
    kind = _kind(atomic.name)
    bit = data.draw(st.integers(0, 8 * kind.size - 1))
    before = data.draw(st.integers(0, (1 << 8 * kind.size) - 1))
    on = data.draw(st.booleans())
    masks = bit_masks(kind, bit, on=on)
    or_mask, and_mask = (int.from_bytes(m, "little") for m in (masks[: kind.size], masks[kind.size :]))
    after = (before | or_mask) & and_mask
    assert after == (before | 1 << bit if on else before & ~(1 << bit))
    assert bit_of(kind, after.to_bytes(kind.size, "little"), bit) is on


@pytest.mark.parametrize(("name", "bit"), [("SINT", 8), ("DINT", 32), ("REAL", 0), ("BOOL", 0)])
def test_a_bit_that_the_type_does_not_have_is_refused(name, bit):
    with pytest.raises(UnfitValueError, match="bits"):
        bit_of(_kind(name), bytes(_kind(name).size), bit)


def test_a_length_that_does_not_match_is_no_value():
    for name in ("DINT", "REAL", "BOOL"):
        with pytest.raises(UnfitValueError, match="bytes came"):
            decode(_kind(name), bytes(3))
