"""Known systems are recovered; data that cannot carry an answer is refused with the right reason."""

import numpy as np
import pytest
from factorylm_twin import what_if
from factorylm_twin.lag import LagShape, fit_lag
from factorylm_twin.narx import Shape, fit_narx, gain_of
from factorylm_twin.residuals import departure
from hypothesis import given, settings
from hypothesis import strategies as st


def lagged(rng, gain, time, delay, noise, rows=800):
    u = np.repeat(rng.uniform(0, 10, rows // 25 + 1), 25)[:rows]
    keep, y = np.exp(-1 / time), np.full(rows, 4.0 + gain * u[0])
    for k in range(1, rows):
        y[k] = keep * y[k - 1] + (1 - keep) * (4.0 + gain * u[max(0, k - 1 - delay)])
    return u[:, None], y + rng.normal(0, noise * abs(gain), rows)


@settings(max_examples=25, deadline=None)
@given(
    gain=st.floats(0.1, 50).flatmap(lambda g: st.sampled_from([g, -g])),
    time=st.floats(2, 15),
    delay=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_gain_and_time_constant_are_found_through_noise(gain, time, delay, seed):
    u, y = lagged(np.random.default_rng(seed), gain, time, delay, 0.1)
    model = fit_lag(u, y, LagShape(delays=(delay,), degree=1, order=1))
    assert model.gains[0, 0] / model.spread[0] == pytest.approx(gain, rel=0.05)
    assert model.times[0] == pytest.approx(time, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(pole=st.floats(0.2, 0.97), gain=st.floats(-5, 5).filter(lambda g: abs(g) > 0.01), scale=st.floats(1e-4, 1e4))
def test_a_linear_system_is_recovered_whatever_its_units(pole, gain, scale):
    u = np.random.default_rng(1).normal(size=(400, 1)) * scale
    y = np.zeros(400)
    for k in range(1, 400):
        y[k] = pole * y[k - 1] + gain * (1 - pole) * u[k - 1, 0]
    model = fit_narx(u, y, Shape(na=1, nb=1, delays=(1,), degree=1, ridge=0.0))
    assert gain_of(model, 0) == pytest.approx(gain, rel=1e-6)
    assert model.run(u, y[:5]) == pytest.approx(y, abs=1e-6 * np.ptp(y))


def test_a_what_if_gives_the_known_change(pump_twin, pump):
    answer = what_if(pump_twin, ["speed=1200"])
    effect = answer.effects[0]
    true = 0.08 * (1200 - pump["speed"][-1])
    assert effect.change == pytest.approx(true, rel=0.05)
    assert effect.new == pytest.approx(76.0, rel=0.01)
    assert effect.low < 76.0 < effect.high
    assert effect.settling == pytest.approx(3 + 6 * np.log(50), abs=5)
    assert pump_twin.grade == "A"


def test_the_band_covers_about_what_it_says(pump_twin, pump):
    output = pump_twin.outputs[0]
    rng = np.random.default_rng(8)
    u, y = lagged(rng, 0.08, 6.0, 3, 0.0)
    u, y = 1000 + 40 * u, -20 + 0.08 * (1000 + 40 * u[:, 0])
    keep = np.exp(-1 / 6)
    for k in range(1, len(u)):
        y[k] = keep * y[k - 1] + (1 - keep) * (-20 + 0.08 * u[max(0, k - 4), 0])
    y += rng.normal(0, 0.2, len(y))
    run = output.part.run(u, y[:50])
    half = output.band_at(np.arange(len(y)) - 49.0)
    covered = np.mean(np.abs(y - run)[50:] <= half[50:])
    assert 0.85 <= covered <= 0.97


def test_a_bent_gain_is_followed(learned):
    rng = np.random.default_rng(2)
    u = np.repeat(rng.uniform(0, 10, 40), 30)
    y = np.zeros(1200)
    for k in range(1, 1200):
        y[k] = 0.8 * y[k - 1] + 0.2 * (0.5 * u[k - 1] ** 2)
    twin = learned({"u": u, "y": y + rng.normal(0, 0.05, 1200)}, ["u"], ["y"])
    small, large = (what_if(twin, [f"u={v}"]).effects[0].new for v in (2, 9))
    assert twin.grade == "A"
    assert small == pytest.approx(2.0, abs=0.5)
    assert large == pytest.approx(40.5, rel=0.03)


def test_two_inputs_are_told_apart(learned):
    rng = np.random.default_rng(5)
    a, b = (np.repeat(rng.uniform(0, 10, 60), 20) for _ in range(2))
    y = np.zeros(1200)
    for k in range(1, 1200):
        y[k] = 0.85 * y[k - 1] + 0.15 * (3 * a[k - 1] - 2 * b[k - 1])
    twin = learned({"a": a, "b": b, "y": y + rng.normal(0, 0.1, 1200)}, ["a", "b"], ["y"])
    assert what_if(twin, ["a=+1" if a[-1] < 8 else "a=-1"]).effects[0].change == pytest.approx(
        3.0 if a[-1] < 8 else -3.0, rel=0.05
    )
    assert what_if(twin, ["b=+1" if b[-1] < 8 else "b=-1"]).effects[0].change == pytest.approx(
        -2.0 if b[-1] < 8 else 2.0, rel=0.05
    )


def reason(learned, columns, inputs=("speed",)):
    twin = learned(columns, inputs, ["flow"])
    assert twin.grade == "refuse"
    answer = what_if(twin, [f"{inputs[0]}=+1%"])
    assert answer.refused
    assert answer.effects[0].new is None
    return answer.reason


def test_a_constant_input_is_refused(learned, pump):
    assert "constant_input: speed" in reason(learned, {**pump, "speed": np.full(1200, 1200.0)})


def test_collinear_inputs_are_refused_by_name(learned, pump):
    text = reason(learned, {**pump, "current": 3 * pump["speed"] + 1}, ("speed", "current"))
    assert "collinear_inputs: speed and current" in text


def test_a_sum_of_inputs_is_collinear_too(learned, pump):
    rng = np.random.default_rng(1)
    a, b = (np.repeat(rng.uniform(0, 10, 60), 20) for _ in range(2))
    assert "collinear_inputs" in reason(
        learned, {"speed": a, "b": b, "c": a + b, "flow": pump["flow"]}, ("speed", "b", "c")
    )


def test_missing_blocks_are_refused(learned, pump):
    flow = pump["flow"].copy()
    flow[300:400] = np.nan
    assert "missing_data: flow" in reason(learned, {**pump, "flow": flow})


@pytest.mark.parametrize("factor", [3.6, 1000.0, 1 / 60])
@pytest.mark.parametrize("column", ["speed", "flow"])
def test_a_unit_changed_in_the_middle_is_refused(learned, pump, column, factor):
    values = pump[column].copy()
    values[600:] *= factor
    assert f"changed_unit: {column}" in reason(learned, {**pump, column: values})


def test_fahrenheit_after_celsius_is_seen(learned, pump):
    flow = pump["flow"].copy()
    flow[700:] = 1.8 * flow[700:] + 32
    assert "changed_unit: flow" in reason(learned, {**pump, "flow": flow})


def test_noise_is_not_explained(learned, pump):
    text = reason(learned, {**pump, "flow": np.random.default_rng(1).normal(50, 3, 1200)})
    assert "poor_free_run" in text


def test_too_few_rows_are_refused(learned, pump):
    assert "too_short" in reason(learned, {n: v[:60] for n, v in pump.items()})


def test_a_change_outside_the_envelope_is_refused(pump_twin):
    answer = what_if(pump_twin, ["speed=2000"])
    assert (answer.refused, answer.in_envelope) == (True, False)
    assert "speed = 2000" in answer.reason


def test_a_constant_setpoint_is_refused_and_the_experiment_named(learned, loop):
    twin = learned(loop(0.0), ["valve"], ["level"], mode="mode", setpoint="wanted")
    assert twin.grade == "refuse"
    assert "move the set-point" in twin.outputs[0].reason


def test_a_controller_is_noticed_when_nobody_names_it(learned, loop):
    twin = learned(loop(0.0), ["valve"], ["level"])
    assert twin.grade == "refuse"
    assert "--setpoint" in twin.outputs[0].reason


def test_setpoint_moves_give_the_gain(learned, loop):
    columns = loop(1.0, seed=2)
    twin = learned(columns, ["valve"], ["level"], mode="mode", setpoint="wanted")
    effect = what_if(twin, ["valve=+0.2"]).effects[0]
    assert twin.grade in {"B", "C"}
    assert effect.change == pytest.approx(0.4, rel=0.3)
    assert 0 < effect.change_low <= effect.change <= effect.change_high


def test_a_departure_is_dated_and_quiet_rows_raise_none():
    rest = np.random.default_rng(1).normal(0, 1, 1000)
    assert departure(rest, 1.0) is None
    rest[600:] += 3
    at = departure(rest, 1.0)
    assert at is not None
    assert 590 <= at <= 615


def test_a_known_sign_is_kept_or_the_fit_refused(learned, pump):
    assert learned(pump, ["speed"], ["flow"], signs=(1,)).grade == "A"
    twin = learned(pump, ["speed"], ["flow"], signs=(-1,))
    assert twin.grade == "refuse"
    assert "against_physics" in twin.outputs[0].reason
    assert "speed" in twin.outputs[0].reason


def test_a_level_that_adds_up_has_no_steady_value(learned):
    rng = np.random.default_rng(4)
    u = np.repeat(rng.uniform(-1, 1, 100), 20)
    level = 5 + np.cumsum(u - u.mean()) / 40 + rng.normal(0, 0.01, 2000)
    twin = learned({"u": u, "y": level}, ["u"], ["y"])
    answer = what_if(twin, ["u=+20%"])
    assert answer.refused
    assert answer.reason.split(":")[0] in {"adds_up", "never_settles"}


@pytest.mark.parametrize("grain", [0.0, 0.02, 0.1])
def test_a_controller_is_noticed_also_through_a_coarse_output(learned, loop, grain):
    columns = loop(0.0, seed=3, grain=grain)
    assert "closed_loop" in learned(columns, ["valve"], ["level"]).outputs[0].reason


def test_a_machine_that_answers_within_a_row_is_not_taken_for_a_controller(learned, plants):
    rng = np.random.default_rng(9)
    speed = plants.levels(rng, 1000, 1400, 2400, 45)
    flow = 0.05 * speed + rng.normal(0, 0.2, 2400)
    twin = learned({"speed": speed, "flow": flow}, ["speed"], ["flow"])
    assert twin.grade == "A"
    target = 1150.0
    assert what_if(twin, [f"speed={target}"]).effects[0].change == pytest.approx(0.05 * (target - speed[-1]), rel=0.03)


@settings(max_examples=6, deadline=None)
@given(gain=st.sampled_from([-3.0, -0.2, 0.2, 3.0]), time=st.floats(2, 12), seed=st.integers(0, 99))
def test_the_change_lies_in_its_own_band_or_near_it_and_has_the_right_sign(learned, gain, time, seed):
    u, y = lagged(np.random.default_rng(seed), gain, time, 2, 0.1, rows=1200)
    target = 2.0 if u[-1, 0] > 5 else 8.0
    effect = what_if(learned({"u": u[:, 0], "y": y}, ["u"], ["y"]), [f"u={target}"]).effects[0]
    true = gain * (target - u[-1, 0])
    assert effect.change * true > 0
    assert effect.change == pytest.approx(true, rel=0.05)
    assert effect.low <= 4.0 + gain * target <= effect.high
