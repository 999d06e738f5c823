"""The data check: what is wrong with a file, in plain words."""

import numpy as np
import pytest
from factorylm_predictor.datacheck import check_data
from factorylm_predictor.histories import Histories, History


def histories(values, times=None, clock="number", units=2):
    times = np.arange(len(values), dtype=float) if times is None else times
    return Histories(
        source="runs.csv",
        columns=tuple(f"tag{i}" for i in range(values.shape[1])),
        clock=clock,
        units=tuple(History(unit=f"U{u}", times=times, values=values) for u in range(units)),
        rows_read=units * len(values),
        rows_per_mean=1,
    )


def noise(rows=200, tags=2):
    return np.random.default_rng(1).normal(10, 1, size=(rows, tags))


def texts(found, kind):
    return [f.text for f in found.findings if f.kind == kind]


def test_sound_data_has_no_findings():
    found = check_data(histories(noise()))
    assert found.findings == ()
    assert (found.rows, found.units, found.interval) == (400, 2, 1.0)


def test_gaps_are_told_with_place_and_length():
    times = np.arange(200.0)
    times[100:] += 50
    assert texts(check_data(histories(noise(), times, units=1)), "gap") == [
        "unit U0: 1 gaps, the first at 99, the longest 51"
    ]


def test_a_flat_line_is_told():
    values = noise()
    values[100:160, 1] = 5.0
    assert texts(check_data(histories(values, units=1)), "flat line") == ["'tag1' of unit U0 stands still for 60 rows"]


@pytest.mark.parametrize("factor", [1.8, 0.0689, 1000.0])
def test_a_changed_unit_of_measure_stops_the_work(factor):
    values = noise()
    values[120:, 0] = values[120:, 0] * factor + 32
    found = check_data(histories(values, units=1))
    assert [f.severity for f in found.findings] == ["stop"]
    assert texts(found, "jump")[0].startswith("'tag0' of unit U0 jumps at 120 and stays")


def test_slow_wear_is_no_jump():
    values = noise() + np.linspace(0, 12, 200)[:, None] ** 1.5
    assert texts(check_data(histories(values)), "jump") == []


def test_missing_values_are_counted():
    values = noise()
    values[50:80, 0] = np.nan
    assert texts(check_data(histories(values)), "missing") == [
        "'tag0': 15.0% of its values are missing, at most 30 rows in a row"
    ]


def test_times_in_the_future_and_doubled_times_are_told():
    times = np.arange(200.0)
    times[10] = times[9]
    found = check_data(histories(noise(), times, clock="timestamp", units=1), now=100.0)
    assert texts(found, "clock") == [
        "unit U0: its last time lies 99.0 h in the future",
        "unit U0: 1 rows repeat the time before them",
    ]


def test_a_column_that_knows_the_answer_is_told():
    values = noise()
    values[:, 1] = 199 - np.arange(200.0) + values[:, 0] * 0.01
    assert any("leakage" in text or "clock" in text for text in texts(check_data(histories(values)), "column"))


def test_one_fault_in_a_hundred_units_is_not_told_a_hundred_times():
    values = noise()
    values[100:160, 1] = 5.0
    found = texts(check_data(histories(values, units=100)), "flat line")
    assert len(found) == 11
    assert found[-1] == "and 90 more of this kind"
