"""When to service: checked against closed forms and simulated lives."""

import math

import numpy as np
import pytest
from factorylm_predictor.costs import costs_from, read_costs, read_lives
from factorylm_predictor.errors import DataError
from factorylm_predictor.tables import TableFile
from factorylm_predictor.weibull import Lives, Weibull, best_age, fit_weibull, shape_interval
from factorylm_predictor.window import Costs, Slot, even_slots, plan_by_age, rank_slots
from factorylm_schema.errors import UnknownNameError
from hypothesis import given, settings
from hypothesis import strategies as st

COSTS = Costs(planned=1, unplanned=5)


@pytest.mark.parametrize(
    ("shape", "ratio", "age", "saving"),
    [(2, 5, 0.511, 0.28), (2.5, 5, 0.493, 0.39), (2.5, 10, 0.355, 0.58), (4, 10, 0.439, 0.72), (1.2, 5, 1.593, 0.01)],
)
def test_the_best_age_agrees_with_published_optima(shape, ratio, age, saving):
    found = best_age(Weibull(shape=shape, scale=1000), 1, ratio)
    assert found.age / 1000 == pytest.approx(age, rel=0.01)
    assert found.saving == pytest.approx(saving, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.3, 6), st.floats(2, 20))
def test_at_the_best_age_the_closed_form_condition_holds(shape, ratio):
    """h(t) * integral of R - F = Cp / (Cf - Cp): the derivative of the cost rate is zero (Barlow and Hunter 1960)."""
    law = Weibull(shape=shape, scale=1.0)

    def excess(age):
        grid = np.linspace(0, age, 20_001)
        alive = law.reliability(grid)
        run = float(((alive[1:] + alive[:-1]) / 2 * np.diff(grid)).sum())
        return shape * age ** (shape - 1) * run - (1 - float(alive[-1])) - 1 / (ratio - 1)

    found = best_age(law, 1, ratio)
    if math.isfinite(found.age):
        assert excess(0.99 * found.age) < 0 < excess(1.01 * found.age)


@pytest.mark.parametrize("shape", [0.7, 1.0])
def test_machines_that_do_not_wear_out_are_never_replaced_on_age(shape):
    assert best_age(Weibull(shape=shape, scale=100), 1, 50).age == math.inf


def test_censored_lives_recover_the_law():
    rng = np.random.default_rng(4)
    life, end = 1000 * rng.weibull(2.5, 400), rng.uniform(400, 2000, 400)
    lives = Lives(life=np.minimum(life, end), failed=life <= end)
    law = fit_weibull(lives)
    assert law.shape == pytest.approx(2.5, rel=0.12)
    assert law.scale == pytest.approx(1000, rel=0.05)
    low, high = shape_interval(lives, rng)
    assert low < 2.5 < high


def test_remaining_life_of_a_used_machine_has_the_conditional_law():
    law = Weibull(shape=3, scale=100)
    left = law.remaining(80)
    share = float((left > 20).mean())
    assert share == pytest.approx(float(law.reliability(np.array(100.0)) / law.reliability(np.array(80.0))), abs=0.002)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(1, 1000), min_size=5, max_size=60), st.floats(0, 100))
def test_risk_only_rises_with_waiting(lives, lead):
    plan = rank_slots(np.array(lives), even_slots(500, lead), Costs(planned=1, unplanned=5, lead_time=lead), 0.001)
    risks = [r.risk_until_then for r in plan.curve]
    assert risks == sorted(risks)
    assert plan.best[0].regret == 0
    assert [b.regret for b in plan.best] == sorted(b.regret for b in plan.best)


def test_the_best_slot_is_the_age_optimum_where_only_lives_are_known():
    law = Weibull(shape=2.5, scale=1000)
    best = best_age(law, 1, 5)
    plan = rank_slots(law.remaining(0, 20_000), even_slots(1500, 0, 300), COSTS, best.cost_rate)
    assert plan.best[0].slot.after == pytest.approx(best.age, rel=0.03)


def test_slots_before_the_parts_arrive_are_not_offered():
    slots = [Slot(after=10, name="now"), Slot(after=80, name="later")]
    plan = rank_slots(np.array([50.0, 100, 200]), slots, Costs(planned=1, unplanned=5, lead_time=48), 0.01)
    assert [b.slot.name for b in plan.best] == ["later"]
    with pytest.raises(DataError, match="no slot lies after the lead time of 300"):
        rank_slots(np.array([50.0]), slots, Costs(planned=1, unplanned=5, lead_time=300), 0.01)


def test_lost_production_moves_the_choice():
    lives = np.linspace(100, 300, 200)
    slots = [Slot(after=60, name="shift", extra_cost=2), Slot(after=90, name="weekend")]
    assert rank_slots(lives, slots, COSTS, 0.005).best[0].slot.name == "weekend"


def test_four_failures_are_too_few_and_seven_carry_a_warning():
    life = np.linspace(800, 1200, 7)
    failed = np.ones(7, dtype=bool)
    with pytest.raises(DataError, match="4 failures are too few"):
        plan_by_age(Lives(life=life, failed=failed & (np.arange(7) < 4)), COSTS)
    assert plan_by_age(Lives(life=life, failed=failed), COSTS).warning.startswith("only 7 failures")


def test_costs_that_make_no_sense_are_refused():
    with pytest.raises(DataError, match="0 < planned < unplanned"):
        Costs(planned=5, unplanned=5)


def test_a_cost_file_is_read_with_dates_as_running_time(tmp_path):
    path = tmp_path / "costs.toml"
    path.write_text(
        "planned = 1\nunplanned = 5\nnow = 2026-03-01\nrunning_per_day = 20\n"
        '[[slots]]\nname = "Sunday"\nstart = 2026-03-08T12:00:00Z\n'
        "[[slots]]\nafter = 300\nextra_cost = 2\n[[slots]]\nname = 'Easter'\nafter = 9\ncrew = false\n"
    )
    read = read_costs(path)
    assert read.slots == (
        Slot(after=150.0, name="Sunday"),
        Slot(after=300.0, name="after 300", extra_cost=2.0),
    )
    assert read.skipped == ("Easter",)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"planned": 1}, DataError, "lacks 'unplanned'"),
        ({"planned": 1, "unplaned": 5}, UnknownNameError, "'unplaned'; the nearest: unplanned"),
        ({"planned": "1", "unplanned": 5}, DataError, "'planned' is '1'"),
        ({"planned": 1, "unplanned": 5, "slots": [{"name": "x"}]}, DataError, "needs either 'after'"),
        ({"planned": 1, "unplanned": 5, "slots": [{"start": "2026-03-08"}]}, DataError, "give 'now'"),
        ({"planned": 1, "unplanned": 5, "slots": [{"after": 1, "at": 2}]}, UnknownNameError, "'at'"),
        ({"planned": True, "unplanned": 5}, DataError, "'planned' is True"),
    ],
)
def test_a_wrong_cost_file_names_the_key(content, error, message):
    with pytest.raises(error, match=message):
        costs_from(content, "costs.toml")


def test_a_file_that_is_no_toml_says_so(tmp_path):
    (tmp_path / "costs.toml").write_text("planned: 1")
    with pytest.raises(DataError, match="is not TOML"):
        read_costs(tmp_path / "costs.toml")
    with pytest.raises(UnknownNameError, match=r"costs\.toml"):
        read_costs(tmp_path / "cost.toml")


@pytest.mark.parametrize("value", ["-3", "0", "long"])
def test_a_life_that_is_none_names_its_row(write_csv, value):
    path = write_csv("lives.csv", ["hours"], [[800], [value], [900]])
    with pytest.raises(DataError, match=r"row 3: the life .* is not a positive number"):
        read_lives(TableFile(path), life="hours")


def test_lives_find_their_columns(write_csv):
    path = write_csv("lives.csv", ["pump", "hours", "failed"], [["P1", 800, 1], ["P2", 950.5, 0], ["P3", 700, 1]])
    lives = read_lives(TableFile(path))
    assert lives.life.tolist() == [800, 950.5, 700]
    assert lives.failed.tolist() == [True, False, True]


def test_lives_ask_where_columns_are_not_clear(write_csv):
    path = write_csv("lives.csv", ["hours", "starts"], [[800, 3], [900, 4]])
    with pytest.raises(DataError, match=r"positive numbers alone: hours, starts.*--life"):
        read_lives(TableFile(path))
    assert read_lives(TableFile(path), life="hours").failed.all()
