"""A health indicator on its way to a limit, or the plain word that it is not."""

import numpy as np
import pytest
from factorylm_predictor.errors import DataError
from factorylm_predictor.trend import time_to_limit

HOURS = np.arange(300.0)


def noisy(values, seed, spread=0.8):
    return values + np.random.default_rng(seed).normal(0, spread, len(values))


def answer(values, limit, seed=0, times=HOURS):
    return time_to_limit(times, values, limit, rng=np.random.default_rng(seed))


def test_the_interval_holds_the_crossing_of_a_straight_trend():
    answers = [answer(noisy(0.02 * HOURS, seed), 9.0) for seed in range(24)]
    truth = 9.0 / 0.02 - HOURS[-1]
    assert all(a.refused is None for a in answers)
    assert sum(a.p5 <= truth <= a.p95 for a in answers) >= 20


def test_wear_that_starts_late_is_seen():
    values = noisy(np.where(HOURS < 200, 0.0, 0.05 * (HOURS - 200)), 1, 0.5)
    found = answer(values, 8.0)
    assert found.refused is None
    assert found.p5 <= 60 <= found.p95 * 1.2


def test_wear_that_goes_faster_and_faster_is_not_drawn_as_one_line():
    """A line alone is late: the unsafe side."""
    answers = [answer(noisy(3 * (HOURS / 300) ** 2, seed, 0.1), 6.0) for seed in range(12)]
    truth = 300 * 2**0.5 - HOURS[-1]
    assert all(a.bend == "steepens" for a in answers)
    assert sum(a.p5 <= truth <= a.p95 for a in answers) >= 11


def test_a_trend_that_levels_off_before_the_limit_gives_no_date():
    answers = [answer(noisy(3 * (1 - np.exp(-HOURS / 80)), seed, 0.1), 4.0) for seed in range(12)]
    assert sum(a.p50 is None for a in answers) >= 11
    assert "levels_off" in {a.refused for a in answers}


def test_a_straight_trend_is_not_called_bent():
    assert sum(answer(noisy(0.02 * HOURS, seed), 9.0).bend is not None for seed in range(40)) <= 2


def test_a_steepening_trend_that_is_far_says_that_it_comes_sooner():
    found = answer(noisy(0.1 * np.exp(HOURS / 80), 1, 0.02), 40.0)
    assert found.refused == "too_far"
    assert "steepens" in found.reason


@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_flat_records_are_refused(memory):
    refused = 0
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(size=300)
        values = np.zeros(300)
        for i in range(1, 300):
            values[i] = memory * values[i - 1] + noise[i]
        refused += answer(values, 50.0).refused == "flat"
    assert refused >= 57


@pytest.mark.parametrize(
    ("slope", "limit", "code"), [(0.02, -4.0, "away_from_limit"), (0.02, 60.0, "too_far"), (0.02, 4.0, "passed")]
)
def test_a_trend_that_gives_no_date_says_why(slope, limit, code):
    found = answer(noisy(slope * HOURS, 2), limit)
    assert found.refused == code
    assert found.p50 is None
    assert found.reason


def test_few_values_are_refused():
    assert answer(np.arange(10.0), 50.0, times=np.arange(10.0)).refused == "too_short"


def test_a_clock_that_stands_still_is_an_error():
    with pytest.raises(DataError, match="all values have the same time"):
        answer(np.arange(300.0), 400.0, times=np.zeros(300))


def test_missing_values_are_left_out():
    values = noisy(0.02 * HOURS, 3)
    values[::3] = np.nan
    assert answer(values, 9.0).refused is None
