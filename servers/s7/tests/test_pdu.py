"""The codec: a reply is believed only if everything the request fixed is in it."""

import struct

import pytest
from factorylm_s7.pdu import Refusal, read_reply, read_request, sequence_of, write_reply, write_request
from factorylm_s7.plan import Range
from factorylm_schema import BadReplyError
from hypothesis import given, settings
from hypothesis import strategies as st
from snap7.datatypes import S7Area, S7WordLen
from snap7.s7protocol import S7Protocol

DB, TIMERS = 0x84, 0x1D
ITEMS = [Range(DB, 1, 0, 3), Range(DB, 2, 10, 14), Range(TIMERS, 0, 5, 7, 2)]


def reply(items, *, sequence=7, function=4, count=None, error=0, kind=3):
    """A well-made reply with these (code, transport, length, data)."""
    body = b""
    for code, transport, length, data in items:
        body += b"\0" * (len(body) % 2) + struct.pack(">BBH", code, transport, length) + data
    head = bytes([function, len(items) if count is None else count])
    return struct.pack(">BBHHHHH", 0x32, kind, 0, sequence, len(head), len(body), error) + head + body


GOOD = [(0xFF, 4, 24, b"abc"), (0xFF, 4, 32, b"\1\2\3\4"), (0xFF, 9, 4, b"\x21\x23\0\0")]


def test_requests_are_byte_for_byte_those_of_python_snap7():
    theirs = S7Protocol()
    theirs.sequence = 6
    asked = [(DB, 1, 0, 3), (DB, 2, 10, 4)]
    assert read_request(7, ITEMS[:2]) == theirs.build_multi_read_request(asked)
    theirs.sequence = 6
    assert read_request(7, ITEMS[2:]) == theirs.build_read_request(S7Area.TM, 0, 5, S7WordLen.TIMER, 2)
    theirs.sequence = 6
    bit = theirs.build_write_request(S7Area.DB, 3, 8 * 8 + 3, S7WordLen.BIT, b"\1")
    assert write_request(7, Range(DB, 3, 8, 9), b"\1", bit=3) == bit
    theirs.sequence = 6
    whole = theirs.build_write_request(S7Area.DB, 3, 8, S7WordLen.BYTE, b"\1\2")
    assert write_request(7, Range(DB, 3, 8, 10), b"\1\2") == whole


def test_each_item_of_a_reply_answers_for_itself():
    mixed = [GOOD[0], (0x0A, 0, 0, b""), GOOD[2]]
    assert read_reply(reply(mixed), ITEMS) == [b"abc", Refusal(0x0A), b"\x21\x23\0\0"]
    assert sequence_of(reply(GOOD)) == 7


def test_an_error_item_that_declares_bytes_which_never_come_costs_no_neighbour():
    """Some servers declare 4 bytes there; python-snap7 then says 'Data item is truncated' for the whole read."""
    mixed = [(0x0A, 0, 4, b""), GOOD[1], GOOD[2]]
    assert read_reply(reply(mixed), ITEMS) == [Refusal(0x0A), b"\1\2\3\4", b"\x21\x23\0\0"]


def test_a_refused_job_refuses_every_item():
    refused = struct.pack(">BBHHHHH", 0x32, 3, 0, 7, 0, 0, 0x8104)
    assert read_reply(refused, ITEMS) == [Refusal(0x8104)] * 3
    assert write_reply(refused) == Refusal(0x8104)
    assert not Refusal(0x8104).is_of_an_item


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (reply(GOOD)[:-1], "not as long as its header says"),
        (reply(GOOD) + b"\0", "not as long as its header says"),
        (reply(GOOD, function=5), "another question"),
        (reply(GOOD, count=2), "another question"),
        (reply(GOOD, kind=1), "of kind 1"),
        (reply(GOOD[:2], count=3), "ends before its last item"),
        (reply([*GOOD, GOOD[0]], count=3), "too many"),
        (reply([(0xFF, 4, 16, b"ab"), *GOOD[1:]]), "3 bytes were asked for and 2 came"),
        (reply([(0xFF, 4, 32, b"abcd"), *GOOD[1:]]), "3 bytes were asked for and 4 came"),
        (reply([*GOOD[:2], (0xFF, 9, 4, b"\x21\x23")]), "in the middle of an item"),
        (reply([(0xFF, 8, 24, b"abc"), *GOOD[1:]]), "unknown transport size 8"),
        (reply(GOOD)[:10], "shorter than its header"),
    ],
)
def test_a_reply_that_does_not_fit_the_question_is_thrown_away(bad, says):
    with pytest.raises(BadReplyError, match=says):
        read_reply(bad, ITEMS)


def test_a_write_is_done_only_with_its_own_acknowledgement():
    def ack(body, **more):
        head = bytes([more.get("function", 5), 1])
        return struct.pack(">BBHHHHH", 0x32, 3, 0, 7, len(head), len(body), 0) + head + body

    assert write_reply(ack(b"\xff")) is None
    assert write_reply(ack(b"\x03")) == Refusal(3)
    for bad in (ack(b""), ack(b"\xff\xff"), ack(b"\xff", function=4)):
        with pytest.raises(BadReplyError):
            write_reply(bad)


def test_what_is_no_s7_has_no_sequence():
    for bad in (b"", b"\x32", b"\x33" + bytes(20)):
        with pytest.raises(BadReplyError, match="not S7"):
            sequence_of(bad)


@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(reply(GOOD)) - 1), st.integers(1, 255)))
@settings(deadline=None, max_examples=400)
def test_no_damaged_reply_gives_more_bytes_than_were_asked_for(damage):
    bad = bytearray(reply(GOOD))
    if isinstance(damage, bytes):
        bad = bytearray(damage)
    else:
        bad[damage[0]] ^= damage[1]
    answers, sentence = [], ""
    try:
        answers = read_reply(bytes(bad), ITEMS)
    except BadReplyError as refusal:
        sentence = refusal.message
    assert len(answers) == len(ITEMS) or sentence
    for answer, item in zip(answers, ITEMS, strict=False):
        assert isinstance(answer, Refusal) or len(answer) == item.size
