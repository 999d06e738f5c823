"""The write gate's judgement, exhaustively."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from factorylm_schema import Tag, Value, WriteLimits
from factorylm_skill.gate import agrees, judge_change, judge_plan, judge_value
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LIMITS = WriteLimits(min=0, max=1800, max_step=200, per_minute=3)


def tag(limits: WriteLimits | None = LIMITS, *, name: str = "sp", unit: str = "/min") -> Tag:
    return Tag(device="p", name=name, address="a", unit=unit, write=limits)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "-1 is outside the limits of p.sp: 0 to 1800 /min"),
        (1800.5, "1800.5 is outside the limits of p.sp: 0 to 1800 /min"),
        (True, "p.sp takes a number between 0 and 1800, not true"),
        ("900", "p.sp takes a number between 0 and 1800, not '900'"),
        (math.nan, "nan is not a number that can be written"),
        (-math.inf, "-inf is not a number that can be written"),
        (10**400, "1" + "0" * 39 + " is not a number that can be written"),
        (0, ""),
        (1800, ""),
        (899.5, ""),
    ],
)
def test_a_value_outside_its_limits_is_refused_with_the_limits(value: Value, reason: str) -> None:
    assert judge_value(tag(), value) == reason


def test_a_tag_without_limits_and_a_raw_address_are_never_written() -> None:
    assert "has no write limits" in judge_value(tag(None), 1)
    assert "raw addresses are never written" in judge_value(tag(name=""), 1)
    assert "has no write limits" in judge_change(tag(None), 1, 1, (), NOW)


@pytest.mark.parametrize(
    ("allowed", "value", "passes"),
    [
        ([True, False], True, True),
        ([True, False], 1, False),
        ([True, False], "true", False),
        ([1, 2], True, False),
        ([1, 2], 2.0, True),
        (["auto", "hand"], "auto", True),
        (["auto", "hand"], "off", False),
        (["1"], 1, False),
    ],
)
def test_an_allowed_value_is_equal_and_of_one_kind(allowed: list[Value], value: Value, passes: bool) -> None:
    reason = judge_value(tag(WriteLimits(allowed=allowed)), value)
    assert (reason == "") is passes
    assert passes or "not one of the allowed values" in reason


def test_allowed_values_and_limits_hold_together() -> None:
    both = tag(WriteLimits(allowed=[1, 5], min=0, max=2))
    assert judge_value(both, 1) == ""
    assert "outside the limits" in judge_value(both, 5)


def test_a_step_is_judged_from_the_present_value() -> None:
    assert judge_change(tag(), 1100, 900, (), NOW) == ""
    assert judge_change(tag(), 1101, 900, (), NOW) == (
        "from 900 to 1101 is a step of 201; the largest allowed for p.sp is 200 /min"
    )
    assert "is not a step of a number" in judge_change(tag(), 900, "stopped", (), NOW)


def test_without_a_present_value_nothing_is_written() -> None:
    assert "cannot be read" in judge_change(tag(), 900, None, (), NOW)


def test_the_rate_counts_the_last_minute_only() -> None:
    old = NOW - timedelta(seconds=60)
    fresh = [NOW - timedelta(seconds=s) for s in (1, 30, 59)]
    assert judge_change(tag(), 900, 900, [old, old, old], NOW) == ""
    assert judge_change(tag(), 900, 900, fresh, NOW) == ("p.sp was written 3 times in the last minute; its limit is 3")


def test_an_approval_holds_only_while_the_value_stands_still() -> None:
    assert judge_plan(900, 900.4, 0.5) == ""
    assert judge_plan(900, 901, 0.5) == "the value was 900 when approval was asked and is 901 now; ask again"
    assert "ask again" in judge_plan(before=False, present=True, tolerance=0.5)


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (1, None, False),
        (1, True, False),
        (True, True, True),
        ("a", "a", True),
        (0.1, 0.1 + 1e-9, True),
        (5, 5.6, False),
    ],
)
def test_values_agree_within_the_tolerance(wanted: Value, found: Value | None, same: bool) -> None:
    assert agrees(wanted, found, 0.5) is same


values = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=5))


@given(value=values, before=st.none() | values)
def test_whatever_passes_is_a_number_within_limits_and_step(value: Value, before: Value | None) -> None:
    if judge_value(tag(), value) or judge_change(tag(), value, before, (), NOW):
        return
    assert isinstance(value, int | float)
    assert not isinstance(value, bool)
    assert 0 <= value <= 1800
    assert isinstance(before, int | float)
    assert abs(value - before) <= 200
