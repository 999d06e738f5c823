"""Grey-box templates find the constants of plants that follow their equations, and nothing of plants that do not."""

import numpy as np
import pytest
from factorylm_twin import what_if
from factorylm_twin.choosing import TEMPLATES
from factorylm_twin.cli import _TEMPLATES

ROWS = 900


def held(rng, low, high):
    return np.repeat(rng.uniform(low, high, ROWS // 30), 30)


def behind_a_lag(steady, time, noise, rng):
    y, keep = steady.copy(), np.exp(-1 / time)
    for k in range(1, len(y)):
        y[k] = keep * y[k - 1] + (1 - keep) * steady[k - 1]
    return y + rng.normal(0, noise, len(y))


def exchanged(flow, warm, cold, transfer=30.0, product=18.6):
    water = flow / 3.6 * 4.18
    small, large = np.minimum(product, water), np.maximum(product, water)
    ratio = small / large
    decay = np.exp(-transfer / small * (1 - ratio))
    return warm - (1 - decay) / (1 - ratio * decay) * small * (warm - cold) / product


@pytest.mark.parametrize(
    ("template", "law", "low", "high", "words"),
    [
        ("pump", lambda n: np.sqrt(52 * (n / 1480) ** 2 - 8) / 0.116, 1000, 1400, "pump flow"),
        ("pump", lambda n: 1.2 + 4.0 * (n / 1480) ** 2, 900, 1400, "pump pressure"),
        ("pump", lambda n: 5.2 * (n / 1480) ** 3 + 0.35 * n / 1480, 900, 1400, "pump power"),
        ("fan", lambda n: 30 * n / 900, 300, 900, "fan flow"),
        ("fan", lambda n: 7.5 * (n / 900) ** 3, 300, 900, "fan power"),
        ("motor", lambda i: 22 + 1.05 * i**2, 2, 7, "motor temperature"),
        ("conveyor", lambda v: 2.2 + 0.12 * v, 10, 28, "conveyor current"),
    ],
)
def test_a_machine_that_follows_its_law_is_found(learned, template, law, low, high, words):
    rng = np.random.default_rng(4)
    x = held(rng, low, high)
    span = abs(law(high) - law(low))
    y = behind_a_lag(law(x), 5.0, 0.01 * span, rng)
    twin = learned({"x": x, "y": y}, ["x"], ["y"], template=template)
    assert twin.grade == "A"
    assert twin.outputs[0].words.startswith(words)
    assert twin.outputs[0].part.time == pytest.approx(5.0, rel=0.1)
    target = low + 0.3 * (high - low)
    effect = what_if(twin, [f"x={target}"]).effects[0]
    assert effect.change == pytest.approx(law(target) - law(x[-1]), rel=0.03)


def test_the_exchanger_is_found_in_three_inputs(learned):
    rng = np.random.default_rng(5)
    flow, warm, cold = held(rng, 14, 28), held(rng, 55, 65), held(rng, 12, 18)
    y = behind_a_lag(exchanged(flow, warm, cold), 8.0, 0.05, rng)
    columns = {"water": flow, "in": warm, "river": cold, "out": y}
    twin = learned(columns, ["water", "in", "river"], ["out"], template="exchanger")
    assert twin.grade == "A"
    effect = what_if(twin, ["water=26"]).effects[0]
    true = exchanged(26.0, warm[-1], cold[-1]) - exchanged(flow[-1], warm[-1], cold[-1])
    assert effect.change == pytest.approx(true, rel=0.03)


def test_load_and_ambient_may_join(learned):
    rng = np.random.default_rng(6)
    speed, load, ambient = held(rng, 18, 28), held(rng, 0.3, 0.9), held(rng, 15, 30)
    amps = behind_a_lag(2.2 + 4.6 * load * speed / 24, 4.0, 0.03, rng)
    belt = learned({"v": speed, "load": load, "i": amps}, ["v", "load"], ["i"], template="conveyor")
    assert belt.grade == "A"
    now, then = 4.6 * load[-1] * speed[-1] / 24, 4.6 * load[-1] * 22 / 24
    assert what_if(belt, ["v=22"]).effects[0].change == pytest.approx(then - now, rel=0.05)
    warm = behind_a_lag(ambient + 1.05 * (load * 6) ** 2, 20.0, 0.1, rng)
    motor = learned({"i": load * 6, "ambient": ambient, "t": warm}, ["i", "ambient"], ["t"], template="motor")
    assert motor.grade == "A"
    assert what_if(motor, ["ambient=+2" if ambient[-1] < 25 else "ambient=-2"]).effects[0].change == pytest.approx(
        2 if ambient[-1] < 25 else -2, rel=0.02
    )


def test_a_law_is_not_bent_to_a_machine_that_breaks_it(learned):
    rng = np.random.default_rng(7)
    x = held(rng, 300, 900)
    y = behind_a_lag(100 - 0.08 * x, 5.0, 0.3, rng)  # falls with the speed: no fan does
    twin = learned({"x": x, "y": y}, ["x"], ["y"], template="fan")
    assert twin.grade == "refuse"
    assert "poor_free_run" in twin.outputs[0].reason


def test_a_template_asks_for_its_inputs(learned):
    rng = np.random.default_rng(8)
    x, z = held(rng, 1, 2), held(rng, 1, 2)
    twin = learned({"x": x, "z": z, "y": x + z}, ["x", "z"], ["y"], template="exchanger")
    assert "coolant flow, inlet temperature, coolant's inlet temperature" in twin.outputs[0].reason


def test_the_command_knows_every_template():
    assert _TEMPLATES == TEMPLATES
