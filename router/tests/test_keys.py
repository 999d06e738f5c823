"""What a key may do: models, money, pace, and its end while an answer is under way."""

from typing import Any

import pytest
from factorylm_router.config import key_digest
from factorylm_router.simulated import Said

pytestmark = pytest.mark.anyio
ASK = [{"role": "user", "content": "hello"}]
KEY = "flm-test-key-0123456789abcdefghijklmnop"


def key_tables(**more: Any) -> str:
    told = "".join(f"{name} = {value}\n" for name, value in more.items())
    return f'[keys.ops]\nsha256 = "{key_digest(KEY)}"\ndata_class = "public"\n{told}'


AUTH = {"Authorization": f"Bearer {KEY}"}


async def test_without_a_known_key_nothing_is_answered(plant: Any):
    async with plant.running(key_tables()):
        missing = await plant.chat("cheap")
        wrong = await plant.chat("cheap", headers={"Authorization": "Bearer wrong"})
        known = await plant.chat("cheap", headers=AUTH)
        rows = await plant.rows()
    assert [answer[0] for answer in (missing, wrong, known)] == [401, 401, 200]
    assert [row.key for row in rows] == ["ops"]


async def test_a_used_up_budget_refuses_for_good_and_warns_before(plant: Any, script: Any):
    plant.outside.models["cheap"] = script("cheap", lambda chat: Said(text="x" * 4000))
    tables = key_tables(budget_usd=0.003, soft_budget_usd=0.001, period='"total"')
    async with plant.running(tables):
        answers = [await plant.chat("cheap", headers=AUTH, max_tokens=1000) for _ in range(4)]
        rows = await plant.rows()
    assert [answer[0] for answer in answers] == [200, 200, 403, 403]
    assert answers[1][2]["X-FactoryLM-Warning"] == "soft budget passed"
    assert answers[2][1]["error"]["code"] == "budget_exceeded"
    assert answers[2][2]["x-should-retry"] == "false"
    assert sum(row.cost_micro for row in rows) <= 3000


async def test_a_budget_crossed_in_flight_stops_the_stream(plant: Any, script: Any, within: Any):
    plant.outside.models["cheap"] = script("cheap", lambda chat: Said(text="word " * 4000), between_s=0.0005)
    async with plant.running(key_tables(budget_usd=0.002, period='"total"')):
        body = {"model": "cheap", "messages": ASK, "stream": True, "max_tokens": 1000}
        async with plant.http.post(plant.url + "/v1/chat/completions", json=body, headers=AUTH) as response:
            text = await response.text()
        await within(plant.outside.gone.is_set)
        rows = await plant.rows()
    assert '"code":"budget_exceeded"' in text
    assert (rows[0].status, rows[0].trouble) == ("aborted", "budget_exceeded")
    assert 0 < rows[0].out_tokens < 2500


async def test_a_key_revoked_in_flight_ends_its_stream(plant: Any, script: Any):
    plant.outside.models["cheap"] = script("cheap", lambda chat: Said(text="word " * 3000), between_s=0.01)
    async with plant.running(key_tables()):
        body = {"model": "cheap", "messages": ASK, "stream": True}
        async with plant.http.post(plant.url + "/v1/chat/completions", json=body, headers=AUTH) as response:
            await response.content.readany()
            plant.write(key_tables(revoked="true"))
            assert plant.service.reload()
            text = (await response.read()).decode()
        refused = await plant.chat("cheap", headers=AUTH)
    assert "this key ended while the answer was under way" in text
    assert refused[0] == 401


async def test_a_rate_is_told_with_the_time_to_wait(plant: Any):
    async with plant.running(key_tables(requests_per_minute=6)):
        answers = [await plant.chat("cheap", headers=AUTH) for _ in range(2)]
    assert [answer[0] for answer in answers] == [200, 429]
    assert int(answers[1][2]["Retry-After"]) >= 9


async def test_a_key_may_use_only_its_models(plant: Any):
    async with plant.running(key_tables(models='["cheap"]')):
        answers = [await plant.chat(model, headers=AUTH) for model in ("cheap", "premium", "auto")]
        async with plant.http.get(plant.url + "/v1/models", headers=AUTH) as response:
            listed = await response.json()
    assert [answer[0] for answer in answers] == [200, 403, 403]
    assert [model["id"] for model in listed["data"]] == ["cheap"]
