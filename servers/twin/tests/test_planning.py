"""Schedules, totals, the best place, proposals, what explains a residual, and refits."""

import json

import numpy as np
import pytest
from factorylm_twin import save_twin, what_if
from factorylm_twin.answers import change_answer
from factorylm_twin.cli import main
from factorylm_twin.planning import Goal, best_place
from factorylm_twin.refitting import refit
from factorylm_twin.residuals import explained_by
from factorylm_twin.tables import Wanted, record_of


@pytest.fixture(scope="module")
def station(learned, plants):
    """speed and valve drive flow and power, by equations whose best places are known."""
    return learned(plants.station(1), ["speed", "valve"], ["flow", "power"])


def test_a_schedule_settles_where_its_last_step_leads(pump_twin):
    effect = what_if(pump_twin, ["speed=1100", "speed=1300@120"]).effects[0]
    assert effect.new == pytest.approx(84.0, rel=0.01)
    assert effect.settling == pytest.approx(120 + 3 + 6 * np.log(50 * 16 / 14.4), abs=6)


def test_limits_are_crossed_at_the_time_of_their_step(pump_twin):
    effect = what_if(pump_twin, ["speed=1100", "speed=1300@120"], limits={"flow": (0.0, 83.0)}).effects[0]
    [(side, after)] = effect.crossed
    assert side == "high"
    assert after == pytest.approx(120 + 3 + 6 * np.log(16), abs=4)


def test_every_step_of_a_schedule_stays_in_the_envelope(pump_twin):
    answer = what_if(pump_twin, ["speed=2500", "speed=1200@50"])
    assert (answer.refused, answer.in_envelope) == (True, False)


def test_totals_add_up_what_the_change_costs(pump_twin, pump):
    effect = what_if(pump_twin, ["speed=1200"], over=1000).effects[0]
    still, moved = effect.totals
    true = 0.08 * (1200 - pump["speed"][-1])
    assert moved - still == pytest.approx(true * (1000 - 9), rel=0.05)
    assert still == pytest.approx(1000 * (0.08 * pump["speed"][-1] - 20), rel=0.02)


def test_the_least_power_that_keeps_the_flow_is_found(station):
    goal = Goal(output="power", aim="min")
    found = best_place(station, goal, ("speed", "valve"), {"flow": (40.0, float("inf"))})
    assert not found.refused
    # least power at a flow: the valve is open as far as was seen, and the speed gives the flow and its band
    assert found.place["valve"] == pytest.approx(station.envelope.high[1], rel=0.03)
    half = float(station.outputs[0].band[-1])
    assert found.expected["flow"] == pytest.approx(40.0 + half, abs=0.1)
    assert "limit of flow" in found.binding
    assert found.sensitivity["speed"] > 0


def test_a_target_is_reached_inside_what_was_seen(station):
    found = best_place(station, Goal(output="flow", aim=30.0), ("speed",), {})
    assert found.expected["flow"] == pytest.approx(30.0, abs=0.1)
    assert 0 < found.to_the_edge["speed"] < 0.5
    answer = what_if(station, [f"speed=={found.place['speed']}"])
    assert answer.effects[0].new == pytest.approx(30.0, abs=0.3)


def test_limits_that_no_place_keeps_are_told(station):
    found = best_place(station, Goal(output="power", aim="min"), ("speed",), {"flow": (900.0, float("inf"))})
    assert found.refused.startswith("infeasible")
    assert found.place == {}


def test_a_proposal_carries_its_simulation(pump_twin):
    told = change_answer(pump_twin, what_if(pump_twin, ["speed=1200"]), "m1")
    same = change_answer(pump_twin, what_if(pump_twin, ["speed=1200"]), "m1")
    other = change_answer(pump_twin, what_if(pump_twin, ["speed=1250"]), "m1")
    assert told["proposal"]["values"] == {"speed": 1200.0}
    assert told["proposal"]["evidence"] == told["simulation"] == same["simulation"]
    assert told["proposal"]["reason"].startswith(told["simulation"])
    assert other["simulation"] != told["simulation"]
    assert change_answer(pump_twin, what_if(pump_twin, ["speed=5000"]), "m1")["proposal"] is None


def test_the_column_that_explains_a_residual_is_named():
    rng = np.random.default_rng(3)
    heat, other, noise = rng.normal(20, 5, 900), rng.normal(0, 1, 900), rng.normal(0, 1, 900)
    heat = np.convolve(heat, np.ones(30) / 30, "same")
    rest = 2.0 * (heat - heat.mean()) + noise
    [(name, share)] = explained_by(rest, {"other": other, "ambient": heat}, usual=1.0)
    assert name == "ambient"
    assert share > 0.3
    assert explained_by(noise * 2, {"other": other, "ambient": heat}, usual=1.0) == []
    assert explained_by(noise, {"other": other}, usual=1.0) == []


def record(columns, inputs, outputs):
    texts = {name: [repr(float(v)) for v in values] for name, values in columns.items()}
    return record_of(texts, Wanted(inputs=inputs, outputs=outputs), "r")


@pytest.fixture(scope="module")
def machine(plants):
    def made(gain, seed):
        rng = np.random.default_rng(seed)
        u = plants.levels(rng, 0, 10, 1200)
        return {"u": u, "y": plants.behind_a_lag(5 + gain * u, 5.0, 0.2, rng)}

    return made


def test_a_twin_is_replaced_only_by_a_better_one(learned, machine):
    old = learned(machine(2.0, 1), ["u"], ["y"])
    same = refit(old, record(machine(2.0, 2), ("u",), ("y",)))
    assert (same.twin, same.reason.split(":")[0]) == (None, "kept")
    worn = refit(old, record(machine(1.5, 3), ("u",), ("y",)))
    assert worn.twin is not None
    assert worn.after["y"] < 0.5 * worn.before["y"]
    still = refit(old, record(machine(1.5, 3) | {"u": np.full(1200, 4.0)}, ("u",), ("y",)))
    assert still.twin is None
    assert "constant_input" in still.reason


def test_the_commands_watch_and_refit(learned, machine, tmp_path, write_csv, capsys):
    save_twin(learned(machine(2.0, 1), ["u"], ["y"]), tmp_path / "m.twin")
    before = (tmp_path / "m.twin").read_bytes()
    history = write_csv(tmp_path / "h.csv", machine(2.0, 2))
    words = ["--model", str(tmp_path / "m.twin"), "--data", str(history)]
    assert main(["watch", *words, "--rounds", "2", "--every", "0"]) == 0
    assert capsys.readouterr().out.count("behaves as its twin says") == 1
    assert main(["refit", *words]) == 0
    assert capsys.readouterr().out.startswith("kept")
    assert (tmp_path / "m.twin").read_bytes() == before
    write_csv(tmp_path / "h.csv", machine(1.5, 3))
    assert main(["watch", *words, "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    assert "departs from its twin" in out
    assert "explained by u" in out
    assert main(["refit", *words, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["replaced"] is True
    assert (tmp_path / "m.twin").read_bytes() != before


def test_the_command_best_answers_in_words_and_json(station, tmp_path, capsys):
    save_twin(station, tmp_path / "s.twin")
    words = ["best", "--model", str(tmp_path / "s.twin"), "--output", "power", "--aim", "min", "--limit", "flow=40:"]
    assert main([*words, "--json", str(tmp_path / "best.json")]) == 0
    assert "expected: " in capsys.readouterr().out
    told = json.loads((tmp_path / "best.json").read_text())
    assert set(told["place"]) == {"speed", "valve"}
    assert told["what_if"]["refused"] is False
    assert told["what_if"]["proposal"]["evidence"].startswith("simulation:")
