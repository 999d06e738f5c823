"""A real llama.cpp server with a tiny random model on site: `./run test --with-llama router` builds and starts one.

Its words are noise, so what is tested is the wire: limits, usage, schemas, tools, dialects, queue, cancellation."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import orjson
import pytest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif("FACTORYLM_LLAMA_SERVER" not in os.environ, reason="asked for with ./run test --with-llama"),
]
MODEL = os.environ.get("FACTORYLM_LLAMA_MODEL", "tiny-local")
ASK = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": "hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}},
    "required": ["on"],
    "additionalProperties": False,
}


@asynccontextmanager
async def behind_router(plant: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    async with plant.running():
        text = plant.file.read_text().replace(plant.urls[1], os.environ["FACTORYLM_LLAMA_SERVER"].rstrip("/") + "/v1")
        text = text.replace(
            'where = "plant"\nstall_timeout_s = 5', 'where = "plant"\nat_once = 1\nquirks = ["llama-cpp"]'
        )
        plant.file.write_text(text.replace("[models.local]", f'[models.local]\nname = "{MODEL}"'))
        assert plant.service.reload()
        async with openai.AsyncOpenAI(base_url=plant.url + "/v1", api_key="x", max_retries=0, timeout=120) as client:
            yield client
        assert plant.outside.requests == []


async def test_whole_and_streamed_answers_keep_their_limit_and_tell_their_usage(plant: Any):
    async with behind_router(plant) as client:
        whole = await client.chat.completions.create(model="local", messages=ASK, max_completion_tokens=5)
        stream = await client.chat.completions.create(
            model="local", messages=ASK, max_completion_tokens=5, stream=True, stream_options={"include_usage": True}
        )
        usages = [chunk.usage async for chunk in stream if chunk.usage]
        rows = await plant.rows()
    # A limit may be exceeded by up to 3 (llama-cpp-python 0.3.36).
    assert 1 <= whole.usage.completion_tokens <= 8
    assert len(usages) == 1
    assert [(row.model, row.status, row.data_class, row.cost_micro) for row in rows] == [
        ("local", "ok", "plant", 0)
    ] * 2


async def test_a_schema_holds_what_random_weights_say(plant: Any):
    form = {"type": "json_schema", "json_schema": {"name": "switch", "schema": SCHEMA, "strict": True}}
    async with behind_router(plant) as client:
        answer = await client.chat.completions.create(
            model="local", messages=ASK, response_format=form, max_completion_tokens=60, seed=1
        )
    assert orjson.loads(answer.choices[0].message.content) in ({"on": True}, {"on": False})


async def test_a_conversation_with_tools_in_it_is_taken(plant: Any):
    """Random weights call no tool; that calls come back whole is tested with scripted models."""
    call = {"id": "call_1", "type": "function", "function": {"name": "switch", "arguments": '{"on": true}'}}
    history = [*ASK, {"role": "assistant", "content": None, "tool_calls": [call]}]
    history.append({"role": "tool", "tool_call_id": "call_1", "content": "done"})
    tool = {"type": "function", "function": {"name": "switch", "parameters": SCHEMA}}
    async with behind_router(plant) as client:
        answer = await client.chat.completions.create(
            model="local", messages=history, tools=[tool], max_completion_tokens=5
        )
    assert answer.choices[0].finish_reason == "length"


async def test_the_other_dialects_are_translated_for_it(plant: Any):
    async with behind_router(plant) as client:
        response = await client.responses.create(model="local", input="hi", max_output_tokens=5)
        async with anthropic.AsyncAnthropic(base_url=plant.url, api_key="x", max_retries=0) as claude:
            message = await claude.messages.create(
                model="local", max_tokens=5, messages=[{"role": "user", "content": "hi"}]
            )
            ask: Any = {"model": "local", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
            async with claude.messages.stream(**ask) as stream:
                streamed = await stream.get_final_message()
    assert 1 <= response.usage.output_tokens <= 8
    for told in (message, streamed):
        assert told.stop_reason == "max_tokens"
        assert 1 <= told.usage.output_tokens <= 8


async def test_requests_wait_for_each_other_and_a_client_that_leaves_frees_the_model(plant: Any, within: Any):
    async with behind_router(plant) as client:
        long = await client.chat.completions.create(
            model="local", messages=ASK, stream=True, max_completion_tokens=1500, extra_body={"ignore_eos": True}
        )
        await anext(aiter(long))
        waiting = [
            asyncio.create_task(client.chat.completions.create(model="local", messages=ASK, max_completion_tokens=3))
            for _ in range(3)
        ]
        await within(lambda: plant.service.gateway.in_flight == 4)
        await long.close()
        answers = await asyncio.gather(*waiting)
        rows = await plant.rows()
    assert [answer.choices[0].finish_reason for answer in answers] == ["length"] * 3
    assert sorted(row.status for row in rows) == ["aborted", "ok", "ok", "ok"]


async def test_a_prompt_that_is_too_long_is_the_clients_to_shorten(plant: Any):
    async with behind_router(plant) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="local", messages=[{"role": "user", "content": "word " * 5000}])
    assert "context" in str(refused.value)
    assert "/" not in str(refused.value.body), "no path of its machine goes on"
