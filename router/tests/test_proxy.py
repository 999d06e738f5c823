"""The plain proxy: real clients, one model, nothing lost on the way."""

import os
from typing import Any

import pytest
from factorylm_router.simulated import Said
from openai import AsyncOpenAI

pytestmark = pytest.mark.anyio


async def test_a_chat_passes_through_with_unknown_fields_kept(plant: Any, public: Any):
    async with plant.running(public):
        status, answer, headers = await plant.chat("cheap", "hello", some_new_field={"a": [1]}, temperature=0.5)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "You said: hello"
    assert plant.outside.requests[0]["some_new_field"] == {"a": [1]}
    assert headers["X-FactoryLM-Model"] == "cheap"


async def test_a_stream_ends_with_usage_only_when_it_was_asked_for(plant: Any, public: Any):
    async with plant.running(public):
        client = AsyncOpenAI(base_url=plant.url + "/v1", api_key="x", max_retries=0)
        for asked in (True, False):
            options = {"stream_options": {"include_usage": True}} if asked else {}
            stream = await client.chat.completions.create(
                model="cheap",
                messages=[{"role": "user", "content": "count to three"}],
                stream=True,
                **options,
            )
            chunks = [chunk async for chunk in stream]
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            assert text == "You said: count to three"
            assert any(chunk.usage for chunk in chunks) is asked
        rows = await plant.rows()
        await client.close()
    assert [row.status for row in rows] == ["ok", "ok"]
    assert rows[0].cost_micro == rows[1].cost_micro > 0
    assert {row.cost_source for row in rows} == {"priced"}


async def test_tool_calls_keep_ids_and_arguments_in_streams(plant: Any, public: Any, script: Any):
    said = Said(text="Looking.", calls=(("read_tags", '{"tags": ["pump1.speed"]}'), ("diagnose", "{}")))
    plant.outside.models["cheap"] = script("cheap", lambda chat: said)
    async with plant.running(public):
        client = AsyncOpenAI(base_url=plant.url + "/v1", api_key="x", max_retries=0)
        async with client.chat.completions.stream(
            model="cheap", messages=[{"role": "user", "content": "how fast?"}]
        ) as stream:
            completion = await stream.get_final_completion()
        await client.close()
    calls = completion.choices[0].message.tool_calls
    assert completion.choices[0].message.content == "Looking."
    assert [(c.function.name, c.function.arguments) for c in calls] == list(said.calls)
    assert [c.id for c in calls] == ["call_sim-1_0", "call_sim-1_1"]


async def test_plant_data_stays_by_default(plant: Any):
    async with plant.running():
        refused = await plant.chat("cheap", "pump1.speed is 1450")
        kept = await plant.chat("local", "pump1.speed is 1450")
    assert refused[0] == 403
    assert refused[1]["error"]["code"] == "data_policy"
    assert kept[0] == 200
    assert plant.outside.requests == []


@pytest.mark.skipif(
    "FACTORYLM_LLAMA_SERVER" not in os.environ, reason="FACTORYLM_LLAMA_SERVER names no llama.cpp server"
)
async def test_a_real_llama_cpp_server_answers_whole_and_streamed(plant: Any):
    url = os.environ["FACTORYLM_LLAMA_SERVER"].rstrip("/") + "/v1"
    model = os.environ.get("FACTORYLM_LLAMA_MODEL", "tiny-local")
    async with plant.running():
        text = plant.file.read_text().replace(plant.urls[1], url)
        text = text.replace('where = "plant"', 'where = "plant"\nat_once = 1\nquirks = ["llama-cpp"]')
        plant.file.write_text(text.replace("[models.local]", f'[models.local]\nname = "{model}"'))
        assert plant.service.reload()
        client = AsyncOpenAI(base_url=plant.url + "/v1", api_key="x", max_retries=0)
        ask = {
            "model": "local",
            "messages": [{"role": "developer", "content": "Be short."}, {"role": "user", "content": "hi"}],
        }
        whole = await client.chat.completions.create(**ask, max_completion_tokens=5)
        stream = await client.chat.completions.create(
            **ask, max_completion_tokens=5, stream=True, stream_options={"include_usage": True}
        )
        usages = [chunk.usage async for chunk in stream if chunk.usage]
        await client.close()
    assert whole.usage.completion_tokens <= 8  # llama.cpp may exceed a limit by up to 3
    assert len(usages) == 1
