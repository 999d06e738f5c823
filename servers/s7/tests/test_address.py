"""Every way of writing an address means one place, shown in one form."""

import pytest
from factorylm_s7.address import Address, Area, parse
from factorylm_s7.values import TYPES
from hypothesis import given, settings
from hypothesis import strategies as st

SAME = {
    "%DB1.DBD4:REAL": ["DB1.DBD4:REAL", "db1.dbd4:real", "DB1:4:REAL", "DB1,R4", "DB1,REAL4", "%DB1.DBB4:REAL"],
    "%DB1.DBX0.3:BOOL": ["DB1.DBX0.3", "%DB1.DBX0.3", "DB1:0.3:BOOL", "DB1,X0.3"],
    "%DB1.DBB12:STRING[20]": ["DB1:12:STRING[20]", "DB1,S12.20", "DB1.DBX12.0:STRING[20]", "DB1.DBB12:STRING[20]"],
    "%DB1.DBW20:INT[5]": ["DB1:20:INT[5]", "DB1,I20.5", "DB1,INT20.5"],
    "%DB40.DBB2:DTL": ["DB40:2:DTL", "DB40,DTL2"],
    "%DB2.DBB8:LREAL": ["DB2,LR8", "DB2:8:LREAL"],
    "%MD38:REAL": ["MR38", "MD38:REAL"],
    "%MW20:INT": ["MI20", "MW20:INT", "%MW20:int"],
    "%M10.5:BOOL": ["M10.5", "MX10.5", "%M10.5"],
    "%I0.1:BOOL": ["I0.1", "E0.1", "%I0.1:BOOL"],
    "%IW64:INT": ["EW64:INT", "II64", "IW64:INT"],
    "%QW4:WORD": ["AW4:WORD", "QW4:WORD"],
    "%PIW64:INT": ["PIW64:INT", "PEW64:INT"],
    "%T5:TIMER": ["T5", "T5:TIMER"],
    "%C3:COUNTER": ["C3", "Z3", "%C3"],
    "%DB1.DBD8:TOD": ["DB1:8:TIME_OF_DAY"],
}


@pytest.mark.parametrize(("canonical", "written"), [(c, w) for c, ws in SAME.items() for w in [c, *ws]])
def test_every_way_of_writing_it_is_one_address(canonical, written):
    assert str(parse(written)) == canonical


def test_the_tags_own_type_completes_an_address_without_one():
    assert parse("DB1.DBD4", "real") == parse("DB1.DBD4:REAL")
    assert str(parse("%IW64:P", "INT")) == "%PIW64:INT"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "is not an S7 address"),
        ("pressure", "is not an S7 address"),
        ("DB1", "is not an S7 address"),
        ("40108", "is not an S7 address"),
        ("DB1.DBD4", "does not say its type"),
        ("MW20", "does not say its type"),
        ("DB1.DBW4:REAL", "W is 2 bytes, but a REAL has 4: write D"),
        ("DB1.DBD4:LREAL", "write B"),
        ("DB1.DBD4.3:REAL", "only a BOOL has a bit"),
        ("DB1.DBX0:BOOL", "needs its bit"),
        ("DB1.DBX0.8", "bits 0 to 7"),
        ("DB0.DBD4:REAL", "from 1 to 65535"),
        ("DB70000.DBD4:REAL", "from 1 to 65535"),
        ("DB1:12:STRING(20)", "write STRING[20]"),
        ("DB1:0:STRING", "needs its length"),
        ("DB1:0:STRING[255]", "at most 254"),
        ("DB1:0:INT[0]", "at least 1"),
        ("DB1:0:FLOAT32", "is not an S7 type"),
        ("DB1:65535:INT", "ends beyond byte 65535"),
        ("DB1:0:BYTE[9000]", "read at most 8192"),
        ("MW10:TIMER", "is written T5"),
        ("T5:INT", "is a TIMER"),
        ("DB1,R4:INT", "keep one of them"),
        ("DB1:4:", "is not an S7 address"),
    ],
)
def test_a_wrong_address_is_refused_with_what_would_be_right(written, says):
    with pytest.raises(ValueError) as refusal:
        parse(written)
    assert says in str(refusal.value)


def test_two_different_types_are_refused():
    with pytest.raises(ValueError, match="says REAL, and the tag's type says DINT"):
        parse("DB1.DBD4:REAL", "DINT")
    with pytest.raises(ValueError, match="keep one"):
        parse("DB1:4:REAL", "DINT")


def test_sizes_are_the_bytes_to_read():
    sizes = {
        "DB1.DBX0.3": 1, "DB1.DBX0.6:BOOL[4]": 2, "DB1:0:INT[5]": 10, "DB1:0:STRING[20]": 22,
        "DB1:0:WSTRING[10]": 24, "DB1:0:CHAR[7]": 7, "DB1:0:DTL": 12, "DB1:0:LTIME": 8, "T5": 2,
    }  # fmt: skip
    assert {written: parse(written).size for written in sizes} == sizes


@st.composite
def addresses(draw):
    area = draw(st.sampled_from(list(Area)))
    if area.is_counted:
        return Address(area=area, start=draw(st.integers(0, 9999)), type="TIMER" if area is Area.TIMER else "COUNTER")
    type_ = draw(st.sampled_from([*(set(TYPES) - {"TIMER", "COUNTER"}), "STRING", "WSTRING"]))
    return Address(
        area=area,
        block=draw(st.integers(1, 65535)) if area is Area.BLOCK else 0,
        start=draw(st.integers(0, 50_000)),
        bit=draw(st.integers(0, 7)) if type_ == "BOOL" else 0,
        type=type_,
        length=draw(st.integers(1, 254)) if "STRING" in type_ else 0,
        count=draw(st.sampled_from([0, 1, 5, 100])) if "STRING" not in type_ else 0,
    )


@given(addresses())
@settings(deadline=None, max_examples=200)
def test_the_canonical_form_parses_back_to_the_same_address(address):
    assert parse(str(address)) == address


@given(
    st.text(max_size=40) | st.from_regex(r"%?(DB)?\d{0,6}[.,:]?[A-Z]{0,4}\d{0,6}(\.\d)?(:[A-Z]{1,8})?", fullmatch=True)
)
@settings(deadline=None, max_examples=300)
def test_any_text_is_an_address_or_a_sentence(text):
    address, sentence = None, ""
    try:
        address = parse(text)
    except ValueError as refusal:
        sentence = str(refusal)
    assert parse(str(address)) == address if address else sentence
