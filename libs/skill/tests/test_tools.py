"""The tools over a plant in memory, through a real client, in both eras."""

import asyncio
import sys
import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import anyio.to_thread
import mcp_types as types
import pytest
from factorylm_schema import BadReplyError, DeviceTimeoutError, NotConnectedError, Quality
from factorylm_skill import Arguments, Call, DomainSkill, ProtocolSkill, RawTool, Settings, Tool, build_server
from factorylm_skill.long_work import Say, in_a_thread
from factorylm_skill.skill import OpenSkill
from factorylm_skill.testing import connected, lint_tool, skill_checks
from factorylm_skill.testing.clients import Era
from mcp import Client
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

ERAS: tuple[Era, ...] = ("legacy", "auto")


@pytest.fixture(params=ERAS)
async def client(request, skill: ProtocolSkill, settings: Settings, monkeypatch):
    monkeypatch.setattr("factorylm_skill.command.document_of", _no_document)
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(connected(skill, settings, era=request.param))


def _no_document(_: str):
    from factorylm_skill.skill_documents import SkillDocument

    return SkillDocument(text="---\nname: x\n---\n", head={"name": "x", "description": "x"})


async def test_tags_are_listed_searched_and_paged(client) -> None:
    every = await client.ask("shed_list_tags")
    assert [row[0] for row in every["rows"]] == ["d.level", "d.valve", "d.mode", "d.note", "d.setpoint"]
    assert every["truncated"] is False
    assert [row[0] for row in (await client.ask("shed_list_tags", search="PUMP"))["rows"]] == ["d.setpoint"]
    assert "has 'zebra' in its name" in (await client.ask("shed_list_tags", search="zebra"))["note"]
    first = await client.ask("shed_list_tags", limit=2)
    second = await client.ask("shed_list_tags", limit=2, cursor=first["cursor"])
    assert [row[0] for row in second["rows"]] == ["d.mode", "d.note"]
    text = await client.refused("shed_list_tags", limit=2, search="x", cursor=first["cursor"])
    assert "does not continue this question" in text
    assert "no device 'e'" in await client.refused("shed_list_tags", device="e")


async def test_a_server_without_devices_says_what_is_missing(skill, monkeypatch) -> None:
    monkeypatch.setattr("factorylm_skill.command.document_of", _no_document)
    async with connected(skill, Settings()) as client:
        assert "--plant FILE or --simulate" in (await client.ask("shed_list_tags"))["note"]


async def test_values_come_with_units_labels_and_made_visible_text(client) -> None:
    answer = await client.ask("shed_read_tags", tags=["d.level", "d.mode", "d.note", "d.level"])
    assert answer["rows"] == [["d.level", 2.5, "m"], ["d.mode", "running", ""], ["d.note", "ok<U+202E>", ""]]
    assert answer["problems"] == []


async def test_an_implausible_value_stands_in_problems_with_the_value(client, memory) -> None:
    memory.values |= {"level": 11.0, "mode": 7}
    answer = await client.ask("shed_read_tags", tags=["d.level", "d.mode"])
    assert answer["rows"] == []
    assert [(p["quality"], p["last_value"], p["problem"]) for p in answer["problems"]] == [
        ("UncertainEngineeringUnitsExceeded", 11.0, "11 is outside the range 0 to 10"),
        ("UncertainSubNormal", 7, "7 is none of the known states 0, 1"),
    ]
    memory.values["level"] = float("nan")
    [problem] = (await client.ask("shed_read_tags", tags=["d.level"]))["problems"]
    assert problem["quality"] == "BadSensorFailure"


@pytest.mark.parametrize("error", [NotConnectedError("no route"), DeviceTimeoutError("silent"), BadReplyError("short")])
async def test_a_lost_device_gives_each_tag_its_last_value_marked_uncertain(client, memory, error, caplog) -> None:
    await client.ask("shed_read_tags", tags=["d.level"])
    memory.read_fails = error
    for _ in range(3):
        answer = await client.ask("shed_read_tags", tags=["d.level", "d.setpoint"])
    level, setpoint = answer["problems"]
    assert level["last_value"] == 2.5
    assert "last_value" not in setpoint
    assert Quality[setpoint["quality"]] is error.quality
    memory.read_fails = None
    assert (await client.ask("shed_read_tags", tags=["d.level"]))["rows"] == [["d.level", 2.5, "m"]]
    lost = [record.message for record in caplog.records if record.name == "factorylm"]
    assert lost == [f"d: lost: {error.message}", "d: answers again"]


async def test_names_of_a_device_in_advice_and_errors_are_made_visible(client, memory) -> None:
    memory.read_fails = NotConnectedError("no\u202etag", hint="the nearest are a\x1b[2J, b")
    [problem] = (await client.ask("shed_read_tags", tags=["d.level"]))["problems"]
    assert (problem["problem"], problem["hint"]) == ("no<U+202E>tag", "the nearest are a<U+001B>[2J, b")
    memory.identify_fails = memory.read_fails
    text = await client.refused("shed_diagnose", device="d")
    assert text == "NOT_CONNECTED: no<U+202E>tag. the nearest are a<U+001B>[2J, b."


async def test_sampling_gives_statistics_a_short_table_and_a_handle(client) -> None:
    answer = await client.ask("shed_sample_tags", tags=["d.level", "d.mode"], seconds=1.5, interval_s=0.05)
    level, mode = (dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"])
    assert (level["min"], level["mean"], level["missing"]) == (2.5, 2.5, 0)
    assert (mode["mean"], mode["changes"]) == (None, 0)
    assert len(answer["samples"]["rows"]) <= 21
    assert answer["truncated"] is answer["samples"]["truncated"] is True


async def test_diagnose_without_a_ladder_shows_the_identity_made_visible(client) -> None:
    answer = await client.ask("shed_diagnose", device="d")
    assert answer["verdict"] == "every step passed"
    assert answer["identity"] == {"vendor": "Shed works", "product": "<U+001B>box"}


async def test_wrong_arguments_are_told_by_name(client) -> None:
    text = await client.refused("shed_read_tags", tags=["d.level"], tagz=1)
    assert text == "BAD_REQUEST: shed_read_tags has no argument 'tagz'; its arguments are tags."
    text = await client.refused("shed_read_tags", tags="d.level")
    assert text.startswith("BAD_REQUEST: tags: input should be a valid list")
    text = await client.refused("shed_read_tags", **{f"x{i}": 1 for i in range(9)})
    assert text.endswith("and 5 more.")


async def test_an_unknown_tool_is_a_protocol_error_that_names_the_tools(client) -> None:
    with pytest.raises(MCPError, match="Unknown tool: nope; the tools are shed_list_tags"):
        await client.client.call_tool("nope", {})


async def test_tool_definitions_pass_the_lint(client) -> None:
    assert [fault for tool in await client.tools() for fault in lint_tool(tool)] == []


async def test_a_caller_that_gives_up_does_not_disturb_the_next(skill, settings, memory) -> None:
    memory.gate = asyncio.Event()
    opened = skill.open(settings)
    server = build_server([opened], name="x", title="x", version="1")
    async with Client(server, mode="legacy") as client:
        first = asyncio.create_task(client.call_tool("shed_read_tags", {"tags": ["d.level"]}))
        await asyncio.wait([first], timeout=0.1)
        first.cancel()
        second = asyncio.create_task(client.call_tool("shed_read_tags", {"tags": ["d.mode"]}))
        memory.gate.set()
        answer = await asyncio.wait_for(second, 5)
    assert answer.structured_content["rows"] == [["d.mode", "running", ""]]
    assert memory.closed == 1


class Nothing(Arguments):
    pass


class Said(BaseModel):
    text: str


def domain(run, **more: Any) -> DomainSkill:
    tool = Tool(name="x_do", title="Do", description="Does.", arguments=Nothing, result=Said, run=run, **more)
    return DomainSkill(
        name="x", title="X", version="1", instructions="", package="factorylm_skill", tools=lambda _: [tool]
    )


async def call(skill: DomainSkill) -> types.CallToolResult:
    server = build_server([skill.open(Settings())], name="x", title="x", version="1")
    async with Client(server) as client:
        return await client.call_tool("x_do", {})


async def test_a_fault_of_ours_is_an_error_without_its_inside(caplog) -> None:
    async def run(_: Nothing, __: Call) -> Said:
        raise RuntimeError("secret path /etc/x")

    result = await call(domain(run))
    assert result.is_error
    assert result.structured_content is None
    assert result.content[0].text == "INTERNAL: x_do failed unexpectedly. The server's log has the details."
    assert "secret path" in caplog.text


async def test_long_work_tells_its_progress_while_the_server_goes_on_answering() -> None:
    heard: list[str | None] = []
    told = asyncio.Event()
    go_on = threading.Event()

    def work(say: Say) -> Said:
        say("first half")
        assert go_on.wait(60)
        return Said(text="done")

    async def run(_: Nothing, call: Call) -> Said:
        return await in_a_thread(work, call)

    async def hear(_: float, __: float | None, message: str | None) -> None:
        heard.append(message)
        told.set()

    server = build_server([domain(run).open(Settings())], name="x", title="x", version="1")
    async with Client(server) as client, asyncio.timeout(60), asyncio.TaskGroup() as group:
        asked = group.create_task(client.call_tool("x_do", {}, progress_callback=hear))
        await told.wait()
        assert [tool.name for tool in (await client.list_tools()).tools] == ["x_do"]
        go_on.set()
        assert (await asked).structured_content == {"text": "done"}
    assert heard == ["first half"]


async def test_a_call_ends_at_its_timeout() -> None:
    async def run(_: Nothing, __: Call) -> Said:
        await asyncio.Event().wait()
        raise AssertionError

    result = await call(domain(run, timeout_s=0.05))
    assert result.content[0].text == "TIMEOUT: x_do took longer than 0.05 s. Ask for less at once."


async def test_a_call_ends_at_its_timeout_also_when_a_thread_of_it_does_not() -> None:
    release = threading.Event()

    async def run(_: Nothing, __: Call) -> Said:
        await anyio.to_thread.run_sync(release.wait)
        return Said(text="too late")

    try:
        result = await asyncio.wait_for(call(domain(run, timeout_s=0.05)), 10)
    finally:
        release.set()
    assert result.content[0].text.startswith("TIMEOUT: x_do took longer than 0.05 s")


async def test_a_tool_that_ends_the_program_ends_only_its_call(caplog) -> None:
    async def run(_: Nothing, __: Call) -> Said:
        sys.exit(3)

    assert (await call(domain(run))).content[0].text.startswith("INTERNAL: x_do failed unexpectedly")
    assert "SystemExit: 3" in caplog.text


async def test_a_tool_that_cannot_be_described_is_left_out_of_the_list(caplog) -> None:
    class Broken:
        name = "x_broken"
        timeout_s = 1.0

        @property
        def listing(self) -> types.Tool:
            raise RuntimeError("no schema")

    async def run(_: Nothing, __: Call) -> Said:
        return Said(text="")

    sound = domain(run).open(Settings())
    server = build_server([replace(sound, tools=[Broken(), *sound.tools])], name="x", title="x", version="1")
    async with Client(server) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["x_do"]
    assert "x_broken cannot be described" in caplog.text


async def test_an_answer_too_long_for_a_model_is_refused_with_its_size() -> None:
    async def run(_: Nothing, __: Call) -> Said:
        return Said(text="x" * 50_000)

    result = await call(domain(run))
    assert "50,011 characters" in result.content[0].text


async def test_a_raw_tool_answers_as_it_likes() -> None:
    async def answer(_: Call) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(text="as it is")])

    raw = RawTool(listing=types.Tool(name="raw", input_schema={"type": "object"}), call=answer)
    server = build_server([OpenSkill(tools=[raw])], name="x", title="x", version="1")
    async with Client(server) as client:
        assert (await client.call_tool("raw", {})).content[0].text == "as it is"


def test_two_tools_of_one_name_are_refused() -> None:
    async def run(_: Nothing, __: Call) -> Said:
        return Said(text="")

    opened = domain(run).open(Settings())
    with pytest.raises(ValueError, match="two tools are called 'x_do'"):
        build_server([opened, opened], name="x", title="x", version="1")


def test_the_contract_names_every_check() -> None:
    async def run(_: Nothing, __: Call) -> Said:
        return Said(text="")

    assert skill_checks(domain(run))[0].name == "tools_are_named_after_the_skill"
