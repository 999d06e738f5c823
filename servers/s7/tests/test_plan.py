"""The planner against brute force: nothing left out, nothing torn, no job too large, no job too many."""

import random
from itertools import pairwise

import pytest
from factorylm_s7.plan import Budget, Range, alone, fewest, pieces_of, plan
from hypothesis import given, settings
from hypothesis import strategies as st

BLOCK, TIMERS = 0x84, 0x1D


def db(start, size, block=1):
    return Range(BLOCK, block, start, start + size)


def reply_bytes(job):
    """What the reply holds, head included; every item but the last is filled to whole words."""
    sizes = [item.size for item in job]
    return 14 + sum(4 + size + (size & 1) for size in sizes[:-1]) + 4 + sizes[-1]


def inside(part, whole):
    return (part.area, part.block) == (whole.area, whole.block) and whole.start <= part.start and part.end <= whole.end


def assert_sound(ranges, budget, jobs):
    for job in jobs:
        assert 1 <= len(job) <= budget.items
        assert 12 + 12 * len(job) <= budget.pdu
        assert reply_bytes(job) <= budget.pdu
    items = [item for job in jobs for item in job]
    for each in ranges:
        for piece in pieces_of(each, budget):
            assert any(inside(piece, item) for item in items), f"{piece} is torn or left out"


# -- brute force --------------------------------------------------------------------------------------------


def partitions(things):
    if not things:
        yield []
        return
    first, *others = things
    for rest in partitions(others):
        yield [[first], *rest]
        for at in range(len(rest)):
            yield [*rest[:at], [first, *rest[at]], *rest[at + 1 :]]


def could_be_a_job(group, budget):
    """Whether some way of joining neighbours makes `group` one job."""
    group = sorted(group)
    for joins in range(1 << (len(group) - 1)):
        items = [group[0]]
        for at, (_, two) in enumerate(pairwise(group)):
            one = items[-1]
            if not joins >> at & 1:
                items.append(two)
            elif (one.area, one.block) == (two.area, two.block):
                items[-1] = Range(one.area, one.block, one.start, max(one.end, two.end), one.unit)
            else:
                break
        else:
            odd_last = sorted(items, key=lambda each: each.size & 1)
            if len(items) <= budget.items and reply_bytes(odd_last) <= budget.pdu:
                return True
    return False


def truly_fewest(ranges, budget):
    ranges = sorted(set(ranges))
    return min(
        len(partition) for partition in partitions(ranges) if all(could_be_a_job(group, budget) for group in partition)
    )


def fewest_in_order(ranges, budget):
    """Each job as long a run of neighbours as is possible at all."""
    ranges, jobs = sorted(set(ranges)), 0
    while ranges:
        fits = [n for n in range(1, len(ranges) + 1) if could_be_a_job(ranges[:n], budget)]
        jobs, ranges = jobs + 1, ranges[max(fits) :]
    return jobs


budgets = st.builds(Budget, st.sampled_from([64, 80, 120, 240]), st.sampled_from([2, 3, 20]))


@st.composite
def few_ranges(draw, sizes=(1, 2, 4, 8, 22, 30)):
    one = st.builds(db, st.integers(0, 150), st.sampled_from(sizes), st.integers(1, 2))
    return draw(st.lists(one, min_size=1, max_size=6))


@given(few_ranges(), budgets)
@settings(deadline=None, max_examples=150)
def test_no_order_of_jobs_needs_fewer_than_the_plan(ranges, budget):
    jobs = plan(ranges, budget)
    assert_sound(ranges, budget, jobs)
    assert fewest(ranges, budget) <= truly_fewest(ranges, budget) <= len(jobs) <= fewest_in_order(ranges, budget)


def test_the_plan_is_the_true_optimum_in_all_but_a_few_of_a_thousand_small_cases():
    missed = 0
    for seed in range(1000):
        chance = random.Random(seed)
        budget = Budget(chance.choice([64, 80, 120]), chance.choice([2, 3, 20]))
        sizes = [4] if seed % 2 else [1, 2, 4, 8, 22, 30]
        count = chance.randint(1, 5)
        ranges = [db(chance.randint(0, 150), chance.choice(sizes), chance.randint(1, 2)) for _ in range(count)]
        missed += len(plan(ranges, budget)) > truly_fewest(ranges, budget)
    assert missed <= 3


@given(
    st.lists(
        st.builds(db, st.integers(0, 5000), st.sampled_from([1, 2, 3, 4, 8, 12, 22, 50, 256, 700]), st.integers(1, 4))
        | st.builds(lambda n: Range(TIMERS, 0, n, n + 1, 2), st.integers(0, 300)),
        max_size=80,
    ),
    st.builds(Budget, st.sampled_from([112, 240, 480, 960])),
)
@settings(deadline=None, max_examples=100)
def test_every_plan_reads_everything_within_the_limits(ranges, budget):
    assert_sound(ranges, budget, plan(ranges, budget))
    mixed = [alone(each) if at % 3 == 0 else each for at, each in enumerate(ranges)]
    jobs = plan(mixed, budget)
    assert_sound(mixed, budget, jobs)
    items = {item for job in jobs for item in job}
    assert {piece for each in mixed if each.alone for piece in pieces_of(each, budget)} <= items


# -- cases with names ---------------------------------------------------------------------------------------


def test_nothing_to_read_is_no_job():
    assert plan([], Budget(480)) == []


def test_neighbours_are_read_as_one_item():
    assert plan([db(0, 4), db(4, 4), db(10, 2)], Budget(480)) == [(db(0, 12),)]


def test_a_gap_longer_than_an_items_head_stays_unread():
    assert plan([db(0, 4), db(9, 4)], Budget(480)) == [(db(0, 4), db(9, 4))]


def test_timers_are_counted_by_number_and_read_two_bytes_each():
    timers = [Range(TIMERS, 0, n, n + 1, 2) for n in (3, 4, 6, 40)]
    assert plan(timers, Budget(480)) == [(Range(TIMERS, 0, 3, 7, 2), Range(TIMERS, 0, 40, 41, 2))]


def test_blocks_are_never_joined():
    assert plan([db(0, 4, 1), db(4, 4, 2)], Budget(480)) == [(db(0, 4, 1), db(4, 4, 2))]


def test_a_value_is_not_torn_between_two_jobs():
    reals = [db(4 * n, 4) for n in range(200)]
    jobs = plan(reals, Budget(240))
    assert all(item.start % 4 == 0 and item.size % 4 == 0 for job in jobs for item in job)


def test_a_text_longer_than_a_reply_is_cut_into_as_few_jobs_as_it_needs():
    assert plan([db(0, 500)], Budget(240)) == [(db(0, 222),), (db(222, 222),), (db(444, 56),)]


def test_more_than_twenty_items_are_two_jobs():
    assert [len(job) for job in plan([db(500 * n, 2) for n in range(21)], Budget(960))] in ([20, 1], [11, 10], [20])


def test_a_range_that_is_alone_joins_no_neighbour():
    [job] = plan([db(0, 2), alone(db(2, 2)), db(4, 2)], Budget(480))
    assert job == (db(0, 6), alone(db(2, 2))) or job == (db(0, 2), db(4, 2), alone(db(2, 2)))


@pytest.mark.parametrize("pdu", [240, 480, 960])
def test_a_thousand_neighbouring_reals_need_exactly_the_fewest_jobs(pdu):
    reals = [db(4 * n, 4) for n in range(1000)]
    jobs = plan(reals, Budget(pdu))
    assert len(jobs) == -(-1000 // ((pdu - 18) // 4)) == fewest(reals, Budget(pdu))


@pytest.mark.parametrize("pdu", [240, 480, 960])
@pytest.mark.parametrize("spread", [4_000, 20_000, 60_000])
def test_a_thousand_scattered_reals_need_at_most_one_job_more_than_the_bound(pdu, spread):
    starts = random.Random(1).sample(range(spread // 4), 1000)
    reals = [db(4 * start, 4) for start in starts]
    jobs = plan(reals, Budget(pdu))
    assert_sound(reals, Budget(pdu), jobs)
    assert len(jobs) - fewest(reals, Budget(pdu)) <= 1
