"""Addresses: one canonical text, and errors that name the forms."""

import base64
import string

import pytest
from factorylm_opcua.address import NodeAddress, parse
from hypothesis import given
from hypothesis import strategies as st

URIS = st.text(alphabet=string.ascii_letters + string.digits + ":/.-_;%#?=", min_size=1, max_size=40)
NAMES = st.text(min_size=1, max_size=40).filter(lambda text: not text.rpartition(";index=")[1])
IDENTIFIERS = st.one_of(
    st.tuples(st.just("i"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("s"), NAMES),
    st.tuples(st.just("g"), st.uuids().map(str)),
    st.tuples(st.just("b"), st.binary(min_size=1, max_size=20).map(lambda raw: base64.b64encode(raw).decode())),
)
ELEMENTS = st.lists(st.integers(0, 10**8), max_size=3).map(tuple)


@given(identifier=IDENTIFIERS, uri=URIS, element=ELEMENTS)
def test_the_canonical_text_of_an_address_is_the_same_address(identifier, uri, element):
    kind, value = identifier
    address = NodeAddress(kind=kind, identifier=value, uri=uri, element=element)
    assert parse(address.text) == address


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("i=2258", "i=2258"),
        ("ns=0;i=2258", "i=2258"),
        ("nsu=http://opcfoundation.org/UA/;i=2258", "i=2258"),
        ("ns=2;s=Pump1.Speed", "ns=2;s=Pump1.Speed"),
        ("nsu=urn:vendor:plant;s=Pump1.Speed", "nsu=urn:vendor:plant;s=Pump1.Speed"),
        ("nsu=urn:a%3Bb;s=x", "nsu=urn:a%3Bb;s=x"),
        ("ns=3;g=09087E75-8E5E-499B-954F-F2A9603DB28A", "ns=3;g=09087e75-8e5e-499b-954f-f2a9603db28a"),
        ("ns=1;b=YWJj", "ns=1;b=YWJj"),
        ("ns=2;s=a;b=c", "ns=2;s=a;b=c"),
        ("ns=2;s=Arr;index=3", "ns=2;s=Arr;index=3"),
        ("ns=2;s=Arr;index=1,2", "ns=2;s=Arr;index=1,2"),
    ],
)
def test_an_address_has_one_canonical_text(text, canonical):
    assert parse(text).text == canonical


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "write one of: nsu="),
        ("Pump1.Speed", "write one of: nsu="),
        ("s=", "write one of: nsu="),
        ("nsu=;s=x", "write one of: nsu="),
        ("ns=x;s=a", "write one of: nsu="),
        ("svr=1;ns=2;s=a", "write one of: nsu="),
        ("i=Speed", "a name is written s=Speed"),
        ("i=4294967296", "not a number from 0 to 4294967295"),
        ("i=٣", "not a number"),
        ("ns=65536;i=1", "above 65535"),
        ("g=123", "not a GUID like"),
        ("b=***", "not base64"),
        ("s=" + "x" * 4097, "at most 4096 characters"),
    ],
)
def test_a_wrong_address_is_refused_with_what_would_be_right(text, told):
    with pytest.raises(ValueError, match=told):
        parse(text)
