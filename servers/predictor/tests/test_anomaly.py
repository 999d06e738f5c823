"""Is it behaving as usual: alarms at the declared rate on healthy rows, and soon on others."""

import numpy as np
import pytest
from factorylm_predictor.anomaly import METHODS, Events, StreamJudge, learn_detector
from factorylm_predictor.charts import SPAN, TagCharts, weighted_mean
from factorylm_predictor.errors import DataError
from factorylm_predictor.example import COLUMNS, healthy_rows

TAGS = COLUMNS[2:]


def pump_rows(rows, seed):
    values = healthy_rows(rows, np.random.default_rng(seed))
    return values[:, :2], values[:, 2:]


def a_detector(seed=1, rows=1500, **options):
    settings, values = pump_rows(rows, seed)
    return learn_detector(settings, values, TAGS, **options)


@pytest.mark.parametrize("method", METHODS)
def test_healthy_rows_raise_no_more_than_the_declared_alarms(method):
    rates = []
    for seed in range(4):
        settings, values = pump_rows(2600, seed)
        detector = learn_detector(settings[:1600], values[:1600], TAGS, method=method, false_alarm_rate=0.02)
        rates.append(detector.judge(settings[1600:], values[1600:]).flags.mean())
    assert np.mean(rates) <= 0.025, rates


@pytest.mark.parametrize("method", METHODS)
def test_a_worn_bearing_raises_alarms_that_name_its_tags(method):
    settings, values = pump_rows(2300, 3)
    detector = learn_detector(settings[:2000], values[:2000], TAGS, method=method)
    sick = values[2000:].copy()
    sick[:, 0] *= 1.6
    sick[:, 1] += 8
    judged = detector.judge(settings[2000:], sick)
    assert judged.flags[100:].mean() > 0.9
    carried = [TAGS[row[0]] for row, flag in zip(judged.carriers, judged.flags, strict=True) if flag]
    worn = sum(tag in {"vibration", "bearing_temperature"} for tag in carried)
    assert worn > 0.9 * len(carried)


def test_a_change_of_settings_alone_is_no_alarm():
    settings, values = pump_rows(2000, 5)
    detector = learn_detector(settings[:1500], values[:1500], TAGS)
    fast = settings[:, 0] > 2000
    fast[:1500] = False
    assert fast.sum() > 50
    assert detector.judge(settings[fast], values[fast]).flags.mean() < 0.1


def test_a_stream_is_judged_as_the_whole():
    settings, values = pump_rows(900, 7)
    detector = a_detector(seed=7)
    whole = detector.judge(settings, values).score
    judge = StreamJudge(detector)
    pieces = [judge.next(settings[a : a + 70], values[a : a + 70]).score for a in range(0, 900, 70)]
    assert np.concatenate(pieces) == pytest.approx(whole, rel=1e-3, abs=1e-3)


def test_too_few_healthy_rows_are_refused():
    settings, values = pump_rows(40, 1)
    with pytest.raises(DataError, match="40 complete healthy rows are too few"):
        learn_detector(settings, values, TAGS)


def test_a_tag_that_never_moves_is_named_and_not_judged():
    settings, values = pump_rows(500, 1)
    values[:, 3] = 7.0
    detector = learn_detector(settings, values, TAGS)
    assert detector.tags == TAGS[:3]
    assert detector.notes == (f"'{TAGS[3]}' never changes in the baseline and is not judged",)


def test_a_baseline_without_any_movement_is_refused():
    with pytest.raises(DataError, match="no tag ever changes"):
        learn_detector(np.empty((100, 0)), np.ones((100, 2)), ("a", "b"))


def test_changing_units_changes_no_alarm():
    settings, values = pump_rows(1200, 9)
    scale, offset = np.array([0.04, 1.8, -3.0, 1e5]), np.array([0.0, 32, 4, -7])
    plain = learn_detector(settings[:800], values[:800], TAGS)
    other = learn_detector(settings[:800] * 60, values[:800] * scale + offset, TAGS)
    one = plain.judge(settings[800:], values[800:]).score
    two = other.judge(settings[800:] * 60, values[800:] * scale + offset).score
    assert two == pytest.approx(one, rel=1e-4)


def test_an_event_begins_and_ends_after_rows_that_agree():
    flags = np.array([0, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0], dtype=bool)
    events = Events(3)
    lasting = np.concatenate([events.next(flags[:6]), events.next(flags[6:])])
    assert lasting.tolist() == [bool(v) for v in [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]]


def test_live_charts_agree_with_the_block_statistic():
    rng = np.random.default_rng(2)
    baseline = rng.normal(5, 2, size=(400, 6))
    charts = TagCharts(baseline)
    rows = rng.normal(6, 2, size=(50, 6))
    live = np.stack([charts.score(row.astype(np.float32)) for row in rows])
    away = (rows - baseline.mean(axis=0)) / baseline.std(axis=0)
    limit = np.quantile(
        np.abs(weighted_mean((baseline - baseline.mean(axis=0)) / baseline.std(axis=0), SPAN)), 0.99, axis=0
    )
    assert live == pytest.approx(np.abs(weighted_mean(away, SPAN)) / limit, rel=1e-3, abs=1e-4)


def test_a_missing_value_leaves_a_live_chart_where_it_was():
    charts = TagCharts(np.random.default_rng(0).normal(size=(200, 2)))
    before = charts.score(np.array([3.0, 3.0], dtype=np.float32)).copy()
    after = charts.score(np.array([np.nan, 3.0], dtype=np.float32))
    assert after[0] == before[0]
    assert after[1] > before[1]
