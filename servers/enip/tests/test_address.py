"""Tag paths: what is accepted, what canonical text comes out, and what stands on the wire."""

import contextlib

import pytest
from factorylm_enip.address import AddressError, parse
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.builds(
    lambda first, rest: first + rest,
    st.sampled_from("AZaz_m"),
    st.text("ABcd_019", max_size=39),
)
INDEX = st.lists(st.integers(0, 2**32 - 1), max_size=3)
STEPS = st.tuples(NAMES, INDEX).map(lambda s: s[0] + (f"[{','.join(map(str, s[1]))}]" if s[1] else ""))


@pytest.mark.parametrize(
    ("text", "canonical", "element", "bit", "program"),
    [
        ("Speed", "Speed", None, None, ""),
        (" Motor . Speed ", "Motor.Speed", None, None, ""),
        ("Counts[007]", "Counts[7]", 7, None, ""),
        ("Grid[1, 2]", "Grid[1,2]", None, None, ""),
        ("Status.5", "Status.5", None, 5, ""),
        ("Counts[3].31", "Counts[3].31", 3, 31, ""),
        ("Motors[3].Speed", "Motors[3].Speed", None, None, ""),
        ("Program:Main.Cycle", "Program:Main.Cycle", None, None, "Main"),
        ("Program:Main.Motors[2].Log[4]", "Program:Main.Motors[2].Log[4]", 4, None, "Main"),
        ("Local:1:I.Data", "Local:1:I.Data", None, None, ""),
        ("Rack:O.Data[0].7", "Rack:O.Data[0].7", 0, 7, ""),
    ],
)
def test_a_path_has_one_canonical_text(text, canonical, element, bit, program):
    address = parse(text)
    assert (address.text, address.element, address.bit, address.program) == (canonical, element, bit, program)
    assert parse(address.text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("3Speed", "no name"),
        ("Motor..Speed", "no name"),
        ("Motor.", "no name"),
        ("Counts[", "no name"),
        ("Counts[-1]", "no name"),
        ("Counts[1,2,3,4]", "no name"),
        ("Counts[99999999999]", "no name"),
        ("Counts[4294967296]", "at most"),
        ("Counts{10}", r"Counts\[0\]"),
        ("Status.64", "bits 0 to 63"),
        ("Program:Main", "no tag in it"),
        ("this is no address!", "no name"),
        ("A" * 41, "no name"),
        ("ü", "no name"),
        (".".join(["A" * 40] * 20), "longer than a request path"),
    ],
)
def test_what_is_no_path_is_refused_with_the_forms_that_are(text, reason):
    with pytest.raises(AddressError, match=reason):
        parse(text)


def test_names_differ_by_more_than_case():
    assert parse("Motor.Speed").key == parse("MOTOR.speed").key
    assert parse("Motor.Speed").key != parse("Motor.Speed2").key


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("Abc", "910341626300"),
        ("A[5]", "910141002805"),
        ("A[256]", "9101410029000001"),
        ("A[65536]", "910141002a0000000100"),
        ("A[1,2].B", "910141002801280291014200"),
    ],
)
def test_a_path_on_the_wire_is_what_1756_pm020_shows(text, segments):
    assert parse(text).segments.hex() == segments


@given(st.lists(STEPS, min_size=1, max_size=4).map(".".join))
def test_every_path_of_names_and_indices_reads_back_as_itself(text):
    address = parse(text)
    assert parse(str(address)) == address


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_is_refused(text):
    with contextlib.suppress(AddressError):
        assert parse(parse(text).text) == parse(text)
