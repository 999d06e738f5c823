"""When will it fail: intervals that hold, and refusals that say why."""

from dataclasses import replace

import numpy as np
import pytest
from factorylm_predictor.errors import DataError
from factorylm_predictor.example import COLUMNS, PumpLife, pump_life
from factorylm_predictor.histories import Histories, History
from factorylm_predictor.remaining_life import assess_units


def changed(pump: PumpLife, column: str, values) -> PumpLife:
    matrix = pump.values.copy()
    matrix[:, COLUMNS.index(column)] = values
    return replace(pump, values=matrix)


def histories_of(pump: PumpLife, **changes) -> Histories:
    history = History(unit=pump.pump, times=pump.hours, values=pump.values)
    whole = Histories(
        source="today.csv", columns=COLUMNS, clock="number", units=(history,), rows_read=1, rows_per_mean=1
    )
    return replace(whole, **changes)


def test_the_interval_holds_the_truth_on_pumps_never_seen(pump_model, ask):
    rng = np.random.default_rng(123)
    inside, errors, constant, answered = 0, [], [], 0
    for seed in range(120):
        pump = pump_life(f"T{seed}", rng)
        left = pump.life_h * rng.uniform(0.03, 0.6)
        known = pump.until(pump.life_h - left)
        truth = min(pump.life_h - known.hours[-1], pump_model.cap * pump_model.step)
        answer = ask(known)
        if answer.estimate is None:
            continue
        answered += 1
        inside += answer.estimate.low <= truth <= answer.estimate.high
        errors.append(answer.estimate.life - truth)
        constant.append(truth)
    assert answered >= 114
    assert 0.82 <= inside / answered <= 0.98
    assert np.sqrt(np.mean(np.square(errors))) < 0.6 * np.std(constant)


def test_the_declared_coverage_is_measured_on_assets_left_out(pump_model):
    rows = {r["declared"]: r["measured"] for r in pump_model.card["errors_in_steps"]["reliability"]}
    assert all(abs(measured - declared) < 0.12 for declared, measured in rows.items()), rows
    assert pump_model.card["data"]["failures"] == 40


def test_no_number_above_the_horizon_is_told(pump_model, ask):
    new = pump_life("Y", np.random.default_rng(5))
    answer = ask(new.until(0.2 * new.life_h))
    horizon = pump_model.cap * pump_model.step
    assert answer.estimate is not None
    assert answer.estimate.life <= horizon
    assert answer.estimate.high == horizon
    assert answer.estimate.high_open


def test_the_answer_names_the_worn_tags_and_past_cases(ask, old_pump):
    estimate = ask(old_pump).estimate
    assert {d.tag for d in estimate.drivers[:2]} == {"vibration", "bearing_temperature"}
    assert all(d.deviation > 1 for d in estimate.drivers[:2])
    assert len({c.unit for c in estimate.similar}) == 3
    truth = old_pump.life_h - old_pump.hours[-1]
    assert abs(np.median([c.ran_on for c in estimate.similar]) - truth) < 200


def test_prediction_is_the_same_whether_asked_alone_or_with_others(pump_model, pumps):
    together = assess_units(
        pump_model,
        replace(
            histories_of(pumps[0]),
            units=(
                History(unit="a", times=pumps[0].hours, values=pumps[0].values),
                History(unit="b", times=pumps[1].hours, values=pumps[1].values),
            ),
        ),
    )
    alone = assess_units(pump_model, histories_of(pumps[1]))
    assert together[1].estimate.life == alone[0].estimate.life


def test_three_rows_are_refused_for_want_of_a_baseline(ask, old_pump):
    answer = ask(replace(old_pump, hours=old_pump.hours[:3], values=old_pump.values[:3]))
    assert answer.estimate is None
    assert str(answer.refusal) == (
        "no_baseline: 3 rows since commissioning; 10 are needed before anything can be compared"
    )


def test_another_machine_type_is_refused_as_novel(ask, old_pump):
    other = replace(old_pump, values=old_pump.values * [1, 1, 3.0, 1.4, 2.0, 1.5])
    assert ask(other).refusal.code == "novel"


def test_swapped_columns_are_refused(ask, old_pump):
    vibration, pressure = COLUMNS.index("vibration"), COLUMNS.index("discharge_pressure")
    order = list(range(len(COLUMNS)))
    order[vibration], order[pressure] = pressure, vibration
    assert ask(replace(old_pump, values=old_pump.values[:, order])).refusal is not None


def test_settings_the_training_never_saw_are_refused(ask, old_pump):
    answer = ask(changed(old_pump, "speed", old_pump.values[:, 0] * 2.5))
    assert answer.refusal.code == "unseen_conditions"
    assert "100%" in answer.refusal.found


def test_a_unit_of_measure_changed_midway_is_refused(ask, old_pump):
    celsius = old_pump.values[:, COLUMNS.index("bearing_temperature")]
    half = len(celsius) // 2
    mixed = np.r_[celsius[:half], celsius[half:] * 1.8 + 32]
    answer = ask(changed(old_pump, "bearing_temperature", mixed))
    assert answer.refusal.code == "jump"
    assert "'bearing_temperature'" in answer.refusal.found


def test_a_constant_sensor_that_carries_the_answer_is_refused(ask, old_pump):
    answer = ask(changed(old_pump, "vibration", 1.5))
    assert answer.refusal.code == "tags_missing"
    assert "vibration" in answer.refusal.found


def test_a_block_of_missing_values_at_the_end_is_refused(ask, old_pump):
    vibration = old_pump.values[:, COLUMNS.index("vibration")].copy()
    vibration[-25:] = np.nan
    assert ask(changed(old_pump, "vibration", vibration)).refusal.code == "tags_missing"


def test_a_few_missing_values_change_little(ask, old_pump):
    vibration = old_pump.values[:, COLUMNS.index("vibration")].copy()
    vibration[5::20] = np.nan
    with_gaps = ask(changed(old_pump, "vibration", vibration)).estimate
    whole = ask(old_pump).estimate
    assert abs(with_gaps.life - whole.life) < 0.25 * (whole.high - whole.low) + 20


def test_sampling_far_from_the_trainings_is_refused(ask, old_pump):
    answer = ask(replace(old_pump, hours=old_pump.hours * 24))
    assert answer.refusal.code == "sampling"
    assert "192" in answer.refusal.found


def test_rows_more_often_than_in_training_are_averaged(ask, old_pump):
    finer = replace(
        old_pump,
        hours=(old_pump.hours[:, None] + np.array([-6, -4, -2, 0])).ravel(),
        values=np.repeat(old_pump.values, 4, axis=0),
    )
    assert ask(finer).estimate.life == pytest.approx(ask(old_pump).estimate.life, rel=0.02)


def test_a_time_in_the_future_is_refused(pump_model, old_pump):
    model = replace(pump_model, clock="timestamp")
    answer = assess_units(model, histories_of(old_pump, clock="timestamp"), now=float(old_pump.hours[-1]) - 30)[0]
    assert answer.refusal.code == "clock"
    assert "30.0 h in the future" in answer.refusal.found


def test_a_clock_of_another_kind_is_refused(pump_model, old_pump):
    with pytest.raises(DataError, match="'hours' is a timestamp here and was a number in training"):
        assess_units(pump_model, histories_of(old_pump, clock="timestamp"))


def test_two_columns_swapped_in_name_alone_change_nothing(pump_model, old_pump):
    order = [5, 4, 3, 2, 1, 0]
    shuffled = histories_of(
        replace(old_pump, values=old_pump.values[:, order]), columns=tuple(COLUMNS[i] for i in order)
    )
    assert (
        assess_units(pump_model, shuffled)[0].estimate.life
        == assess_units(pump_model, histories_of(old_pump))[0].estimate.life
    )
