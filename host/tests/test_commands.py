"""The factorylm command, run as a person runs it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from factorylm.command import main
from factorylm.installed import installed_skills
from factorylm_skill import AuditLog, ProtocolSkill

PLANT = """
[plant]
name = "Nowhere"

[devices.p]
url = "modbus-tcp://127.0.0.1:{port}"
timeout_s = 0.3

[devices.p.tags]
speed = {{ address = "holding-register:1:UINT", unit = "/min" }}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("FACTORYLM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dead_plant(tmp_path: Path) -> Path:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "plant.toml"
    file.write_text(PLANT.format(port=port))
    return file


def test_read_prints_a_table_or_the_assistants_answer(capsys) -> None:
    assert main(["read", "pump1.speed", "pump1.running", "--simulate"]) == 0
    table = capsys.readouterr().out
    assert "pump1.speed" in table
    assert "/min" in table
    assert main(["read", "pump1.speed", "pump1/40001", "--simulate", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row[0] for row in answer["rows"]] == ["pump1.speed", "pump1/40001"]
    assert answer["rows"][0][1] == answer["rows"][1][1]
    assert "PDU 0 = 0x0" in answer["addresses"]["pump1/40001"]


@pytest.mark.parametrize(
    ("tags", "started"),
    [
        (["pump1.speed"], ["modbus"]),
        (["s7_pump1.speed"], ["s7"]),
        (["opcua_pump1.speed", "pump1.running"], ["modbus", "opcua"]),
    ],
)
def test_read_starts_only_the_simulators_whose_tags_are_asked_for(monkeypatch, capsys, tags, started) -> None:
    begun: list[str] = []
    found = installed_skills()

    def noted(skill: ProtocolSkill) -> ProtocolSkill:
        def simulate():
            begun.append(skill.name)
            return skill.simulate()

        return replace(skill, simulate=simulate)

    protocols = {skill.name: noted(skill) for skill in found.protocols}
    monkeypatch.setattr("factorylm.read.installed_skills", lambda: replace(found, skills=protocols))
    assert main(["read", *tags, "--simulate", "--json"]) == 0
    assert [row[0] for row in json.loads(capsys.readouterr().out)["rows"]] == tags
    assert begun == started


def test_read_names_the_nearest_tag_and_fails(capsys) -> None:
    assert main(["read", "pump1.sped", "--simulate"]) == 1
    assert "the nearest: pump1.speed" in capsys.readouterr().err


def test_read_from_an_unplugged_device_says_why_and_fails(dead_plant: Path, capsys) -> None:
    assert main(["read", "p.speed", "--plant", str(dead_plant)]) == 1
    told = capsys.readouterr()
    assert "p.speed: BadNoCommunication" in told.out
    assert "1 of 1 tags have no good value" in told.err


def test_a_device_no_installed_skill_speaks_to_is_told(tmp_path: Path, capsys) -> None:
    file = tmp_path / "plant.toml"
    file.write_text('[devices.x]\nurl = "profibus://h"\n[devices.x.tags]\na = { address = "1" }\n')
    assert main(["read", "x.a", "--plant", str(file)]) == 1
    assert "no installed skill speaks profibus://" in capsys.readouterr().err
    assert main(["doctor", "--plant", str(file)]) == 1
    assert "wrong  device x" in capsys.readouterr().out


def test_a_faulty_plant_file_is_told_with_its_lines(tmp_path: Path, capsys) -> None:
    file = tmp_path / "plant.toml"
    file.write_text('[devices.x]\nurl = "modbus-tcp://h"\nbyte_order = "ABDC"\n')
    assert main(["serve", "--plant", str(file)]) == 1
    assert "plant.toml:3: devices.x.byte_order" in capsys.readouterr().err


def test_doctor_finds_the_unplugged_device_and_the_next_step(dead_plant: Path, capsys) -> None:
    assert main(["doctor"]) == 0
    capsys.readouterr()
    assert main(["doctor", "--plant", str(dead_plant), "--json"]) == 1
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["plant file"]["outcome"] == "ok"
    assert findings["device p"]["outcome"] == "wrong"
    assert findings["device p"]["next_step"]


def test_skills_lists_what_is_installed(capsys) -> None:
    assert main(["skills", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "modbus" in [skill["skill"] for skill in listed["skills"]]
    assert listed["broken"] == {}
    assert main(["skills"]) == 0
    assert "modbus-tcp" in capsys.readouterr().out


def test_audit_verifies_shows_and_names_the_broken_line(home: Path, capsys) -> None:
    log = AuditLog(home / "a.jsonl")
    assert main(["audit", "show", "--audit", str(log.path)]) == 0
    assert "nothing recorded" in capsys.readouterr().out
    for value in range(3):
        log.append("written", tag="p.sp", value=value)
    assert main(["audit", "verify", "--audit", str(log.path)]) == 0
    assert "3 lines, the chain is intact" in capsys.readouterr().out
    assert main(["audit", "show", "--audit", str(log.path), "--last", "2", "--json"]) == 0
    assert [entry["value"] for entry in json.loads(capsys.readouterr().out)] == [1, 2]
    log.path.write_bytes(log.path.read_bytes().replace(b'"value":1', b'"value":7'))
    assert main(["audit", "verify", "--audit", str(log.path), "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["line"] == 2
    assert "line 2 was edited" in told.err


DESKTOP = "config/Claude/claude_desktop_config.json"


@pytest.mark.skipif(sys.platform != "linux", reason="the path is Linux's")
def test_connect_shows_first_writes_when_told_and_keeps_everything_else(home: Path, dead_plant: Path, capsys) -> None:
    file = home / DESKTOP
    file.parent.mkdir(parents=True)
    before = '{"theme": "dark", "mcpServers": {"other": {"command": "x"}}}'
    file.write_text(before)
    connect = ["connect", "claude-desktop", "--plant", str(dead_plant)]
    assert main(connect) == 0
    assert '+    "factorylm": {' in capsys.readouterr().out
    assert file.read_text() == before
    assert main([*connect, "--write"]) == 0
    written = json.loads(file.read_text())
    assert (written["theme"], written["mcpServers"]["other"]) == ("dark", {"command": "x"})
    entry = written["mcpServers"]["factorylm"]
    assert entry["args"] == ["-m", "factorylm", "serve", "--plant", str(dead_plant)]
    assert file.with_name(file.name + ".before-factorylm").read_text() == before
    capsys.readouterr()
    assert main([*connect, "--write"]) == 0
    assert "nothing to change" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("// comment\n{}", "is not plain JSON"),
        ("[]", "something else than an object"),
        ('{"mcpServers": []}', "something else than an object"),
        ('{"mcpServers": {"factorylm": {"command": "mine"}}}', "already has another server called 'factorylm'"),
    ],
)
def test_connect_never_overwrites_what_it_does_not_own(tmp_path: Path, content: str, told: str, capsys) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    assert main(["connect", "cursor", "--file", str(file), "--write"]) == 1
    assert told in capsys.readouterr().err
    assert file.read_text() == content


def test_connect_knows_each_clients_form(tmp_path: Path, capsys) -> None:
    assert main(["connect", "vscode", "--write"]) == 0
    servers = json.loads((tmp_path / ".vscode" / "mcp.json").read_text())["servers"]
    assert servers["factorylm"]["type"] == "stdio"
    assert main(["connect", "claude-code", "--write", "--skill", "modbus", "--allow-writes"]) == 0
    entry = json.loads((tmp_path / ".mcp.json").read_text())["mcpServers"]["factorylm"]
    assert entry["args"] == ["-m", "factorylm", "serve", "modbus", "--simulate", "--allow-writes"]
    capsys.readouterr()
    assert main(["connect", "openclaw"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("openclaw mcp set factorylm '{")
    assert main(["connect", "cursor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == sys.executable


def test_the_configuration_that_connect_writes_really_starts_the_server(tmp_path: Path) -> None:
    import anyio
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    file = tmp_path / "config.json"
    assert main(["connect", "claude-desktop", "--file", str(file), "--write"]) == 0
    entry = json.loads(file.read_text())["mcpServers"]["factorylm"]

    async def ask() -> object:
        async with Client(stdio_client(StdioServerParameters(**entry))) as client:
            result = await client.call_tool("modbus_read_tags", {"tags": ["pump1.speed"]})
            return result.structured_content["rows"][0][0]

    assert anyio.run(ask) == "pump1.speed"


def test_wrong_usage_is_two(capsys) -> None:
    for wrong in ([], ["fly"], ["read"], ["audit", "burn"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
    for name in ("serve", "demo", "read", "connect", "doctor", "audit", "skills", "bundle"):
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert "example: factorylm" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_not_an_error_message() -> None:
    command = f"{sys.executable} -m factorylm skills --json | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert "Traceback" not in done.stderr
