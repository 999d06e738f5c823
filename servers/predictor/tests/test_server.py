"""The tools, through a client, as an assistant calls them."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from factorylm_predictor import SKILL
from factorylm_schema import Series
from factorylm_skill import SeriesShelf, Settings
from factorylm_skill.testing import connected, count_tokens

MOST_ANSWER_TOKENS = 1000


@pytest.fixture
def folder(example):
    return example


@pytest.fixture(scope="module")
def shelf():
    return SeriesShelf()


class Asked:
    """A client that also checks that no answer is long."""

    def __init__(self, client) -> None:
        self.client = client

    async def ask(self, tool, **arguments):
        answer = await self.client.ask(f"predictor_{tool}", **arguments)
        assert count_tokens(json.dumps(answer, ensure_ascii=False)) <= MOST_ANSWER_TOKENS, tool
        return answer

    async def refused(self, tool, **arguments):
        return await self.client.refused(f"predictor_{tool}", **arguments)


@pytest.fixture
async def tools(folder, shelf):
    async with connected(SKILL, Settings(data=(folder,), shelf=shelf)) as client:
        yield Asked(client)


FIT = {"data": "runs.csv", "unit": "pump", "time": "hours", "settings": "speed,flow"}


async def test_the_main_job_from_file_to_service_slot(tools):
    listed = await tools.ask("check_data")
    assert "runs.csv" in listed["files"]
    checked = await tools.ask("check_data", data="runs.csv", unit="pump", time="hours")
    assert (checked["units"], checked["findings"]["rows"]) == (30, [])
    fitted = await tools.ask("fit", **FIT)
    assert fitted["error"] < fitted["error_by_age_alone"]
    fleet = await tools.ask("predict", model=fitted["model"], data="today.csv")
    lives = [row[1] for row in fleet["fleet"]["rows"]]
    assert lives == sorted(lives)
    shortest = fleet["fleet"]["rows"][0][0]
    one = (await tools.ask("predict", model=fitted["model"], data="today.csv", unit=shortest))["answer"]
    assert one["low"] <= one["remaining"] <= one["high"]
    assert one["drivers"]["rows"][0][0] in {"vibration", "bearing_temperature"}
    window = await tools.ask(
        "window", planned=1, unplanned=5, model=fitted["model"], data="today.csv", unit=shortest, slots="40=0,400=0.2"
    )
    assert window["best"]["rows"][0][0] == "after 40"


async def test_every_answer_can_be_looked_into(tools):
    answered = await tools.ask("predict", model="pumps.model", data="today.csv")
    card = await tools.ask("evidence", id=answered["evidence"], part="model_card")
    assert ["data.failures", 30] in card["part"]["rows"]
    filed = await tools.ask("evidence", id=answered["evidence"])
    assert ["sources.0.file", "today.csv"] in filed["part"]["rows"]
    first = await tools.ask("evidence", id=answered["evidence"], part="details")
    assert first["part"]["truncated"]
    second = await tools.ask("evidence", id=answered["evidence"], part="details", cursor=first["part"]["cursor"])
    assert second["part"]["rows"] != first["part"]["rows"]


async def test_anomalies_are_told_as_events(tools):
    found = await tools.ask("detect", baseline="healthy.csv", data="watched.csv", settings="speed,flow")
    start, end, rows, _, tags = found["events"]["rows"][0]
    assert float(start) > 400
    assert float(end) == 600 or float(end) == 599
    assert rows > 100
    assert "vibration" in tags


async def test_lives_alone_give_an_age(tools):
    found = await tools.ask("window", planned=1200, unplanned=6000, lives="lives.csv", age=600, lead_time=48)
    assert 500 < found["best_age"] < 1100
    assert len(found["best"]["rows"]) == 3


async def test_a_sampled_series_is_data_too(tools, shelf):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rng = np.random.default_rng(1)
    times = [start + timedelta(hours=n) for n in range(300)]
    rising = Series(tag="pump1.vibration", times=times, values=[0.02 * n + rng.normal(0, 0.5) for n in range(300)])
    flat = Series(tag="pump1.level", times=times, values=[*rng.normal(0, 1, 300)])
    found = await tools.ask("trend", data=shelf.put(rising), limit=8.0)
    assert found["status"] == "estimate"
    assert found["time_unit"] == "h"
    assert found["p5"] < 100 < found["p95"]
    both = f"{shelf.put(rising)},{shelf.put(flat)}"
    refused = await tools.ask("trend", data=both, tag="pump1.level", limit=50.0)
    assert refused["status"] == "refused: flat"
    assert "which tag" in await tools.refused("trend", data=both, limit=8.0)
    assert (await tools.ask("check_data", data=both))["rows"] == 300


async def test_faults_are_named(tools, folder):
    rng = np.random.default_rng(1)
    torque, speed = rng.normal(40, 8, 300), rng.normal(1500, 150, 300)
    lines = [
        "M,n,fault",
        *(f"{m},{n},{'over' if m * n > 66_000 else 'normal'}" for m, n in zip(torque, speed, strict=True)),
    ]
    (folder / "cases.csv").write_text("\n".join(lines))
    found = await tools.ask("name_fault", cases="cases.csv", label="fault", data="cases.csv")
    assert found["accuracy"] > 0.9
    assert len(found["last_rows"]["rows"]) == 10


@pytest.mark.parametrize("name", ["../secret.csv", "/etc/hostname", "link.csv"])
async def test_files_outside_the_folder_stay_closed(tools, folder, name):
    (folder.parent / "secret.csv").write_text("a,b\n1,2\n")
    link = folder / "link.csv"
    if not link.exists():
        link.symlink_to(folder.parent / "secret.csv")
    assert "lies outside the data folder" in await tools.refused("check_data", data=name)


async def test_without_a_folder_nothing_is_opened():
    async with connected(SKILL, Settings()) as client:
        text = await client.refused("predictor_check_data", data="runs.csv")
    assert "--data DIR" in text


async def test_a_wrong_file_name_names_the_nearest(tools):
    assert "runs.csv" in await tools.refused("fit", **{**FIT, "data": "run.csv"})


async def test_a_refusal_is_told_as_an_answer(tools, folder):
    lines = (folder / "today.csv").read_text().splitlines()
    (folder / "short.csv").write_text("\n".join(lines[:4]))
    answer = (await tools.ask("predict", model="pumps.model", data="short.csv"))["answer"]
    assert answer["status"] == "refused"
    assert answer["refusal"].startswith("no_baseline")
    assert "remaining" not in answer


async def test_text_from_files_is_shown_harmless(tools, folder):
    (folder / "odd.csv").write_text("time,a\u202eb\n" + "\n".join(f"{n},{n * 0.1}" for n in range(30)))
    answer = await tools.ask("check_data", data="odd.csv")
    assert answer["data_columns"] == ["a<U+202E>b"]


async def test_slots_that_are_none_say_how_they_are_written(tools):
    text = await tools.refused("window", planned=1, unplanned=5, lives="lives.csv", slots="Sunday")
    assert "300=0,480=90" in text
