"""`factorylm serve` as a process: sick skills, metrics, logs, an edited plant file, taken ports, shared audit files."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import mcp_types as types
import pytest
from factorylm.command import main
from factorylm.installed import installed_skills
from factorylm_skill import AuditLog
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from prometheus_client.parser import text_string_to_metric_families

SERVE = [sys.executable, "-m", "factorylm", "serve"]
PLANT = """
[devices.p]
url = "modbus-tcp://127.0.0.1:{port}"
timeout_s = 0.3

[devices.p.tags]
speed = {{ address = "holding-register:1:UINT", unit = "/min" }}
"""


@asynccontextmanager
async def host(environment, *options: str, **client) -> AsyncIterator[Client]:
    server = StdioServerParameters(command=sys.executable, args=[*SERVE[1:], *options], env=environment)
    async with Client(stdio_client(server), **client) as connected:
        yield connected


async def said(client: Client, tool: str) -> str:
    result = await client.call_tool(tool, {})
    assert result.is_error
    return result.content[0].text


async def test_a_sick_skill_disturbs_no_other(sick, environment) -> None:
    async with host(environment, "sick", "modbus", "--simulate") as client:
        names = ("sick_hangs", "sick_blocks", "sick_raises", "sick_leaves", "sick_floods")
        ill = [asyncio.ensure_future(said(client, name)) for name in names]
        for _ in range(3):
            answer = await asyncio.wait_for(client.call_tool("modbus_read_tags", {"tags": ["pump1.speed"]}), 10)
            assert answer.structured_content["rows"][0][0] == "pump1.speed"
        hung, blocked, raised, left, flooded = await asyncio.wait_for(asyncio.gather(*ill), 20)
        assert hung.startswith("TIMEOUT: sick_hangs took longer than 1 s")
        assert blocked.startswith("TIMEOUT: sick_blocks took longer than 1 s")
        assert raised.startswith("INTERNAL: sick_raises failed unexpectedly")
        assert left.startswith("INTERNAL: sick_leaves failed unexpectedly")
        assert "10,000,011 characters, more than a model should read" in flooded


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import nothing_of_that_name", "SKILL = 7"])
def test_a_skill_that_breaks_on_import_is_named_and_the_others_stay(partner, source: str) -> None:
    partner("broken", source)
    found = installed_skills()
    assert list(found.broken) == ["broken"]
    assert "modbus" in found.skills


def test_two_packages_that_announce_one_skill_are_both_left_out(partner) -> None:
    partner("mine", "SKILL = 1", skill="modbus")
    found = installed_skills()
    assert found.broken["modbus"] == "two installed packages announce a skill of this name; uninstall one"
    assert "modbus" not in found.skills


async def metrics(port: int) -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels, as Prometheus' own reader understands it."""
    async with httpx2.AsyncClient() as web:
        answer = await web.get(f"http://127.0.0.1:{port}/metrics")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *(f"{k}={v}" for k, v in sorted(s.labels.items()))): s.value for f in families for s in f.samples}


class Process:
    """A host on HTTP whose log lines are read as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log: list[dict[str, object]] = []

    async def logged(self, part: str) -> dict[str, object]:
        """Wait for the log line that contains `part`; every line on the way must be JSON."""
        assert self._process.stderr
        async with asyncio.timeout(20):
            while True:
                self.log.append(json.loads(await self._process.stderr.readline()))
                if part in str(self.log[-1]["message"]):
                    return self.log[-1]


@asynccontextmanager
async def http_host(environment, port: int, *options: str) -> AsyncIterator[Process]:
    command = [*SERVE, *options, "--http", f"127.0.0.1:{port}", "--log-format", "json", "--log-level", "INFO"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
    )
    try:
        await reached(port)
        yield Process(process)
    finally:
        process.terminate()
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"")


async def reached(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)  # a port has no event to wait on
            else:
                writer.close()
                return


async def test_an_edited_plant_file_is_taken_over_or_refused_and_calls_are_counted_and_logged(
    tmp_path: Path, environment, free_port
) -> None:
    port, file = free_port(), tmp_path / "plant.toml"
    file.write_text(PLANT.format(port=free_port()))
    async with http_host(environment, port, "modbus", "--plant", str(file)) as process:
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            await client.call_tool("modbus_read_tags", {"tags": ["p.speed"]})
            line = await process.logged("modbus_read_tags: ok")
            assert (line["tool"], line["outcome"], line["principal"]) == ("modbus_read_tags", "ok", "local")
            assert not {"arguments", "value"} & line.keys()
            file.write_text(file.read_text().replace('unit = "/min"', 'unt = "/min"'))
            refused = await process.logged("refused")
            assert "the old one stays in force" in str(refused["message"])
            assert "plant.toml:7: devices.p.tags.speed.unt" in str(refused["message"])
            await client.call_tool("modbus_list_tags", {})
            file.write_text(PLANT.format(port=free_port()) + 'flow = { address = "holding-register:2:UINT" }\n')
            taken = await process.logged("is in force")
            assert str(taken["message"]).endswith("is in force: 1 devices, 2 tags; changed: p")
            listed = await client.call_tool("modbus_list_tags", {})
            assert [row[0] for row in listed.structured_content["rows"]] == ["p.speed", "p.flow"]
            assert (await client.call_tool("modbus_list_tags", {"limit": 0})).is_error
        counted = await metrics(port)
    assert counted["factorylm_calls_total", "outcome=ok", "tool=modbus_list_tags"] == 2
    assert counted["factorylm_calls_total", "outcome=BAD_REQUEST", "tool=modbus_list_tags"] == 1
    assert counted["factorylm_call_seconds_count", "tool=modbus_list_tags"] == 3
    assert counted["factorylm_call_seconds_bucket", "le=+Inf", "tool=modbus_list_tags"] == 3
    assert counted["factorylm_answered_characters_total", "tool=modbus_list_tags"] > 100
    assert counted["factorylm_plant_changes_total", "outcome=refused"] == 1
    assert counted["factorylm_plant_changes_total", "outcome=reloaded"] == 1
    assert counted[("factorylm_writes_waiting",)] == 0


@pytest.mark.parametrize("option", ["--http", "--console"])
def test_a_taken_port_is_a_clear_error(option: str, environment) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [*SERVE, "modbus", option, address], capture_output=True, text=True, stdin=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert f"error: cannot listen on {address}: Address already in use" in done.stderr
    assert "Choose another port" in done.stderr
    assert "Traceback" not in done.stderr


async def yes(_: object, __: object) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"approve": True})


async def test_two_hosts_on_one_audit_file_keep_one_sound_chain(tmp_path: Path, environment) -> None:
    trail = tmp_path / "audit.jsonl"
    options = ("modbus", "--simulate", "--allow-writes", "--audit", str(trail))
    write = {"tag": "pump1.setpoint", "value": 1300}
    async with (
        host(environment, *options, elicitation_callback=yes) as one,
        host(environment, *options, elicitation_callback=yes) as other,
    ):
        answers = await asyncio.gather(*(client.call_tool("modbus_write_tag", write) for client in (one, other)))
    assert [answer.structured_content["outcome"] for answer in answers] == ["written", "written"]
    log = AuditLog(trail)
    assert log.verify().intact
    assert sorted(entry["event"] for entry in log.entries()) == ["sending", "sending", "written", "written"]


def test_a_forbidden_tool_that_does_not_exist_is_refused_at_the_start(capsys) -> None:
    assert main(["serve", "modbus", "--no-tool", "modbus_writ_tag"]) == 1
    assert "there is no tool 'modbus_writ_tag'; the nearest: " in capsys.readouterr().err
