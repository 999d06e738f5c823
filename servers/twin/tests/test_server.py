"""The tools, through a client, as an assistant calls them."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from factorylm_schema import Series
from factorylm_skill import Settings
from factorylm_skill.shelf import SeriesShelf
from factorylm_skill.testing import connected, count_tokens
from factorylm_twin import SKILL

MOST_ANSWER_TOKENS = 400


class Asked:
    """A client that also checks that no answer is long."""

    def __init__(self, client) -> None:
        self.client = client

    async def ask(self, tool, **arguments):
        answer = await self.client.ask(f"twin_{tool}", **arguments)
        assert count_tokens(json.dumps(answer, ensure_ascii=False)) <= MOST_ANSWER_TOKENS, tool
        return answer

    async def refused(self, tool, **arguments):
        return await self.client.refused(f"twin_{tool}", **arguments)


@pytest.fixture
async def tools(tmp_path, pump, write_csv):
    write_csv(tmp_path / "history.csv", pump)
    late = {n: v.copy() for n, v in pump.items()}
    late["flow"][800:] -= 2.0
    write_csv(tmp_path / "late.csv", late)
    async with connected(SKILL, Settings(data=(tmp_path,))) as client:
        yield Asked(client)


async def test_from_file_to_answer(tools):
    assert (await tools.ask("files"))["files"] == ["history.csv", "late.csv"]
    assert (await tools.ask("files", data="history.csv"))["columns"] == ["speed", "flow"]
    fitted = await tools.ask("fit", data="history.csv", inputs="speed", outputs="flow")
    assert fitted["grade"] == "A"
    answer = await tools.ask("what_if", model=fitted["model"], changes="speed=1200", limits="flow=:70")
    assert answer["effects"][0]["new"] == pytest.approx(76, rel=0.01)
    assert answer["effects"][0]["limits_crossed"]
    assert answer["simulation"].startswith("simulation:")
    outside = await tools.ask("what_if", model=fitted["model"], changes="speed=5000")
    assert (outside["refused"], outside["in_envelope"], outside["effects"]) == (True, False, [])
    card = await tools.ask("card", model=fitted["model"])
    assert card["outputs"][0]["grade"] == "A"
    same = await tools.ask("compare", model=fitted["model"], data="history.csv")
    assert same["outputs"][0].get("departs_at_row") is None
    late = await tools.ask("compare", model=fitted["model"], data="late.csv")
    assert late["outputs"][0]["departs_at_row"] == pytest.approx(800, abs=10)


async def test_the_best_place_comes_with_its_what_if(tools):
    model = (await tools.ask("fit", data="history.csv", inputs="speed", outputs="flow"))["model"]
    found = await tools.ask("best", model=model, output="flow", aim="76")
    assert found["place"]["speed"] == pytest.approx(1200, abs=5)
    assert found["sensitivity"]["speed"] == pytest.approx(0.08, rel=0.02)
    assert found["what_if"]["effects"][0]["new"] == pytest.approx(76, abs=0.3)
    none = await tools.ask("best", model=model, output="flow", aim="max", limits="speed=:900")
    assert none["refused"].startswith("infeasible")
    assert "max, min or a number" in await tools.refused("best", model=model, output="flow", aim="much")


def series(tag: str, values, step_s: float = 10.0) -> Series:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    times = [begin + timedelta(seconds=step_s * n) for n in range(len(values))]
    return Series(tag=tag, times=times, values=[float(v) for v in values])


async def test_series_handles_are_data_like_files(pump):
    shelf = SeriesShelf()
    data = ",".join(shelf.put(series(f"pump1.{name}", pump[name])) for name in ("speed", "flow"))
    async with connected(SKILL, Settings(shelf=shelf)) as client:
        columns = await client.ask("twin_files", data=data)
        assert columns["columns"] == ["time", "pump1.speed", "pump1.flow"]
        asked = {"data": data, "inputs": "pump1.speed", "outputs": "pump1.flow", "time": "time"}
        fitted = await client.ask("twin_fit", **asked)
        assert (fitted["grade"], fitted["time_unit"], fitted["step"]) == ("A", "s", 10.0)
        answer = await client.ask("twin_what_if", model=fitted["model"], changes="pump1.speed=1200")
        assert answer["effects"][0]["new"] == pytest.approx(76, rel=0.01)
        assert "sample again" in await client.refused("twin_files", data="series:gone")


@pytest.fixture
def shift():
    """Half a day of a pump, a row every 20 s: the drive's set-point moved now and then, flow and power at once."""
    rng = np.random.default_rng(12)
    moves = np.concatenate([[1200], rng.integers(50, 70, 20) * 20])
    speed = np.repeat(moves, rng.integers(60, 150, len(moves)))[:2160].astype(float)
    speed[-90:] = 1280.0
    ratio = speed / 1480
    flow = np.sqrt(52 * ratio**2 - 8) / np.sqrt(0.0135)
    head = 52 * ratio**2 - 0.0075 * flow**2
    power = flow * head / 10.2 / 36 / 0.72 + 0.35 * ratio
    return {
        "time": np.arange(len(speed)) * 20.0,
        "drive1.speed_setpoint": speed,
        "drive1.flow": flow + rng.normal(0, 0.15, len(speed)),
        "drive1.power": power + rng.normal(0, 0.03, len(speed)),
    }


async def test_half_a_shift_of_a_fast_pump_answers_what_the_plant_confirms(tmp_path, shift, write_csv):
    write_csv(tmp_path / "shift.csv", shift)
    async with connected(SKILL, Settings(data=(tmp_path,))) as client:
        tools = Asked(client)
        asked = {"data": "shift.csv", "inputs": "drive1.speed_setpoint", "outputs": "drive1.flow,drive1.power"}
        fitted = await tools.ask("fit", **asked, time="time")
        assert {o["grade"] for o in fitted["outputs"]} <= {"A", "B"}
        answer = await tools.ask("what_if", model=fitted["model"], changes="drive1.speed_setpoint=-150", over=3600)
        flow, power = answer["effects"]
        assert answer["inputs"] == {"drive1.speed_setpoint": [1280.0, 1130.0]}
        ratio = 1130 / 1480
        true_flow = np.sqrt((52 * ratio**2 - 8) / 0.0135)
        true_power = true_flow * (52 * ratio**2 - 0.0075 * true_flow**2) / 10.2 / 36 / 0.72 + 0.35 * ratio
        assert flow["lo"] <= true_flow <= flow["hi"]
        assert power["lo"] <= true_power <= power["hi"]
        assert flow["new"] == pytest.approx(true_flow, rel=0.02)
        assert power["new"] == pytest.approx(true_power, rel=0.03)
        assert power["total_change"] == pytest.approx(3600 * power["change"], rel=0.05)


async def test_wrong_names_are_helped(tools):
    assert "history.csv" in await tools.refused("fit", data="histry.csv", inputs="speed", outputs="flow")
    assert "speed" in await tools.refused("fit", data="history.csv", inputs="sped", outputs="flow")
    assert "lies outside" in await tools.refused("files", data="/etc/hostname")
    assert "fit again" in await tools.refused("card", model="twin:none")


async def test_without_a_folder_nothing_is_opened():
    async with connected(SKILL, Settings()) as client:
        assert "--data DIR" in await client.refused("twin_files", data="history.csv")
