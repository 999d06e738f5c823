"""What every history does, on every engine."""

import random
from datetime import UTC, datetime

import pytest
from factorylm_edge.history import Retention, TagRecord
from factorylm_edge.sample import SECOND, Sample, instant
from factorylm_schema import AlarmEvent, Quality

BEGIN_US = 1_767_225_600 * SECOND
END_US = BEGIN_US + 86_400 * SECOND
TAG = "pump1.speed"


@pytest.mark.parametrize(
    "values",
    [
        [1.5, -0.25, 1e300],
        [0.1, 0.2, 1480.25],
        [1, -(2**63), 2**63 - 1],
        [2**70, 1],
        [True, False],
        ["", "läuft \u0000 ☃", "x" * 5000],
        [1, 1.0, True, "1"],
        [3.0, None, 4.0],
    ],
)
@pytest.mark.parametrize("compacted", [False, True])
def test_values_come_back_exactly_with_their_type(history, sample, values, compacted):
    doubtful = Quality.UncertainLastUsableValue.code
    given = [sample(at, value, quality=doubtful if value is None else 0) for at, value in enumerate(values)]
    history.append(given)
    if compacted:
        history.compact(everything=True)
    found = history.read(TAG, BEGIN_US, END_US).samples
    assert found == given
    assert [type(s.value) for s in found] == [type(s.value) for s in given]


def test_a_batch_that_was_taken_before_is_not_taken_again(history, sample):
    assert history.append([sample(1, 1.0)], source="gateway-a", number=1)
    assert history.append([sample(2, 2.0)], source="gateway-a", number=2)
    assert not history.append([sample(1, 1.0)], source="gateway-a", number=1)
    assert not history.append([sample(2, 2.0)], source="gateway-a", number=2)
    assert history.append([sample(3, 3.0)], source="gateway-b", number=1)
    assert [s.value for s in history.read(TAG, BEGIN_US, END_US).samples] == [1.0, 2.0, 3.0]


def test_samples_that_come_late_or_twice_at_one_time_are_all_there_in_order(history, sample):
    history.append([sample(10, 1.0), sample(11, 2.0)])
    history.compact(everything=True)
    history.append([sample(5, 3.0), sample(10, 4.0)])  # the clock went back
    history.append([sample(12, 5.0)])
    history.compact(everything=True)
    assert [s.value for s in history.read(TAG, BEGIN_US, END_US).samples] == [3.0, 1.0, 4.0, 2.0, 5.0]


def test_a_span_is_from_its_start_until_before_its_end_and_says_when_it_is_cut(history, sample):
    history.append([sample(at, float(at)) for at in range(10)])
    found = history.read(TAG, BEGIN_US + 2 * SECOND, BEGIN_US + 8 * SECOND, limit=3)
    assert ([s.value for s in found.samples], found.truncated) == ([2.0, 3.0, 4.0], True)
    found = history.read(TAG, BEGIN_US + 2 * SECOND, BEGIN_US + 8 * SECOND, limit=6)
    assert ([s.value for s in found.samples], found.truncated) == ([2.0, 3.0, 4.0, 5.0, 6.0, 7.0], False)
    assert history.read("pump1.nothing", BEGIN_US, END_US).samples == []


def test_a_mean_weighs_each_value_by_how_long_it_held(history, sample):
    """Reported on change: 10 held for 50 s, 40 for 10 s, and a value before the window holds into it."""
    history.append([sample(-20, 10.0), sample(50, 40.0), sample(60, 7.0)])
    (window, _) = history.windows(TAG, BEGIN_US, BEGIN_US + 120 * SECOND, 60 * SECOND)
    assert (window.minimum, window.maximum, window.count) == (10.0, 40.0, 1)
    assert window.mean == pytest.approx((10 * 50 + 40 * 10) / 60)
    assert window.held_us == 60 * SECOND


def test_what_is_not_good_counts_apart_and_moves_no_mean(history, sample):
    lost = Quality.UncertainNoCommunicationLastUsableValue.code
    history.append([sample(0, 10.0), sample(30, 99.0, quality=lost), sample(45, None, quality=0x80310000)])
    (window,) = history.windows(TAG, BEGIN_US, BEGIN_US + 60 * SECOND, 60 * SECOND)
    assert (window.count, window.doubtful, window.mean, window.maximum) == (1, 2, 10.0, 10.0)
    assert window.held_us == 30 * SECOND


def test_a_value_does_not_hold_while_the_gateway_was_off(history, sample):
    history.append([sample(0, 10.0), sample(3600, 20.0)])
    (first, second) = history.windows(TAG, BEGIN_US, BEGIN_US + 7200 * SECOND, 3600 * SECOND)
    assert (first.held_us, second.held_us) == (90 * SECOND, 90 * SECOND)


def test_text_and_states_have_windows_without_numbers(history, sample):
    history.append([sample(0, "stopped"), sample(30, "running")])
    (window,) = history.windows(TAG, BEGIN_US, BEGIN_US + 60 * SECOND, 60 * SECOND)
    assert (window.count, window.mean, window.minimum, window.last) == (2, None, None, "running")


def test_old_samples_become_windows_that_keep_the_extremes_and_the_mean(history):
    rng = random.Random(7)
    hours = 4
    given = [Sample(TAG, BEGIN_US + at * SECOND, rng.uniform(0, 100)) for at in range(hours * 3600)]
    history.append(given)
    history.compact(everything=True)
    end_us = BEGIN_US + hours * 3600 * SECOND
    (before,) = history.windows(TAG, BEGIN_US, end_us, hours * 3600 * SECOND)
    kept = history.retain(Retention(sample_days=0, minute_days=1), end_us)
    assert kept.summed_up == len(given)
    assert history.read(TAG, BEGIN_US, end_us).samples == []
    minutes = history.windows(TAG, BEGIN_US, end_us, 60 * SECOND)
    assert len(minutes) == hours * 60
    assert history.retain(Retention(sample_days=0, minute_days=0), end_us).summed_up == hours * 60
    assert len(history.windows(TAG, BEGIN_US, end_us, 3600 * SECOND)) == hours
    (after,) = history.windows(TAG, BEGIN_US, end_us, hours * 3600 * SECOND)
    assert (after.count, after.minimum, after.maximum) == (before.count, before.minimum, before.maximum)
    assert after.mean == pytest.approx(before.mean)
    assert history.retain(Retention(sample_days=0, minute_days=0, hour_days=0), end_us + 3600 * SECOND).dropped
    assert history.windows(TAG, BEGIN_US, end_us, 3600 * SECOND) == []


def test_the_latest_sample_and_the_span_are_found_in_old_and_new(history, sample):
    assert (history.latest(TAG, END_US), history.span(TAG)) == (None, None)
    history.append([sample(1, 1.0), sample(2, 2.0)])
    history.compact(everything=True)
    assert history.latest(TAG, END_US) == sample(2, 2.0)
    history.append([sample(9, 9.0)])
    assert history.latest(TAG, END_US) == sample(9, 9.0)
    assert history.latest(TAG, BEGIN_US + 2 * SECOND) == sample(1, 1.0)
    assert history.span(TAG) == (BEGIN_US + SECOND, BEGIN_US + 9 * SECOND)


def test_tags_are_described(history, sample):
    history.append([sample(0, 1.0, tag="b.x"), sample(0, 1.0, tag="a.x")])
    history.describe([TagRecord(name="a.x", unit="bar", description="Druck"), TagRecord(name="c.x")])
    history.describe([TagRecord(name="a.x", unit="kPa", description="Druck")])
    assert history.tags() == [
        TagRecord(name="a.x", unit="kPa", description="Druck"),
        TagRecord(name="b.x"),
        TagRecord(name="c.x"),
    ]


def test_an_alarm_event_is_kept_once_beside_the_values(history):
    event = AlarmEvent(time=datetime(2026, 1, 1, tzinfo=UTC), source="P-101", name="hi", active=True, event_id="e1")
    other = event.model_copy(update={"event_id": "", "time": instant(BEGIN_US + SECOND)})
    history.append_events([event])
    history.append_events([event, other])
    assert history.events(BEGIN_US, END_US, 10) == [event, other]
    assert history.events(BEGIN_US, BEGIN_US + SECOND, 10) == [event]


def test_what_it_takes_on_disk_is_told(history, sample):
    history.append([sample(at, float(at)) for at in range(100)])
    assert history.used_bytes() > 4000
