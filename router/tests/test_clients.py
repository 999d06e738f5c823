"""The real openai and anthropic clients, unchanged, against every surface and both dialects of providers."""

import asyncio
import logging
from typing import Any

import anthropic
import openai
import pytest
from factorylm_router.simulated import Said
from pydantic import BaseModel

pytestmark = pytest.mark.anyio
TOOL_SCHEMA = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}}
CHAT_TOOL = {"type": "function", "function": {"name": "read_tags", "parameters": TOOL_SCHEMA}}
SAID = Said(text="Looking.", calls=(("read_tags", '{"tags":["pump1.speed"]}'),))
ASK = [{"role": "user", "content": "How fast is pump 1?"}]


@pytest.fixture
def talkative(plant: Any, script: Any) -> Any:
    for name in ("cheap", "claude"):
        plant.outside.models[name] = script(name, lambda chat: SAID)
    return plant


def openai_client(plant: Any, **more: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=plant.url + "/v1", api_key="anything", max_retries=0, **more)


def anthropic_client(plant: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=plant.url, api_key="anything", max_retries=0)


@pytest.mark.parametrize("model", ["cheap", "claude"])
async def test_openai_chat_with_tools_whole_and_streamed(talkative: Any, public: str, model: str):
    async with talkative.running(public), openai_client(talkative) as client:
        whole = await client.chat.completions.create(model=model, messages=ASK, tools=[CHAT_TOOL])
        async with client.chat.completions.stream(
            model=model, messages=ASK, tools=[CHAT_TOOL], stream_options={"include_usage": True}
        ) as stream:
            streamed = await stream.get_final_completion()
    for answer in (whole, streamed):
        message = answer.choices[0].message
        assert message.content == "Looking."
        assert message.tool_calls[0].function.name == "read_tags"
        assert message.tool_calls[0].function.arguments == '{"tags":["pump1.speed"]}'
        assert answer.choices[0].finish_reason == "tool_calls"
        assert answer.usage.completion_tokens > 0


@pytest.mark.parametrize("model", ["cheap", "claude"])
async def test_anthropic_messages_with_tools_whole_and_streamed(talkative: Any, public: str, model: str):
    tool = {"name": "read_tags", "input_schema": TOOL_SCHEMA}
    async with talkative.running(public), anthropic_client(talkative) as client:
        whole = await client.messages.create(model=model, max_tokens=100, messages=ASK, tools=[tool])
        async with client.messages.stream(model=model, max_tokens=100, messages=ASK, tools=[tool]) as stream:
            streamed = await stream.get_final_message()
    for message in (whole, streamed):
        assert [block.type for block in message.content] == ["text", "tool_use"]
        assert message.content[0].text == "Looking."
        assert message.content[1].input == {"tags": ["pump1.speed"]}
        assert message.stop_reason == "tool_use"
        assert message.usage.output_tokens > 0


@pytest.mark.parametrize("model", ["cheap", "claude"])
async def test_openai_responses_whole_and_streamed(talkative: Any, public: str, model: str):
    tool = {"type": "function", "name": "read_tags", "parameters": TOOL_SCHEMA, "strict": False}
    async with talkative.running(public), openai_client(talkative) as client:
        whole = await client.responses.create(model=model, input="How fast?", tools=[tool])
        async with client.responses.stream(model=model, input="How fast?", tools=[tool]) as stream:
            streamed = await stream.get_final_response()
    for response in (whole, streamed):
        assert response.status == "completed"
        assert response.output_text == "Looking."
        assert response.output[1].name == "read_tags"
        assert response.output[1].arguments == '{"tags":["pump1.speed"]}'
        assert response.usage.output_tokens > 0


async def test_a_conversation_with_tool_results_reaches_the_other_dialect_whole(talkative: Any, public: str):
    history = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "How fast?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function",
        "function": {"name": "read_tags", "arguments": '{"tags":["pump1.speed"]}'}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1450"},
        {"role": "user", "content": [{"type": "text", "text": "and this?"}, {"type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA"}}]},
    ]  # fmt: skip
    async with talkative.running(public), openai_client(talkative) as client:
        await client.chat.completions.create(model="claude", messages=history, tools=[CHAT_TOOL], max_tokens=50)
    sent = talkative.outside.requests[0]
    assert sent["system"] == "Be short."
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][1]["content"][0]["id"] == "call_1"
    assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "text", "image"]
    assert sent["messages"][2]["content"][2]["source"]["data"] == "AAAA"


async def test_messages_history_reaches_a_chat_model_whole(talkative: Any, public: str):
    history = [
        {"role": "user", "content": "How fast?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, {"type": "tool_use", "id":
        "t1", "name": "read_tags", "input": {"tags": ["a"]}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1450"},
        {"type": "text", "text": "And?"}]},
    ]  # fmt: skip
    async with talkative.running(public), anthropic_client(talkative) as client:
        await client.messages.create(model="cheap", max_tokens=50, system="Be short.", messages=history)
    sent = talkative.outside.requests[0]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "user"]
    assert sent[2]["tool_calls"][0]["id"] == sent[3]["tool_call_id"] == "t1"


class Speed(BaseModel):
    tag: str
    rpm: int


async def test_structured_output_is_parsed_by_the_client(plant: Any, public: str, script: Any):
    plant.outside.models["cheap"] = script("cheap", lambda chat: Said(text='{"tag": "pump1.speed", "rpm": 1450}'))
    async with plant.running(public), openai_client(plant) as client:
        answer = await client.chat.completions.parse(model="cheap", messages=ASK, response_format=Speed)
    assert answer.choices[0].message.parsed == Speed(tag="pump1.speed", rpm=1450)
    assert plant.outside.requests[0]["response_format"]["json_schema"]["name"] == "Speed"


async def test_embeddings_and_models_are_served(plant: Any, public: str):
    async with plant.running(public), openai_client(plant) as client:
        found = await client.embeddings.create(model="cheap", input=["a", "bb"], encoding_format="float")
        names = [model.id async for model in client.models.list()]
        rows = await plant.rows()
    assert [item.embedding[0] for item in found.data] == [1.0, 2.0]
    assert names[:2] == ["auto", "local"]
    assert (rows[0].surface, rows[0].out_tokens, rows[0].in_tokens) == ("embeddings", 0, 2)


async def test_a_client_that_leaves_mid_stream_stops_the_provider_and_is_priced(
    plant: Any, public: str, script: Any, within: Any
):
    long = script("cheap", lambda chat: Said(text="word " * 5000), between_s=0.01)
    plant.outside.models["cheap"] = long
    async with plant.running(public), openai_client(plant) as client:
        stream = await client.chat.completions.create(model="cheap", messages=ASK, stream=True)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        await stream.close()
        await within(plant.outside.gone.is_set)
        await within(lambda: plant.service.gateway.in_flight == 0)
        rows = await plant.rows()
    assert plant.outside.open_streams == 0
    assert (rows[0].status, rows[0].cost_source) == ("aborted", "estimated")
    assert 0 < rows[0].out_tokens < 500


async def test_a_cancelled_request_reaches_the_provider(plant: Any, public: str, script: Any, within: Any):
    plant.outside.models["cheap"] = script("cheap", faults=iter(["stall"]))
    async with plant.running(public), openai_client(plant) as client:
        task = asyncio.create_task(client.chat.completions.create(model="cheap", messages=ASK))
        await within(lambda: bool(plant.outside.requests))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await within(lambda: plant.service.gateway.in_flight == 0)
        rows = await plant.rows()
    assert rows[0].status == "aborted"


async def test_the_client_sees_typed_errors(plant: Any):
    async with plant.running(), openai_client(plant) as client, anthropic_client(plant) as claude:
        with pytest.raises(openai.PermissionDeniedError, match="may not go to cheap"):
            await client.chat.completions.create(model="cheap", messages=ASK)
        with pytest.raises(openai.BadRequestError, match=r"no model 'gpt-99' here\. known are"):
            await client.chat.completions.create(model="gpt-99", messages=ASK)
        with pytest.raises(anthropic.PermissionDeniedError, match="may not go to claude"):
            await claude.messages.create(model="claude", max_tokens=5, messages=ASK)


async def test_no_prompt_key_or_answer_reaches_a_log(plant: Any, public: str, caplog: Any):
    caplog.set_level(logging.DEBUG)
    async with plant.running(public):
        await plant.chat("cheap", "secret pump recipe 4711")
        plant.outside.models["cheap"].faults = iter(["500"] * 9)
        await plant.chat("cheap", "secret pump recipe 4711", headers={"Authorization": "Bearer very-secret"})
    assert "4711" not in caplog.text
    assert "very-secret" not in caplog.text
