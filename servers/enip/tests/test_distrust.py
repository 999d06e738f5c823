"""Answers that are wrong in any place: no value comes of them that the controller does not hold."""

import contextlib
import struct
from collections.abc import Callable, Iterator

import pytest
from factorylm_enip import cip
from factorylm_enip.catalog import Catalog
from factorylm_enip.cip import MalformedError, Reply, Service, parse_reply, split_multiple
from factorylm_enip.driver import EnipDriver
from factorylm_enip.line import Deadline
from factorylm_schema import BadReplyError, DeviceError, DeviceRefusedError, Tag, Value
from hypothesis import given
from hypothesis import strategies as st

SERVICE, VALUE = 46, 52  # where they stand in a connected answer


def _changed(at: int, mask: int, only: int) -> Callable[[bytes], bytes]:
    """Changes one byte of every answer to service `only`."""

    def change(frame: bytes) -> bytes:
        if len(frame) <= max(at, SERVICE) or frame[SERVICE] != only | 0x80:
            return frame
        return frame[:at] + bytes((frame[at] ^ mask,)) + frame[at + 1 :]

    return change


async def _values(driver: EnipDriver, tags: list[Tag]) -> list[Value | None]:
    try:
        return [reading.value for reading in await driver.read(tags)]
    except DeviceError:  # an error of any other kind fails the test
        return [None] * len(tags)


@pytest.mark.parametrize("at", range(VALUE))
async def test_a_changed_byte_before_the_value_never_changes_the_value(wire, drive, tag, at):
    driver = drive(wire)
    await driver.read([tag("Mode")])
    driver.device = driver.device.model_copy(update={"timeout_s": 0.2})
    wire.alter = _changed(at, 0x55, Service.READ_TAG)
    assert await _values(driver, [tag("Mode")]) in ([5], [None])
    wire.alter = bytes
    assert await _values(driver, [tag("Mode")]) == [5]


# the larger come first: behind the values of Mode and Int stand the heads of Int and Small
@pytest.mark.parametrize("at", [*range(SERVICE, 64), *range(68, 74), *range(76, 82)])
async def test_a_changed_byte_in_the_heads_of_a_batch_mixes_up_no_two_values(wire, drive, tag, at):
    driver = drive(wire, timeout_s=0.5)
    tags = [tag("Mode"), tag("Small"), tag("Int")]
    await driver.read(tags)
    wire.alter = _changed(at, 0x02, Service.MULTIPLE)
    values = await _values(driver, tags)
    assert all(value in (right, None) for value, right in zip(values, (5, -7, -300), strict=True)), values


@given(st.binary(max_size=40))
def test_any_bytes_are_a_reply_or_malformed(data):
    for read in (parse_reply, split_multiple):
        with contextlib.suppress(MalformedError):  # an error of any other kind fails the test
            read(data)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=10))
def test_a_batch_comes_apart_as_it_was_put_together(parts):
    assert split_multiple(cip.multiple(parts)) == parts


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no count"),
        (b"\x00\x00", "ends before"),
        (b"\x02\x00\x06\x00", "ends before"),
        (b"\x01\x00\x06\x00ab", "not behind"),
        (b"\x02\x00\x06\x00\x06\x00ab", "overlap"),
        (b"\x02\x00\x06\x00\x09\x00ab", "overlap"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_malformed(data, why):
    with pytest.raises(MalformedError, match=why):
        split_multiple(data)


# -- the controller's lists -----------------------------------------------------------------------


class _Session:
    """Gives prepared answers, one after another."""

    def __init__(self, *replies: Reply) -> None:
        self.deadline = Deadline(at=float("inf"))
        self._replies: Iterator[Reply] = iter(replies)

    def ask(self, *_request: object) -> Reply:
        return next(self._replies)


def _reply(data: bytes = b"", status: int = 0) -> Reply:
    return Reply(service=0xD5, status=status, extended=0, data=data)


def _entry(instance: int, name: str, word: int = 0xC4) -> bytes:
    return struct.pack("<IH", instance, len(name)) + name.encode() + struct.pack("<H3IB", word, 0, 0, 0, 0)


def test_a_tag_list_that_ends_in_the_middle_of_an_entry_is_not_believed():
    whole = _entry(1, "Speed")
    for length in range(1, len(whole)):
        with pytest.raises(BadReplyError, match="middle of an entry"):
            Catalog().scope(_Session(_reply(whole[:length])))


def test_a_tag_list_that_does_not_go_on_is_not_asked_for_for_ever():
    with pytest.raises(BadReplyError, match="does not go on"):
        Catalog().scope(_Session(_reply(_entry(5, "A"), 6), _reply(_entry(5, "A"), 6)))


def test_a_controller_without_a_tag_list_says_so():
    with pytest.raises(DeviceRefusedError, match=r"tag list of the controller.*0x08"):
        Catalog().scope(_Session(_reply(status=8), _reply(status=8)))


def test_a_predefined_structure_has_its_name_as_the_first_member_name():
    """Types outside 0x100 to 0xEFF carry no mark behind their name."""
    members = struct.pack("<HHIHHI", 0, 0xC4, 0, 0, 0xCA, 4)
    names = b"TIMER_X\x00PRE\x00ACC\x00"
    attributes = struct.pack("<HHHIHHIHHHHHH", 4, 4, 0, 16, 5, 0, 8, 2, 0, 2, 1, 0, 0x77)
    structure = Catalog().structure(_Session(_reply(attributes), _reply(members + names)), 0xF83)
    assert (structure.name, [member.name for member in structure.visible]) == ("TIMER_X", ["PRE", "ACC"])
    assert structure.kind.capacity is None


@pytest.mark.parametrize("replies", [[_reply(status=5)], [_reply(b"\x00" * 29)]])
def test_a_structure_that_is_not_told_says_so(replies):
    with pytest.raises(DeviceRefusedError, match="layout of structure 256"):
        Catalog().structure(_Session(*replies), 256)
