"""Between the wire and a tag."""

import math

import pytest
from factorylm_opcua.datavalue import Structure
from factorylm_opcua.values import WHOLE, UnusableValueError, one_value, to_write
from factorylm_schema import BadRequestError


@pytest.mark.parametrize(
    ("decoded", "type_id", "element", "value"),
    [
        (0.10000000149011612, 10, (), 0.1),
        (b"\x01\xff", 15, (), "0x01ff"),
        ([1, 2, 3], 6, (), "[1,2,3]"),
        ([1, 2, 3], 6, (1,), 2),
        ([[1, 2], [3, 4]], 6, (1, 0), 3),
        ("text", 12, (), "text"),
        (True, 1, (), True),
    ],
)
def test_what_arrives_becomes_one_value(decoded, type_id, element, value):
    assert one_value(decoded, type_id, element) == value


@pytest.mark.parametrize(
    ("decoded", "element", "told"),
    [
        (None, (), "no value"),
        (Structure("ns=2;i=5", bytes(12)), (), "structure of 12 bytes"),
        ([0.123456789] * 100, (), "array of 100 elements"),
        (1.0, (0,), "not an array"),
        ([1, 2], (2,), "index 2 is outside"),
        ([1, 2], (0, 0), "1 dimensions"),
    ],
)
def test_what_cannot_be_one_value_says_why_and_what_to_read(decoded, element, told):
    with pytest.raises(UnusableValueError, match=told) as raised:
        one_value(decoded, 11, element)
    assert raised.value.hint


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_fit_their_type_to_the_last_one(name):
    low, high = WHOLE[name]
    assert (to_write(name, low), to_write(name, high)) == (low, high)
    for outside in (low - 1, high + 1):
        with pytest.raises(BadRequestError, match=f"type {name}"):
            to_write(name, outside)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Int32", 1.5), ("Int32", True), ("Int32", "5"), ("Int32", math.nan), ("Double", "5"), ("Double", True),
        ("Double", math.inf), ("Float", 1e39), ("Boolean", 2), ("Boolean", "true"), ("String", 5),
        ("DateTime", "2026-11-20"), ("DateTime", 5), ("Guid", "x"), ("ByteString", "00"), ("Structure", 1),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_with_what_would(name, value):
    with pytest.raises(BadRequestError) as raised:
        to_write(name, value)
    assert raised.value.hint


def test_values_that_fit_keep_their_meaning():
    assert to_write("Boolean", 1) is True
    assert to_write("Int16", 7.0) == 7
    assert to_write("Double", 3) == 3.0
    assert to_write("DateTime", "2026-11-20T06:00:00Z").isoformat() == "2026-11-20T06:00:00+00:00"
