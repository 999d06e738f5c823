"""Frames as the specifications print them, cut anywhere, and damaged anywhere."""

import pytest
from factorylm_modbus import pdu
from factorylm_modbus.address import Table
from factorylm_modbus.framing import Frame, Mbap, Rtu, checksum
from factorylm_schema import BadReplyError
from hypothesis import given, settings
from hypothesis import strategies as st

READ_TEN = pdu.read(1, Table.HOLDING_REGISTER, 0, 10)


def test_an_rtu_question_is_the_one_every_manual_prints():
    assert Rtu().wrap(READ_TEN) == (0, bytes.fromhex("01 03 00 00 00 0a c5 cd"))


def test_a_tcp_question_has_the_mbap_header():
    framing = Mbap()
    assert framing.wrap(READ_TEN) == (1, bytes.fromhex("0001 0000 0006 01 03 0000 000a"))
    assert framing.wrap(READ_TEN)[0] == 2


@pytest.mark.parametrize(
    ("request_", "wire"),
    [
        (pdu.read(1, Table.COIL, 19, 19), "01 0013 0013"),
        (pdu.read(1, Table.DISCRETE_INPUT, 196, 22), "02 00c4 0016"),
        (pdu.read(1, Table.INPUT_REGISTER, 8, 1), "04 0008 0001"),
        (pdu.write_coil(1, 172, on=True), "05 00ac ff00"),
        (pdu.write_register(1, 1, b"\x00\x03"), "06 0001 0003"),
        (pdu.write_coils(1, 19, [c == "1" for c in "1011001110"]), "0f 0013 000a 02 cd01"),
        (pdu.write_registers(1, 1, bytes.fromhex("000a0102")), "10 0001 0002 04 000a 0102"),
        (pdu.mask_write(1, 4, 0xF2, 0x25), "16 0004 00f2 0025"),
        (pdu.identification(1, 1), "2b 0e 01 00"),
    ],
)
def test_each_question_is_the_specifications_example(request_: pdu.Request, wire: str):
    """Modbus Application Protocol V1.1b3, section 6."""
    assert request_.pdu == bytes.fromhex(wire)


def test_writes_keep_the_specifications_limits():
    assert pdu.write_registers(1, 0, bytes(246)).length == 5
    assert pdu.write_coils(1, 0, [True] * 1968).length == 5
    with pytest.raises(ValueError, match="1 to 123"):
        pdu.write_registers(1, 0, bytes(248))
    with pytest.raises(ValueError, match="whole registers"):
        pdu.write_registers(1, 0, bytes(3))
    with pytest.raises(ValueError, match="1 to 1968"):
        pdu.write_coils(1, 0, [True] * 1969)


_ANSWERS = [
    "03 04 00 0a 01 02",
    "83 02",
    "06 0001 0003",
    "16 0004 00f2 0025",
    "2b 0e 01 01 00 00 02 00 01 41 02 02 42 43",
]


@given(answer=st.sampled_from(_ANSWERS), data=st.data(), tcp=st.booleans())
@settings(max_examples=100, deadline=None)
def test_an_answer_is_whole_however_it_is_cut(answer: str, data: st.DataObject, tcp: bool):
    body = bytes.fromhex(answer)
    framing = Mbap() if tcp else Rtu()
    head = bytes.fromhex("0007 0000") + (len(body) + 1).to_bytes(2, "big")
    frame = head + b"\x01" + body if tcp else b"\x01" + body + checksum(b"\x01" + body)
    cut = data.draw(st.integers(0, len(frame) - 1))
    buffer = bytearray(frame[:cut])
    assert framing.unwrap(buffer) is None
    buffer += frame[cut:] + b"\x01\x03"
    assert framing.unwrap(buffer) == Frame(7 if tcp else 0, 1, body)
    assert buffer == b"\x01\x03"


@given(answer=st.sampled_from(_ANSWERS), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_rtu_answer_is_never_taken_for_a_whole_one(answer: str, data: st.DataObject):
    body = b"\x01" + bytes.fromhex(answer)
    frame = bytearray(body + checksum(body))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    try:
        found = Rtu().unwrap(frame)
    except BadReplyError:
        return
    assert found is None


@pytest.mark.parametrize("wire", ["0001 0001 0003 01 83 02", "0001 0000 0001 01", "0001 0000 00ff 01 03"])
def test_what_is_no_mbap_header_is_refused(wire: str):
    with pytest.raises(BadReplyError, match="not a Modbus TCP header"):
        Mbap().unwrap(bytearray(bytes.fromhex(wire) + b"\0"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("03 12 00 01", "20 bytes of data expected, 2 came"),
        ("03 14" + "00" * 19, "20 bytes of data expected, 19 came"),
        ("03 14" + "00" * 21, "20 bytes of data expected, 21 came"),
        ("03 12" + "00" * 20, "(the answer says 18)"),
        ("04 14" + "00" * 20, "asked function 3, answered function 4"),
        ("84 02", "asked function 3, answered function 4"),
        ("83", "came"),
        ("83 02 00", "came"),
        ("", "it is empty"),
    ],
)
def test_an_answer_that_does_not_fit_its_question_is_refused_with_what_came(answer: str, why: str):
    with pytest.raises(BadReplyError) as refused:
        pdu.answer_of(READ_TEN, bytes.fromhex(answer))
    assert why in refused.value.message


@pytest.mark.parametrize("answer", ["06 0001 0004", "06 0002 0003", "06 0001 0003 00", "10 0001 0003"])
def test_a_write_is_confirmed_only_by_its_own_echo(answer: str):
    with pytest.raises(BadReplyError):
        pdu.answer_of(pdu.write_register(1, 1, b"\x00\x03"), bytes.fromhex(answer))


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        (1, "BadServiceUnsupported"),
        (2, "BadNodeIdUnknown"),
        (3, "BadOutOfRange"),
        (4, "BadDeviceFailure"),
        (5, "BadInvalidState"),
        (6, "BadResourceUnavailable"),
        (8, "BadDeviceFailure"),
        (10, "BadNoCommunication"),
        (11, "BadNoCommunication"),
        (99, "BadDeviceFailure"),
    ],
)
def test_every_exception_code_has_a_status_and_something_to_try(code: int, quality: str):
    refused = pdu.answer_of(READ_TEN, bytes((0x83, code)))
    assert isinstance(refused, pdu.ModbusRefusedError)
    assert refused.quality == quality
    assert f"exception {code}" in refused.message
    assert refused.hint
