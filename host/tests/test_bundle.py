"""`factorylm bundle`: what assistants install with a double click, checked by the format's own tool."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from factorylm.bundle import bundle, write_zip
from factorylm.command import main
from factorylm.installed import installed_skills
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mcpb():
    modules = next((ROOT / ".cache" / "npm").glob("*/node_modules/@anthropic-ai/mcpb"), None)
    if modules is None:
        pytest.fail("mcpb is not there; ./run test fetches it (npm/package.json)")
    node = next(modules.parents[1].glob("node-*/bin/node*"))

    def run(*arguments: str | Path) -> str:
        command = [node, modules / "dist" / "cli" / "cli.js", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("name", sorted(installed_skills().skills))
def test_the_official_tool_accepts_the_bundle_of_every_skill(name: str, tmp_path: Path, mcpb, capsys) -> None:
    assert main(["bundle", name, "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    file = Path(told["file"])
    assert told["contains"] == ["SKILL.md", "manifest.json", "pyproject.toml", "src/server.py"]
    mcpb("unpack", file, tmp_path / "unpacked")
    assert "passes" in mcpb("validate", tmp_path / "unpacked" / "manifest.json")


def test_the_same_skill_makes_the_same_bytes(tmp_path: Path) -> None:
    [skill] = installed_skills().chosen(["modbus"])
    for name in ("a", "b"):
        write_zip(tmp_path / name, bundle(skill))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("writes", ["true", "${user_config.allow_writes}"])
async def test_the_bundled_server_starts_as_the_client_configured_it(tmp_path: Path, writes: str) -> None:
    assert main(["bundle", "modbus", "--out", str(tmp_path)]) == 0
    [file] = tmp_path.glob("*.mcpb")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path)
    config = json.loads((tmp_path / "manifest.json").read_text())["server"]["mcp_config"]
    assert config["env"]["FACTORYLM_ALLOW_WRITES"] == "${user_config.allow_writes}"
    given = {"FACTORYLM_PLANT": "${user_config.plant}", "FACTORYLM_ALLOW_WRITES": writes}
    # this Python stands in for `uv run`, which would fetch the released package
    server = StdioServerParameters(
        command=sys.executable,
        args=[str(tmp_path / "src" / "server.py")],
        env={**os.environ, **given, "FACTORYLM_HOME": str(tmp_path)},
    )
    async with Client(stdio_client(server)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("modbus_read_tags", {"tags": ["pump1.speed"]})
    assert ("modbus_write_tag" in names) is (writes == "true")
    assert answer.structured_content["rows"][0][0] == "pump1.speed"


def test_a_folder_that_cannot_be_made_and_an_unknown_skill_are_clear_errors(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert main(["bundle", "modbus", "--out", str(tmp_path / "file")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert main(["bundle", "profibus"]) == 1
    assert "Install factorylm-profibus" in capsys.readouterr().err
