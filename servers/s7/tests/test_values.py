"""Bytes of every type, as the controller keeps them."""

import math
import struct

import pytest
from factorylm_s7.values import TYPES, decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from snap7 import util

BYTES = [
    ("BOOL", "01", True), ("BYTE", "ff", 255), ("SINT", "80", -128), ("USINT", "80", 128),
    ("INT", "8000", -32768), ("UINT", "8000", 32768), ("WORD", "abcd", 0xABCD), ("DINT", "ffffffff", -1),
    ("UDINT", "ffffffff", 2**32 - 1), ("DWORD", "00000001", 1), ("LINT", "8000000000000000", -(2**63)),
    ("ULINT", "ffffffffffffffff", 2**64 - 1), ("LWORD", "0000000000000002", 2), ("REAL", "3dcccccd", 0.1),
    ("REAL", "47f12000", 123456.0), ("LREAL", "3fb999999999999a", 0.1), ("TIME", "fffffc18", -1000),
    ("LTIME", "000000003b9aca00", 1_000_000_000), ("CHAR", "41", "A"), ("WCHAR", "20ac", "€"),
    ("DATE", "0000", "1990-01-01"), ("DATE", "34a0", "2026-11-20"), ("TOD", "02f35190", "13:45:00.560"),
    ("LTOD", "00002d053f4b8400", "13:45:00.560000000"), ("DT", "2611201345005606", "2026-11-20T13:45:00.560"),
    ("DT", "9001010000000002", "1990-01-01T00:00:00.000"),
    ("DTL", "07ea0b14060d2d002160ec00", "2026-11-20T13:45:00.560"),
    ("LDT", "0000000000000000", "1970-01-01T00:00:00"), ("S5TIME", "2123", 123_000), ("TIMER", "0999", 9_990),
    ("COUNTER", "0347", 347),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "value"), BYTES)
def test_bytes_read_as_the_value_the_controller_means(kind, data, value):
    assert decode(kind, bytes.fromhex(data)) == value


@pytest.mark.parametrize(("kind", "data", "value"), [each for each in BYTES if each[0] not in ("TIMER", "COUNTER")])
def test_a_value_is_written_as_the_bytes_it_reads_from(kind, data, value):
    assert encode(kind, value).hex() == data


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        ("DT", "2613201345005606", "no such date"),
        ("DT", "26112a1345005606", "BCD"),
        ("DTL", "07ea0b1f060d2d0021609400", "no such date"),
        ("DTL", "07ea0b14060d2d00ffffffff", "nanoseconds"),
        ("TOD", "0526ff00", "more than 24 hours"),
        ("S5TIME", "2a00", "BCD"),
        ("COUNTER", "00fa", "BCD"),
    ],
)
def test_bytes_that_are_not_of_the_type_are_refused_not_guessed(kind, data, says):
    with pytest.raises(ValueError, match=says):
        decode(kind, bytes.fromhex(data))


def test_texts_end_where_their_length_says():
    assert decode("STRING", b"\x14\x04pumpXXXX" + bytes(12), length=20) == "pump"
    assert decode("STRING", b"\x14\x00" + bytes(20), length=20) == ""
    assert decode("STRING", b"\x05\x05K\xfchl!", length=5) == "Kühl!"
    assert decode("WSTRING", b"\0\x05\0\x02" + "Ωm".encode("utf-16-be") + bytes(6), length=5) == "Ωm"
    assert decode("CHAR", b"AB1 \0\0", count=6) == "AB1"


def test_a_text_longer_than_its_room_is_not_a_text():
    with pytest.raises(ValueError, match=r"say 200 characters where STRING\[20\] has room for 20"):
        decode("STRING", b"\xfe\xc8" + bytes(20), length=20)
    with pytest.raises(ValueError, match="WSTRING"):
        decode("WSTRING", b"\0\x05\0\xff" + bytes(10), length=5)


def test_arrays_read_as_lists():
    assert decode("INT", bytes.fromhex("0001ffff0003"), count=3) == [1, -1, 3]
    assert decode("BOOL", b"\xc0\x01", bit=6, count=4) == [True, True, True, False]
    assert decode("BOOL", b"\x08", bit=3) is True


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("INT", 32768, "-32768 to 32767"),
        ("UINT", -1, "0 to 65535"),
        ("INT", 1.5, "whole number"),
        ("INT", "5", "whole number"),
        ("INT", True, "whole number"),
        ("BOOL", 1, "true or false"),
        ("REAL", 1e39, "does not fit a REAL"),
        ("REAL", "1", "is a number"),
        ("REAL", True, "is a number"),
        ("REAL", math.nan, "is a number"),
        ("LREAL", "1", "is a number"),
        ("LREAL", math.inf, "is a number"),
        ("CHAR", "AB", "exactly one character"),
        ("CHAR", "€", "cannot hold the character '€'"),
        ("DATE", "1989-12-31", "outside a DATE"),
        ("DATE", "20.11.2026", "text like 2026-11-20"),
        ("DT", "2026-11-20T13:45:00+01:00", "without a time zone"),
        ("DT", "1989-01-01T00:00:00", "1990 to 2089"),
        ("DTL", "1969-01-01T00:00:00", "1970"),
        ("LDT", "2300-01-01T00:00:00", "2261"),
        ("TOD", 5, "text like"),
        ("S5TIME", 10_001, "no S5TIME"),
        ("S5TIME", -10, "no S5TIME"),
        ("TIMER", 100, "set by the program"),
        ("COUNTER", 1, "set by the program"),
    ],
)
def test_a_value_the_type_cannot_hold_is_refused_with_what_it_holds(kind, value, says):
    with pytest.raises(ValueError, match=says):
        encode(kind, value)


def test_a_text_too_long_or_with_a_foreign_character_is_refused():
    with pytest.raises(ValueError, match=r"6 characters; STRING\[5\] has room for 5"):
        encode("STRING", "abcdef", length=5)
    with pytest.raises(ValueError, match="cannot hold the character 'Ω'"):
        encode("STRING", "Ω", length=5)
    with pytest.raises(ValueError, match="a STRING is a text"):
        encode("STRING", 5, length=5)
    assert encode("WSTRING", "Ω", length=5) == b"\0\x01\x03\xa9"


@given(st.floats(width=32))
@settings(deadline=None, max_examples=300)
def test_a_real_reads_as_the_shortest_decimal_that_is_the_same_real(number):
    data = struct.pack(">f", number)
    value = decode("REAL", data)
    assert math.isnan(number) if math.isnan(value) else struct.pack(">f", value) == data


SCALARS = {
    "INT": (util.get_int, st.binary(min_size=2, max_size=2)),
    "DINT": (util.get_dint, st.binary(min_size=4, max_size=4)),
    "UDINT": (util.get_udint, st.binary(min_size=4, max_size=4)),
    "SINT": (util.get_sint, st.binary(min_size=1, max_size=1)),
    "LINT": (util.get_lint, st.binary(min_size=8, max_size=8)),
    "ULINT": (util.get_ulint, st.binary(min_size=8, max_size=8)),
}


@pytest.mark.parametrize("kind", SCALARS)
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_whole_numbers_read_as_python_snap7_reads_them(kind, data):
    reader, bytes_ = SCALARS[kind]
    raw = data.draw(bytes_)
    assert decode(kind, raw) == reader(bytearray(raw), 0)


def test_dates_and_times_read_as_python_snap7_reads_them():
    """Where its decoder is right: a second opinion on the layouts."""
    for kind, reader in (("DATE", util.get_date), ("DTL", util.get_dtl), ("DT", util.get_dt)):
        for _, data, value in [each for each in BYTES if each[0] == kind]:
            told = reader(bytearray.fromhex(data), 0)
            told = told if isinstance(told, str) else told.isoformat()
            assert told.startswith(value[:19]), kind
    assert str(util.get_tod(bytearray.fromhex("02f35190"), 0)).startswith("13:45:00.56")


@pytest.mark.parametrize("kind", sorted(TYPES))
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_any_bytes_are_a_value_or_a_sentence(kind, data):
    raw = data.draw(st.binary(min_size=TYPES[kind].size, max_size=TYPES[kind].size))
    value, sentence = None, ""
    try:
        value = decode(kind, raw)
    except ValueError as refusal:
        sentence = str(refusal)
    assert value is not None or sentence
    # of these, some bytes mean what other bytes mean, too
    several = ("S5TIME", "BOOL", "DT", "DTL", "LDT", "TOD", "LTOD")
    if TYPES[kind].encode and kind not in several and value is not None and value == value:
        assert encode(kind, value) == raw
