"""The demo plant: physics that can be checked, faults that show in their signals and alarms, truth that fits."""

import csv
import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from factorylm.demo_plant import AREAS, FAULTS, Area, DemoPlant, PlantFault
from factorylm.demo_plant.areas import SIGNALS
from factorylm.demo_plant.export import Story, export
from factorylm.demo_plant.machines import Exchanger, Pump
from factorylm.demo_plant.plant import SET_POINTS
from factorylm.demo_plant.trial import Trial

HOUR = 3600


def test_a_healthy_day_raises_no_alarm_and_keeps_every_signal_in_its_range() -> None:
    plant = DemoPlant(seed=2)
    assert plant.advance_to(12 * HOUR) == []
    for area, signals in SIGNALS.items():
        for signal in signals:
            value = plant.values[f"{area}.{signal.name}"]
            if signal.minimum is not None and signal.maximum is not None:
                assert isinstance(value, float)
                assert signal.minimum <= value <= signal.maximum, signal.name


def test_the_same_seed_gives_the_same_plant_and_another_seed_another() -> None:
    plants = [DemoPlant(seed=seed) for seed in (1, 1, 2)]
    for plant in plants:
        plant.advance_to(300)
    assert plants[0].values == plants[1].values
    assert plants[0].values != plants[2].values


def test_time_may_be_cut_into_any_pieces() -> None:
    whole, pieces = DemoPlant(seed=3), DemoPlant(seed=3)
    whole.advance_to(500)
    for second in (1, 2.5, 100, 100, 499.9, 500):
        pieces.advance_to(second)
    assert whole.values == pieces.values


def test_the_pump_obeys_the_affinity_laws_and_its_time_constants() -> None:
    plant = DemoPlant()
    plant.set_values([("drive1.speed_setpoint", 1400.0)])
    plant.advance_to(2)
    assert plant.pump.speed == pytest.approx(1200 + 200 * (1 - 2.718281828**-1), abs=0.1)
    plant.advance_to(120)
    assert plant.pump.flow == pytest.approx(Pump.steady_flow(1400), rel=1e-3)


def test_the_exchanger_balances_heat() -> None:
    exchanger = Exchanger()
    for _ in range(600):
        exchanger.step(1, product_in=68, water_in=16, fouling=0)
    given = Exchanger.PRODUCT_FLOW * (68 - exchanger.product_out)
    taken = exchanger.water_flow * (exchanger.water_out - 16)
    assert given == pytest.approx(taken, rel=1e-3)
    equal = Exchanger.steady_heat(60, 20, Exchanger.PRODUCT_FLOW, 0)
    nearly = Exchanger.steady_heat(60, 20, Exchanger.PRODUCT_FLOW + 1e-6, 0)
    assert equal == pytest.approx(nearly, rel=1e-4)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_raises_its_own_alarms_and_no_others(name: str) -> None:
    plant = DemoPlant(seed=5, faults=[PlantFault(name=name, begin_h=0.5, grows_h=4 if FAULTS[name].grows_h else None)])
    raised = [event.name for event in plant.advance_to(6 * HOUR) if event.active]
    assert raised[0] == FAULTS[name].alarms[0]
    assert set(raised) <= set(FAULTS[name].alarms), raised


def test_faults_show_in_the_signals_they_name() -> None:
    healthy, worn = DemoPlant(seed=4), DemoPlant(seed=4, faults=[PlantFault(name="bearing_wear", grows_h=2)])
    for plant in (healthy, worn):
        plant.advance_to(2.5 * HOUR)
    for signal in FAULTS["bearing_wear"].signals:
        assert float(worn.values[signal]) > 1.1 * float(healthy.values[signal]), signal
    assert worn.values["cell1.level"] == pytest.approx(healthy.values["cell1.level"], abs=0.05)


def test_a_mis_set_limit_chatters_and_stops_when_it_is_mended() -> None:
    plant = DemoPlant(faults=[PlantFault(name="chattering_limit", begin_h=0.1, end_h=0.2)])
    first = Counter(event.name for event in plant.advance_to(0.25 * HOUR))
    assert first["AIR_PRESS_LO"] > 50
    assert plant.advance_to(1 * HOUR) == []


def test_a_lost_supply_stops_the_motors_floods_the_operator_and_everything_returns() -> None:
    plant = DemoPlant(seed=6, faults=[PlantFault(name="power_loss", begin_h=0.1, end_h=0.35)])
    flood = [event for event in plant.advance_to(0.3 * HOUR) if event.active]
    assert {event.name for event in flood} == set(FAULTS["power_loss"].alarms)
    assert (flood[0].name, flood[0].time) == ("MCC1_VOLT_LO", plant.begin + timedelta(minutes=6))
    assert (flood[-1].time - flood[0].time).total_seconds() < 600
    stopped = [plant.values[name] for name in ("drive1.running", "pack1.running", "pack1.state")]
    assert stopped == [False, False, 0]
    after = plant.advance_to(1 * HOUR)
    assert {event.name for event in after} == set(FAULTS["power_loss"].alarms)
    assert not any(event.active for event in after)


def test_an_unknown_fault_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="the faults are bearing_wear"):
        PlantFault(name="gremlins")


def test_areas_together_are_the_plant_and_take_writes() -> None:
    plant = DemoPlant()
    areas = [Area(name, plant, lambda: 60.0) for name in AREAS]
    named = {f"{area.name}.{signal.name}" for area in areas for signal in area.signals}
    assert named == set(plant.values)
    writable = {f"{area.name}.{s.name}" for area in areas for s in area.signals if s.write}
    assert writable <= set(SET_POINTS)
    drive = areas[0]
    drive.set("speed_setpoint", 1000.0)
    drive.advance()
    assert float(drive.value("speed")) == pytest.approx(1000, abs=5)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_an_export_holds_history_journal_lives_and_the_truth(tmp_path: Path) -> None:
    faults = (
        PlantFault(name="chattering_limit", begin_h=1, end_h=1.5),
        PlantFault(name="communication_loss", begin_h=2, end_h=2.25),
    )
    story = Story(days=0.125, seed=9, step_s=10, faults=faults, moves_per_day=200, bearings=2)
    seen: list[float] = []
    truth = export(tmp_path, story, seen.append)
    history = rows(tmp_path / "history.csv")
    assert len(history) == 1080
    empty = [row["time"] for row in history if row["cell1.level"] == ""]
    assert len(empty) == 90
    assert truth["faults"][1]["begin"] <= empty[0]
    alarms = Counter(row["Alarm"] for row in rows(tmp_path / "alarms.csv"))
    assert alarms["AIR_PRESS_LO"] > 100
    assert alarms["CELL1_COMM"] == 2
    assert truth["moves"]
    assert json.loads((tmp_path / "truth.json").read_text()) == truth
    assert seen[-1] == 1.0
    lives = {row["unit"]: float(row["failed_at_hour"]) for row in rows(tmp_path / "bearing_truth.csv")}
    runs = Counter(row["unit"] for row in rows(tmp_path / "bearing_runs.csv"))
    assert runs == {unit: int(failed) for unit, failed in lives.items()}


def test_a_speed_trial_is_recorded_every_second_and_ends_where_it_began(tmp_path: Path) -> None:
    trial = Trial(begin_h=0.1, minutes=12)
    truth = export(tmp_path, Story(days=0.02, seed=9, step_s=20, moves_per_day=0, trial=trial))
    found = rows(tmp_path / "speed_trial.csv")
    assert [row["time"] for row in (found[0], found[-1])] == [truth["trial"]["begin"], truth["trial"]["end"]]
    assert len(found) == 12 * 60
    speeds = [float(row["drive1.speed_setpoint"]) for row in found]
    assert speeds[0] == speeds[-1] == 1200.0
    assert all(trial.slowest <= speed <= trial.fastest for speed in speeds)
    moved = [after for before, after in pairwise(speeds) if before != after]
    assert moved == [move["value"] for move in truth["moves"]]
    assert len(moved) >= 4
    # the two files tell of the same plant
    history = {row["time"]: row["drive1.flow"] for row in rows(tmp_path / "history.csv")}
    assert len(history) == 86
    both = [row for row in found if row["time"] in history]
    assert len(both) == 36
    assert all(row["drive1.flow"] == history[row["time"]] for row in both)


def test_equal_stories_write_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(tmp_path / name, Story(days=0.01, seed=3))
    assert (tmp_path / "a/history.csv").read_bytes() == (tmp_path / "b/history.csv").read_bytes()


def test_the_export_command_writes_names_and_refuses(tmp_path: Path, capsys) -> None:
    from factorylm.command import main

    begun = ["demo", "--export", str(tmp_path / "out"), "--days", "0.01"]
    assert main([*begun, "--fault", "fouling@0.1", "--fault", "cavitation@0-0.2"]) == 0
    assert "2 faults and 0 set-point moves" in capsys.readouterr().out
    assert main([*begun, "--fault", "gremlins"]) == 1
    assert "The faults are bearing_wear" in capsys.readouterr().err
    assert main([*begun, "--days", "0"]) == 1
