"""The tools, through a client, as an assistant calls them."""

import json

import pytest
from factorylm_skill import Settings
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


async def test_wrong_names_are_helped(tools):
    assert "history.csv" in await tools.refused("fit", data="histry.csv", inputs="speed", outputs="flow")
    assert "speed" in await tools.refused("fit", data="history.csv", inputs="sped", outputs="flow")
    assert "lies outside" in await tools.refused("files", data="/etc/hostname")
    assert "fit again" in await tools.refused("card", model="twin:none")


async def test_without_a_folder_nothing_is_opened():
    async with connected(SKILL, Settings()) as client:
        assert "--data DIR" in await client.refused("twin_files", data="history.csv")
