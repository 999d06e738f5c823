"""The plain proxy: real clients, one model, nothing lost on the way."""

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


@pytest.mark.parametrize(
    ("quirk", "sent"),
    [
        ("llama-cpp", ["required", ["read_tags"], "json_schema"]),
        (
            "llama-cpp-python",
            [{"type": "function", "function": {"name": "read_tags"}}, ["read_tags", "diagnose"], "json_object"],
        ),
    ],
)
async def test_local_servers_are_told_in_the_words_they_understand(plant: Any, quirk: str, sent: list[Any]):
    tools = [{"type": "function", "function": {"name": name}} for name in ("read_tags", "diagnose")]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    more = {"tools": tools, "response_format": form, "max_completion_tokens": 7}
    async with plant.running():
        text = plant.file.read_text().replace('where = "plant"', f'where = "plant"\nquirks = ["{quirk}"]')
        plant.file.write_text(text)
        assert plant.service.reload()
        named = {"type": "function", "function": {"name": "read_tags"}}
        assert (await plant.chat("local", **more, tool_choice=named))[0] == 200
        assert (await plant.chat("local", n=2))[0] == 400
    (got,) = plant.site.requests
    told = [got["tool_choice"], [tool["function"]["name"] for tool in got["tools"]], got["response_format"]["type"]]
    assert told == sent
    assert (got["max_tokens"], "max_completion_tokens" in got) == (7, False)
