"""What a training makes of its histories, and what it says when they are too few or wrong."""

from dataclasses import replace

import numpy as np
import pytest
from factorylm_predictor.errors import DataError
from factorylm_predictor.example import COLUMNS, pump_life
from factorylm_predictor.histories import History
from factorylm_predictor.remaining_life import assess


def asked(model, pump, columns=COLUMNS):
    return assess(model, History(unit=pump.pump, times=pump.hours, values=pump.values), columns)


def test_renaming_columns_and_changing_units_changes_no_prediction(pumps, fit_pumps, old_pump):
    scale = np.array([0.1, 3.7, -2.0, 1.8, 1000.0, 0.0689])
    offset = np.array([5.0, 0.0, 7.0, 32.0, -3.0, 1.0])
    few = pumps[:15]
    in_other_units = [replace(p, values=p.values * scale + offset, hours=p.hours * 3600 + 10) for p in few]
    other_pump = replace(old_pump, values=old_pump.values * scale + offset, hours=old_pump.hours * 3600 + 10)
    plain = asked(fit_pumps(few), old_pump).estimate
    other = asked(fit_pumps(in_other_units), other_pump).estimate
    told = np.array([plain.life, plain.low, plain.high])
    assert np.array([other.life, other.low, other.high]) / 3600 == pytest.approx(told, rel=1e-6)
    assert [c.unit for c in plain.similar] == [c.unit for c in other.similar]


def test_three_failures_give_a_model_that_refuses_and_says_so(pumps, fit_pumps, old_pump):
    model = fit_pumps(pumps[:3])
    assert model.refusal == "too_few_failures: 3 seen, 5 are the least for any number"
    answer = asked(model, old_pump)
    assert answer.estimate is None
    assert answer.refusal.code == "too_few_failures"


def test_six_failures_give_an_interval_that_calls_itself_uncalibrated(pumps, fit_pumps, old_pump):
    estimate = asked(fit_pumps(pumps[:6]), old_pump).estimate
    assert estimate.confidence == "uncalibrated"
    assert estimate.low <= estimate.life <= estimate.high


def test_twelve_failures_give_low_confidence(pumps, fit_pumps, old_pump):
    assert asked(fit_pumps(pumps[:12]), old_pump).estimate.confidence == "low"


def test_sensors_without_a_trend_lead_to_refusal(pumps, fit_pumps, old_pump):
    rng = np.random.default_rng(3)
    noise = [replace(p, values=rng.normal(size=p.values.shape)) for p in pumps[:20]]
    model = fit_pumps(noise, settings=())
    assert model.refusal.startswith("no_trend: the sensors add nothing to age")
    answer = asked(model, replace(old_pump, values=rng.normal(size=old_pump.values.shape)))
    assert answer.refusal.code == "no_trend"


def test_a_unit_that_never_failed_given_as_failed_is_taken_as_alive(pumps, fit_pumps):
    healthy = pump_life("HEALTHY", np.random.default_rng(17), mean_life_h=3000)
    healthy = healthy.until(0.24 * healthy.life_h)
    model = fit_pumps([*pumps[:25], replace(healthy, pump="HEALTHY")])
    assert model.card["data"]["taken_as_still_alive"] == ["HEALTHY"]
    assert (model.failures, model.censored) == (25, 1)


def test_no_real_failure_is_taken_as_alive(pump_model):
    assert pump_model.card["data"]["taken_as_still_alive"] == []


def test_censored_units_are_used_where_they_are_known_to_be_healthy(pumps, fit_pumps):
    alive = [replace(p.until(0.8 * p.life_h), pump=f"alive {p.pump}") for p in pumps[10:20]]
    model = fit_pumps(pumps[:10], alive)
    assert (model.failures, model.censored) == (10, 10)
    assert "10 units are still alive (censored)" in model.card["data"]["notes"]


def test_a_unit_both_failed_and_alive_is_an_error(pumps, fit_pumps):
    with pytest.raises(DataError, match="both as failed and as still alive: P3"):
        fit_pumps(pumps[:10], [pumps[3]])


def test_a_unit_whose_measure_changed_midway_is_left_out(pumps, fit_pumps):
    odd = pumps[4].values.copy()
    odd[len(odd) // 2 :, 3] = odd[len(odd) // 2 :, 3] * 1.8 + 32
    model = fit_pumps([*pumps[:4], replace(pumps[4], values=odd), *pumps[5:20]])
    assert model.failures == 19
    assert "'bearing_temperature' of unit P4 jumps and stays there; the unit is left out" in model.card["data"]["notes"]


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("the answer", "it follows the time to failure too closely to be a measurement (leakage)"),
        ("serial", "it is constant within every unit, so it names the unit instead of its wear"),
        ("counter", "it is the clock under another name"),
        ("stuck", "it never changes"),
        ("empty", "100% of its values are missing"),
    ],
)
def test_columns_that_must_not_be_learned_from_are_left_out_with_the_reason(pumps, column, why):
    from factorylm_predictor.fleet import unfit_columns
    from factorylm_predictor.histories import Histories

    units = []
    for number, pump in enumerate(pumps[:8]):
        made = {
            "the answer": pump.hours[-1] - pump.hours + np.random.default_rng(number).normal(0, 9, len(pump.hours)),
            "serial": np.full(len(pump.hours), 1000.0 + number),
            "counter": 3 * pump.hours + 7,
            "stuck": np.full(len(pump.hours), 4.0),
            "empty": np.full(len(pump.hours), np.nan),
        }
        values = np.column_stack([pump.values[:, 2], made[column]])
        units.append(History(unit=pump.pump, times=pump.hours, values=values))
    histories = Histories(
        source="runs", columns=("vibration", column), clock="number", units=tuple(units), rows_read=1, rows_per_mean=1
    )
    assert unfit_columns(histories) == [f"'{column}': {why}"]


def test_the_horizon_is_the_shortest_life_and_one_early_death_does_not_set_it(pumps, fit_pumps):
    lives = [len(p.hours) - 1 for p in pumps[:20]]
    model = fit_pumps(pumps[:20])
    assert min(lives) - 25 <= model.cap <= min(lives)
    early = replace(pumps[30], hours=pumps[30].hours[:15], values=pumps[30].values[-15:])
    assert fit_pumps([*pumps[:20], early]).cap >= 0.5 * np.median(lives) - 25


def test_long_records_are_averaged_to_steps(pumps, fit_pumps, old_pump):
    def finer(pump):
        hours = (pump.hours[:, None] + np.linspace(-7, 0, 8)).ravel()
        rng = np.random.default_rng(1)
        noise = rng.normal(0, 0.01, (len(hours), len(COLUMNS)))
        return replace(pump, hours=hours, values=np.repeat(pump.values, 8, axis=0) + noise)

    model = fit_pumps([finer(p) for p in pumps[:12]])
    assert model.step == pytest.approx(6, abs=2)
    assert asked(model, finer(old_pump)).estimate is not None


def test_the_card_says_what_the_model_is_made_of(pump_model):
    card = pump_model.card
    assert card["data"]["rows"] > 4000
    assert card["split"] == "by asset: every error below is from members that never saw the asset"
    assert card["errors_in_steps"]["rmse"] < card["errors_in_steps"]["rmse_of_the_clock"]
    assert card["domain"]["conditions"] in {"clusters", "surface"}
    assert set(card) >= {"purpose", "data", "split", "errors_in_steps", "interval", "horizon", "domain", "drift"}
