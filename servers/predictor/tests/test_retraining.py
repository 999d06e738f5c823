"""A new model is compared with the one it would replace, on units the old one never saw."""

from dataclasses import replace

import numpy as np
from factorylm_predictor.retraining import compare


def test_more_failures_of_the_same_kind_are_better_on_units_the_old_model_never_saw(
    pumps, fit_pumps, pump_model, histories_of_pumps
):
    found = compare(fit_pumps(pumps[:8]), pump_model, histories_of_pumps(pumps))
    assert not found.worse
    assert found.text.endswith("on 32 units the old model never saw")


def test_a_model_of_worse_data_is_told_as_worse(pumps, fit_pumps, pump_model, histories_of_pumps):
    rng = np.random.default_rng(1)
    spoiled = [replace(p, values=p.values + rng.normal(0, 2, p.values.shape)) for p in pumps[:20]]
    found = compare(pump_model, fit_pumps(spoiled), histories_of_pumps(spoiled))
    assert found.worse
    assert found.text.endswith("each on its own units left out")


def test_a_model_that_only_refuses_does_not_replace_one_that_answers(pumps, fit_pumps, pump_model, histories_of_pumps):
    few = pumps[:3]
    found = compare(pump_model, fit_pumps(few), histories_of_pumps(few))
    assert found.worse
    assert found.text.startswith("it gives no number (too_few_failures")


def test_there_is_nothing_to_compare_with_a_model_that_only_refused(pumps, fit_pumps, pump_model, histories_of_pumps):
    assert compare(fit_pumps(pumps[:3]), pump_model, histories_of_pumps(pumps)) is None
    assert compare(None, pump_model, histories_of_pumps(pumps)) is None
