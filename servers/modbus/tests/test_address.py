import re

import pytest
from factorylm_modbus.address import ByteOrder, DataType, Table, parse, parse_range
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("written", "canonical", "told"),
    [
        ("holding-register:108:REAL", "holding-register:108:REAL", "40108, PDU 107 = 0x6B"),
        ("40108", "holding-register:108:UINT", "40108, PDU 107 = 0x6B"),
        ("400108:real", "holding-register:108:REAL", "40108, PDU 107 = 0x6B"),
        ("465536", "holding-register:65536:UINT", "465536, PDU 65535 = 0xFFFF"),
        ("4x1", "holding-register:1:UINT", "40001, PDU 0 = 0x0"),
        ("4X00001:INT", "holding-register:1:INT", "40001, PDU 0 = 0x0"),
        ("HR108", "holding-register:108:UINT", "40108, PDU 107 = 0x6B"),
        ("hr@107", "holding-register:108:UINT", "40108, PDU 107 = 0x6B"),
        ("hr@0x6B:FLOAT32", "holding-register:108:REAL", "40108, PDU 107 = 0x6B"),
        ("30001:DINT", "input-register:1:DINT", "30001, PDU 0 = 0x0"),
        ("ir@0:WORD", "input-register:1:UINT", "30001, PDU 0 = 0x0"),
        ("00017", "coil:17", "00017, PDU 16 = 0x10"),
        ("co@16", "coil:17", "00017, PDU 16 = 0x10"),
        ("10001", "discrete-input:1", "10001, PDU 0 = 0x0"),
        ("discrete-input:5:BOOL", "discrete-input:5", "10005, PDU 4 = 0x4"),
        ("40005.3", "holding-register:5.3:BOOL", "40005, PDU 4 = 0x4"),
        ("hr@4.4..7", "holding-register:5.4..7:UINT", "40005, PDU 4 = 0x4"),
        ("40021:STRING[16]", "holding-register:21:STRING[16]", "40021, PDU 20 = 0x14"),
        ("2!400108:LREAL", "holding-register:108:LREAL{unit-id:2}", "40108, PDU 107 = 0x6B"),
        ("40001:REAL{byte-order:cdab}", "holding-register:1:REAL{byte-order:CDAB}", "40001, PDU 0 = 0x0"),
        (
            "40001:REAL{unit-id:3, byte-order:DCBA}",
            "holding-register:1:REAL{unit-id:3,byte-order:DCBA}",
            "40001, PDU 0 = 0x0",
        ),
    ],
)
def test_every_usual_form_has_one_canonical_form_and_is_told_in_both_bases(written: str, canonical: str, told: str):
    address = parse(written)
    assert address.canonical == canonical
    assert address.told == f"{canonical} ({told})"
    assert parse(canonical) == address


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "not a Modbus address"),
        ("DB1.DBD4", "write holding-register:108:REAL"),
        ("4108", "not a Modbus address"),
        ("20001", "not a Modbus address"),
        ("40000", "counted from 1"),
        ("4x0", "counted from 1"),
        ("465537", "counted from 1"),
        ("hr@65536", "counted from 0: 0 to 65535"),
        ("465536:REAL", "ends after the last address"),
        ("40001:FLAOT", "use BOOL, INT"),
        ("40001:REAL[4]", "one tag is one value"),
        ("40001:STRING", "needs its length"),
        ("40001:STRING[251]", "1 to 250"),
        ("40001:BOOL", "needs its bit"),
        ("40001.16", "0 (lowest) to 15"),
        ("40001.7..4", "0 (lowest) to 15"),
        ("40001.3:REAL", "is a BOOL"),
        ("40001.4..7:INT", "are a UINT"),
        ("00001.3", "single bit"),
        ("00001:INT", "single bit"),
        ("300!40001", "0 to 255"),
        ("40001{unit-id:x}", "not a number"),
        ("40001:REAL{byte-order:ACBD}", "ABCD, BADC, CDAB, DCBA"),
        ("40001{scale:2}", "unit-id:2,byte-order:CDAB"),
        ("00001{byte-order:CDAB}", "no byte order"),
        ("４０００１", "not a Modbus address"),
    ],
)
def test_a_wrong_address_is_refused_with_what_would_be_right(written: str, why: str):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse(written)


def test_a_type_column_fills_in_what_the_address_leaves_out_and_must_not_contradict_it():
    assert parse("40001", "REAL").type is DataType.REAL
    assert parse("40001:REAL", "FLOAT32").type is DataType.REAL
    assert parse("40001", "STRING[8]").length == 8
    with pytest.raises(ValueError, match="the address says REAL, the type column says DINT"):
        parse("40001:REAL", "DINT")


_NUMERIC = [kind for kind in DataType if kind not in (DataType.BOOL, DataType.STRING)]


@given(
    table=st.sampled_from([Table.INPUT_REGISTER, Table.HOLDING_REGISTER]),
    offset=st.integers(0, 65532),
    kind=st.sampled_from(_NUMERIC),
    unit=st.none() | st.integers(0, 255),
    order=st.none() | st.sampled_from(ByteOrder),
)
@settings(max_examples=200, deadline=None)
def test_canonical_and_zero_based_forms_parse_to_the_same_address(table, offset, kind, unit, order):
    settings_ = ([f"unit-id:{unit}"] if unit is not None else []) + ([f"byte-order:{order}"] if order else [])
    tail = f":{kind}" + ("{" + ",".join(settings_) + "}" if settings_ else "")
    letters = "ir" if table is Table.INPUT_REGISTER else "hr"
    one, zero = parse(f"{table}:{offset + 1}{tail}"), parse(f"{letters}@{offset:#x}{tail}")
    assert one == zero == parse(one.canonical)


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_either_an_address_or_a_value_error(text: str):
    try:
        address = parse(text)
    except ValueError:
        return
    assert parse(address.canonical) == address


def test_ranges_are_read_in_both_bases():
    assert parse_range("hr@200..hr@299") == (Table.HOLDING_REGISTER, 200, 299)
    assert parse_range("40201..40300") == (Table.HOLDING_REGISTER, 200, 299)
    assert parse_range("holding-register:201..300") == (Table.HOLDING_REGISTER, 200, 299)
    for wrong in ("hr@5", "hr@9..hr@5", "hr@1..co@5", "hr@1..x"):
        with pytest.raises(ValueError, match="range"):
            parse_range(wrong)
