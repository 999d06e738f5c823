"""Naming faults: right on blocks of time kept apart, 'unknown' beyond the labelled cases."""

import numpy as np
import pytest
from factorylm_predictor import physics
from factorylm_predictor.errors import DataError
from factorylm_predictor.faults import blocked_folds, fit_faults, name_faults, parse_derived
from factorylm_schema.errors import BadRequestError, UnknownNameError

RNG = np.random.default_rng(3)


def cases(rows=900):
    torque, speed = RNG.normal(40, 8, rows), RNG.normal(1500, 150, rows)
    power = torque * speed * 2 * np.pi / 60
    label = np.where(power > 8000, "overload", np.where(power < 4600, "idling", "normal"))
    return {"torque": torque, "speed": speed}, label


def test_a_fault_set_by_power_is_named_from_torque_and_speed():
    columns, labels = cases()
    model = fit_faults(columns, labels, [parse_derived("power=shaft_power_w(torque,speed)")])
    assert model.card["metrics"]["balanced_accuracy"] > 0.95
    fresh, truth = cases(300)
    named = name_faults(model, fresh)
    right = [n.label == t for n, t in zip(named, truth, strict=True) if n.label]
    assert len(right) > 270
    assert np.mean(right) > 0.97


def test_rows_unlike_all_cases_are_unknown():
    columns, labels = cases()
    model = fit_faults(columns, labels)
    (named,) = name_faults(model, {"torque": np.array([400.0]), "speed": np.array([1500.0])})
    assert named.label is None
    assert "unlike every labelled case" in named.why_unknown


def test_a_missing_value_is_unknown():
    columns, labels = cases()
    (named,) = name_faults(fit_faults(columns, labels), {"torque": np.array([np.nan]), "speed": np.array([1500.0])})
    assert (named.label, named.why_unknown) == (None, "a value is missing")


def test_tags_that_do_not_carry_the_fault_are_refused():
    rng = np.random.default_rng(0)
    noise = {"a": rng.normal(size=400), "b": rng.normal(size=400)}
    with pytest.raises(DataError, match="these tags do not carry this fault"):
        fit_faults(noise, rng.choice(["worn", "sound"], 400))


def test_neighbours_in_time_are_kept_apart():
    """A slow drift tells shuffled folds which block a row is from; blocked folds are not fooled."""
    rng = np.random.default_rng(1)
    label = np.repeat(rng.permutation(np.arange(40) % 2), 25)
    drift = {"temperature": np.cumsum(rng.normal(0, 1, 1000))}
    with pytest.raises(DataError, match=r"chance is 0\.50"):
        fit_faults(drift, np.where(label == 1, "worn", "sound"))


def test_every_fold_holds_a_contiguous_part_of_every_label():
    codes = np.array([0] * 10 + [1] * 5)
    assert blocked_folds(codes).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a"] * 20, "all rows carry the same label"), (["a"] * 17 + ["b"] * 3, "'b' has 3 rows; 5 are the least")],
)
def test_labels_that_teach_nothing_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        fit_faults({"x": np.arange(20.0)}, np.array(labels))


def test_an_unknown_formula_names_the_known_ones():
    with pytest.raises(UnknownNameError, match="shaft_power_w"):
        parse_derived("p=shaft_power(m,n)")
    with pytest.raises(BadRequestError, match="is not a derived column"):
        parse_derived("power")


def test_physical_quantities_follow_their_formulas():
    assert physics.shaft_power_w(40.0, 1500.0) == pytest.approx(6283.19, rel=1e-5)
    assert physics.temperature_difference_k(308.7, 298.2) == pytest.approx(10.5)
    assert physics.wear_strain(200.0, 50.0) == 10_000
    assert physics.pump_efficiency(0.05, 4e5, 25_000.0) == pytest.approx(0.8)


def test_bearing_frequencies_agree_with_a_published_bearing():
    """SKF 6205 at 1797 /min, the Case Western test rig: 107.36, 162.19, 70.58 (twice spin: 141.17), 11.93 Hz."""
    bearing = physics.Bearing(balls=9, ball_diameter_mm=7.94, pitch_diameter_mm=39.04)
    found = physics.bearing_frequencies(bearing, 1797 / 60)
    assert found.outer_race_hz == pytest.approx(107.36, rel=2e-3)
    assert found.inner_race_hz == pytest.approx(162.19, rel=2e-3)
    assert found.ball_hz == pytest.approx(70.58, rel=2e-3)
    assert found.cage_hz == pytest.approx(11.93, rel=2e-3)
