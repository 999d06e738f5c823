"""Batches: in order, complete, and no more than needed."""

from math import ceil

from factorylm_opcua.plan import Limits, batches, distinct
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers()), st.integers(1, 50))
def test_batches_hold_everything_in_order_in_the_fewest_requests(items, most):
    parts = batches(items, most)
    assert [item for part in parts for item in part] == items
    assert len(parts) == ceil(len(items) / most)
    assert all(1 <= len(part) <= most for part in parts)
    assert not parts or max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.lists(st.integers(0, 20)))
def test_what_is_asked_twice_is_read_once(items):
    unique, positions = distinct(items)
    assert len(unique) == len(set(items))
    assert [unique[position] for position in positions] == items


def test_a_refused_size_is_not_tried_again():
    assert Limits(read=1000).reading_less(1000).read == 500
    assert Limits(read=1000).reading_less(3).read == 1
    assert Limits(read=25).reading_less(100).read == 25
    assert Limits(read=1).reading_less(1).read == 1
