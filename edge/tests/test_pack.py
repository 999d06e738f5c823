"""Columns come back exactly, in few bytes, and damage is never a value."""

import random
import struct

import pytest
from factorylm_edge.pack import pack, unpack
from factorylm_edge.windows import Window, pack_windows, unpack_windows
from hypothesis import given, settings
from hypothesis import strategies as st

numbers = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.integers(-(10**7), 10**7).map(lambda n: n / 100)
values = st.one_of(
    numbers, decimals, st.integers(), st.booleans(), st.text(max_size=20).filter(str.isprintable), st.none()
)
columns = st.one_of(*(st.lists(kind, min_size=1, max_size=60) for kind in (numbers, decimals, st.integers(), values)))


@settings(max_examples=150, deadline=None)
@given(columns, st.data())
def test_any_values_come_back_exactly(column, data):
    size = len(column)
    times = data.draw(st.lists(st.integers(0, 4_000_000_000_000_000), min_size=size, max_size=size))
    codes = data.draw(st.lists(st.sampled_from([0, 0x40900000, 0x80310000]), min_size=size, max_size=size))
    found = unpack(pack(times, column, codes))
    assert found == (times, column, codes)
    assert list(map(type, found[1])) == list(map(type, column))


def test_a_noisy_measurement_takes_less_than_four_bytes():
    """A PLC's REAL with noise in all its lower bits, scanned every second with some milliseconds of jitter."""
    rng = random.Random(3)
    times = [1_767_225_600_000_000 + at * 1_000_000 + rng.randrange(4) * 1000 for at in range(1024)]
    noisy = [struct.unpack("f", struct.pack("f", 50 + 0.3 * rng.gauss(0, 1)))[0] for _ in times]
    assert len(pack(times, noisy, [0] * 1024)) / 1024 < 4


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_an_error_and_never_another_value(at, change):
    times, numbers = list(range(0, 300_000, 1000)), [float(n % 7) for n in range(300)]
    data = bytearray(pack(times, numbers, [0] * 300))
    data[at % len(data)] ^= change
    try:
        found = unpack(bytes(data))
    except ValueError:
        return
    assert found == (times, numbers, [0] * 300)  # a bit of zlib's header that says nothing


def test_half_a_chunk_is_damaged():
    data = pack([0, 1000], [1.0, 2.0], [0, 0])
    with pytest.raises(ValueError, match="damaged"):
        unpack(data[: len(data) // 2])


def test_windows_come_back_exactly():
    one = Window(start_us=0, count=3, doubtful=1, held_us=5, minimum=0.1, maximum=2.0, mean=1.0, last=2)
    two = Window(start_us=60, count=0, doubtful=1, held_us=0, minimum=None, maximum=None, mean=None, last=None)
    assert unpack_windows(pack_windows([one, two])) == [one, two]
