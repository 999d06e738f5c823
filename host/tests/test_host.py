"""Many skills in one process: allow-lists, read-only, and a broken skill that costs only itself."""

import asyncio
import json
import logging
import subprocess
import sys
import threading

import mcp_types as types
import pytest
from factorylm.host import ToolChoice, open_host
from factorylm.installed import installed_skills
from factorylm.standstill import Standstill
from factorylm_schema import UnknownNameError
from factorylm_skill import AuditLog, Call, DomainSkill, OpenSkill, RawTool, Settings
from mcp import Client


async def test_all_installed_skills_are_one_server_with_their_documents() -> None:
    skills = list(installed_skills().skills.values())
    host = open_host(skills, Settings(), version="1")
    async with Client(host.server()) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert len(names) == len(set(names))
    assert {name.split("_")[0] for name in names} == {skill.name for skill in skills}
    assert len(host.documents) == len(skills)


async def test_an_allow_list_keeps_the_named_tools_and_refuses_unknown_ones() -> None:
    skills = installed_skills().chosen(["modbus"])
    host = open_host(skills, Settings(), version="1", choice=ToolChoice(only=["modbus_read_*"]))
    async with Client(host.server()) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["modbus_read_tags"]
    with pytest.raises(UnknownNameError, match="no tool 'modbus_fly'"):
        open_host(skills, Settings(), version="1", choice=ToolChoice(only=["modbus_fly"]))


async def test_a_forbidden_tool_is_not_offered_even_where_it_is_allowed() -> None:
    skills = installed_skills().chosen(["modbus"])
    choice = ToolChoice(only=["modbus_*"], never=["*_sample_tags", "*_browse", "modbus_diagnose"])
    host = open_host(skills, Settings(), version="1", choice=choice)
    names = [tool.name for tool in host.opened["modbus"].tools]
    assert names == ["modbus_list_tags", "modbus_read_tags"]


def domain(name: str, *tools: str) -> DomainSkill:
    listing = [RawTool(listing=types.Tool(name=tool, input_schema={"type": "object"}), call=no_call) for tool in tools]
    return DomainSkill(
        name=name, title=name, version="1", instructions="", package="factorylm_modbus", tools=lambda _: listing
    )


async def no_call(_: Call) -> types.CallToolResult:
    raise AssertionError


def test_a_skill_with_another_skills_tool_names_is_left_out() -> None:
    thief = domain("thief", "opc_ua_read")
    host = open_host([domain("opc", "opc_ua_read"), domain("opc_ua", "opc_ua_read"), thief], Settings(), version="1")
    assert list(host.opened) == ["opc"]
    assert host.failed == {
        "opc_ua": "ValueError: another skill already has a tool 'opc_ua_read'",
        "thief": "ValueError: its tool 'opc_ua_read' does not begin with thief_",
    }


def test_a_standstill_is_logged_with_its_place_and_its_end(caplog) -> None:
    seen = threading.Event()

    class Noted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "stands here" in record.getMessage():
                seen.set()

    async def blocked() -> None:
        watching = asyncio.ensure_future(Standstill(limit_s=0.1).run())
        await asyncio.sleep(0)
        assert await asyncio.to_thread(lambda: True)
        hold_everything_up(seen)
        await asyncio.sleep(0.05)
        watching.cancel()

    noted = Noted()
    logging.getLogger("factorylm").addHandler(noted)
    try:
        asyncio.run(blocked())
    finally:
        logging.getLogger("factorylm").removeHandler(noted)
    assert "hold_everything_up" in caplog.text
    assert "served again after a standstill" in caplog.text


def hold_everything_up(until: threading.Event) -> None:
    assert until.wait(10)


SPANS = """
import anyio, json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
from factorylm import installed_skills, open_host
from factorylm_skill import Settings
from mcp import Client
async def main():
    host = open_host(installed_skills().chosen(["modbus"]), Settings(), version="1")
    async with Client(host.server()) as client:
        await client.call_tool("modbus_list_tags", {"search": "secret"})
anyio.run(main)
print(json.dumps([[span.name, span.kind.name, dict(span.attributes)] for span in spans.get_finished_spans()]))
"""


def test_a_call_arrives_as_a_span_where_an_exporter_is_configured() -> None:
    # in a process of its own: a provider cannot be taken back
    done = subprocess.run([sys.executable, "-c", SPANS], capture_output=True, text=True, check=True)
    served = [span for span in json.loads(done.stdout) if span[1] == "SERVER"]
    [called] = [attributes for name, _, attributes in served if name == "tools/call modbus_list_tags"]
    assert called["gen_ai.tool.name"] == "modbus_list_tags"
    assert "secret" not in done.stdout


def test_a_skill_that_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(UnknownNameError, match="Install factorylm-profibus"):
        installed_skills().chosen(["profibus"])


def test_a_skill_that_breaks_while_opening_costs_only_itself(caplog) -> None:
    def burst(_: Settings) -> OpenSkill:
        raise RuntimeError("out of order")

    broken = DomainSkill(name="bad", title="Bad", version="1", instructions="", package="x", tools=burst)
    host = open_host([broken, *installed_skills().chosen(["modbus"])], Settings(), version="1")
    assert host.failed == {"bad": "RuntimeError: out of order"}
    assert list(host.opened) == ["modbus"]
    assert "is left out" in caplog.text


def test_write_tools_appear_only_when_allowed(tmp_path) -> None:
    skills = installed_skills().chosen(["modbus"])
    audit = AuditLog(tmp_path / "a.jsonl")
    for allowed in (False, True):
        host = open_host(skills, Settings(allow_writes=allowed, audit=audit), version="1")
        names = [tool.name for tool in host.opened["modbus"].tools]
        assert ("modbus_write_tag" in names) is allowed
