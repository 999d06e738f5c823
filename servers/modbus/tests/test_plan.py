import random
from itertools import combinations

import pytest
from factorylm_modbus.address import Table
from factorylm_modbus.plan import Block, Limits, Span, between, halves, plan
from hypothesis import given, settings
from hypothesis import strategies as st

HR = Table.HOLDING_REGISTER


def spans(*pairs: tuple[int, int]) -> list[Span]:
    return [Span(1, HR, start, end) for start, end in pairs]


def asked(blocks: list[Block]) -> list[tuple[int, int]]:
    return sorted((block.span.start, block.span.end) for block in blocks)


def fewest(wanted: list[Span], limits: Limits, closed: list[Span]) -> int:
    """The least number of allowed requests, found by trying every choice of them."""
    candidates = {
        frozenset(s for s in wanted if first.start <= s.start and s.end <= last.end)
        for first in wanted
        for last in wanted
        if allowed(first.start, last.end, wanted, limits, closed) or first == last
    }
    every = frozenset(wanted)
    for count in range(1, len(every) + 1):
        if any(frozenset().union(*chosen) == every for chosen in combinations(candidates, count)):
            return count
    raise AssertionError


def allowed(start: int, end: int, wanted: list[Span], limits: Limits, closed: list[Span]) -> bool:
    if not 0 < end - start <= limits.max_registers:
        return False
    if any(start <= wall.start and wall.end <= end for wall in closed):
        return False
    covered = {at for span in wanted for at in range(span.start, span.end)}
    gap = longest = 0
    for at in range(start, end):
        gap = 0 if at in covered else gap + 1
        longest = max(longest, gap)
    return longest <= limits.max_gap


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[list[Span], Limits]:
    limits = Limits(max_registers=draw(st.integers(4, 14)), max_gap=draw(st.integers(0, 8)))
    pairs = draw(st.lists(st.tuples(st.integers(0, 45), st.sampled_from((1, 1, 2, 4))), min_size=1, max_size=7))
    return [Span(1, HR, at, at + size) for at, size in pairs], limits


@given(small_cases())
@settings(max_examples=150, deadline=None)
def test_no_other_choice_needs_fewer_requests(case: tuple[list[Span], Limits]):
    wanted, limits = case
    assert len(plan(wanted, limits)) == fewest(wanted, limits, [])


@given(small_cases(), st.lists(st.integers(0, 45), max_size=3))
@settings(max_examples=100, deadline=None)
def test_also_with_forbidden_addresses_between(case: tuple[list[Span], Limits], walls: list[int]):
    wanted, limits = case
    closed = spans(*((at, at + 1) for at in walls))
    wanted = [span for span in wanted if not any(span.holds(wall) for wall in closed)]
    assert len(plan(wanted, limits, closed)) == (fewest(wanted, limits, closed) if wanted else 0)


@given(small_cases(), st.lists(st.tuples(st.integers(0, 45), st.integers(1, 6)), max_size=3))
@settings(max_examples=100, deadline=None)
def test_every_wanted_span_comes_whole_and_every_limit_is_kept(
    case: tuple[list[Span], Limits], walls: list[tuple[int, int]]
):
    wanted, limits = case
    closed = spans(*((at, at + size) for at, size in walls))
    blocks = plan(wanted, limits, closed)
    assert sorted(i for block in blocks for i in block.wanted) == list(range(len(wanted)))
    for block in blocks:
        assert all(block.span.holds(wanted[i]) for i in block.wanted)
        alone = len({wanted[i] for i in block.wanted}) == 1
        assert alone or allowed(block.span.start, block.span.end, wanted, limits, closed)


@pytest.mark.parametrize("spread", [1_000, 10_000, 60_000])
def test_a_thousand_scattered_registers_need_the_greedy_minimum(spread: int):
    starts = sorted(random.Random(7).sample(range(spread), 1000))
    wanted = spans(*((at, at + 1) for at in starts))
    # with registers of one word the optimum is known: begin at the first uncovered one, reach as far as allowed
    count, reach, last = 0, -1, -(10**6)
    for at in starts:
        if at >= reach or at - last - 1 > 16:
            count, reach = count + 1, at + 125
        last = at
    assert len(plan(wanted, Limits())) == count


def test_an_overlapped_value_is_not_torn():
    wanted = spans((0, 4), (3, 7), (5, 6))
    assert asked(plan(wanted, Limits(max_registers=6))) == [(0, 6), (3, 7)]


def test_gaps_wider_than_allowed_part_requests():
    wanted = spans((0, 1), (18, 19))
    assert asked(plan(wanted, Limits(max_gap=16))) == [(0, 1), (18, 19)]
    assert asked(plan(wanted, Limits(max_gap=17))) == [(0, 19)]


def test_tables_and_units_never_share_a_request():
    wanted = [Span(1, HR, 0, 1), Span(2, HR, 1, 2), Span(1, Table.INPUT_REGISTER, 0, 1), Span(1, Table.COIL, 0, 1)]
    assert len(plan(wanted, Limits())) == 4


def test_bits_have_a_limit_of_their_own():
    wanted = [Span(1, Table.COIL, at, at + 1) for at in range(4001)]
    assert [b.span.size for b in plan(wanted, Limits(max_registers=10))] == [2000, 2000, 1]


def test_a_device_that_wants_one_request_per_tag_gets_it():
    wanted = spans((0, 1), (1, 2), (1, 2))
    assert asked(plan(wanted, Limits(one_request_per_tag=True))) == [(0, 1), (1, 2)]


def test_a_span_that_was_refused_is_asked_alone_and_never_inside_another():
    wanted = spans((0, 1), (1, 2), (2, 3))
    assert asked(plan(wanted, Limits(), spans((1, 2)))) == [(0, 1), (1, 2), (2, 3)]


def test_a_refused_block_parts_at_its_widest_gap():
    wanted = spans((0, 1), (2, 3), (10, 11), (12, 13))
    [block] = plan(wanted, Limits())
    parts = halves(block, wanted)
    assert parts is not None
    left, right = parts
    assert asked([left, right]) == [(0, 3), (10, 13)]
    assert between(left, right) == Span(1, HR, 2, 11)
    [single] = plan(spans((0, 1)), Limits())
    assert halves(single, spans((0, 1))) is None


def test_what_parts_two_halves_is_held_by_neither():
    for wanted in (spans((0, 2), (2, 4)), spans((0, 3), (2, 5)), spans((0, 1), (9, 10))):
        [block] = plan(wanted, Limits())
        parts = halves(block, wanted)
        assert parts is not None
        wall = between(*parts)
        assert block.span.holds(wall)
        assert not any(part.span.holds(wall) for part in parts)


def test_no_tags_need_no_request():
    assert plan([], Limits()) == []
