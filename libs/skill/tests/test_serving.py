"""A skill as a process: clean stdout, a clean end, HTTP on loopback, strangers kept out."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import httpx2
import pytest
from factorylm_schema import BadRequestError
from factorylm_skill.http import http_options
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SCRIPT = """
import os, sys, subprocess
from pydantic import BaseModel
from factorylm_skill import Arguments, DomainSkill, OpenSkill, Tool, run_skill
class Nothing(Arguments): pass
class Said(BaseModel): text: str
async def run(arguments, call):
    print("stray output")
    subprocess.run([sys.executable, "-c", "print('stray child')"], stdin=subprocess.DEVNULL, check=True)
    return Said(text="hello")
async def closed():
    with open(os.environ["CLOSED"], "w") as file: file.write("closed")
tool = Tool(name="hi_say", title="Say", description="Says.", arguments=Nothing, result=Said, run=run)
class Skill(DomainSkill):
    def open(self, settings): return OpenSkill(tools=[tool], close=closed)
import factorylm_skill.command as command
from factorylm_skill.skill_documents import SkillDocument
document = SkillDocument(text="x", head={"name": "hi", "description": "x"})
command.document_of = lambda package: document
skill = Skill(name="hi", title="Hi", version="1", instructions="", package="x", tools=lambda s: [tool])
sys.exit(run_skill(skill))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "skill.py"
    file.write_text(SCRIPT)
    return file


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    return tmp_path / "closed"


def started(script: Path, closed: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(script), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "CLOSED": str(closed)},
    )


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


def said_hello(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    assert answer["result"]["serverInfo"]["name"] == "factorylm-hi"


async def test_stray_output_of_tools_and_children_never_reaches_the_client(script: Path, closed: Path) -> None:
    server = StdioServerParameters(command=sys.executable, args=[str(script)], env={"CLOSED": str(closed)})
    async with Client(stdio_client(server)) as client:
        for _ in range(3):
            result = await client.call_tool("hi_say", {})
            assert result.structured_content == {"text": "hello"}
    assert closed.read_text() == "closed"


def test_end_of_input_ends_the_process_cleanly(script: Path, closed: Path) -> None:
    process = started(script, closed)
    said_hello(process)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out, closed.read_text()) == (0, b"", "closed")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(script: Path, closed: Path, number: signal.Signals) -> None:
    process = started(script, closed)
    said_hello(process)
    process.send_signal(number)
    # stdin stays open: the end must not wait for the client
    assert process.wait(20) == 0
    assert closed.read_text() == "closed"
    process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def reached(url: str) -> None:
    with anyio.fail_after(20):
        async with httpx2.AsyncClient() as web:
            while True:
                try:
                    await web.get(url)
                except httpx2.TransportError:
                    await anyio.sleep(0.05)
                else:
                    return


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
async def test_http_on_loopback_serves_and_keeps_foreign_origins_out(script: Path, closed: Path) -> None:
    port = free_port()
    process = started(script, closed, "--http", f"127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}/mcp"
    await reached(url)
    async with Client(url) as client:
        assert (await client.call_tool("hi_say", {})).structured_content == {"text": "hello"}
    async with httpx2.AsyncClient() as web:
        foreign = await web.post(url, json=INITIALIZE, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert closed.read_text() == "closed"
    process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="file rights are POSIX's")
async def test_beyond_loopback_a_token_and_a_named_host_are_demanded(
    script: Path, closed: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# who token\nalice 0123456789abcdef0123456789abcdef\n")
    tokens.chmod(0o600)
    port = free_port()
    host = f"127.0.0.1:{port}"
    process = started(script, closed, "--http", f"0.0.0.0:{port}", "--token-file", str(tokens), "--allow-host", host)
    url = f"http://{host}/mcp"
    await reached(url)
    right = {
        "Authorization": "Bearer 0123456789abcdef0123456789abcdef",
        "Accept": "application/json, text/event-stream",
    }
    async with httpx2.AsyncClient() as web:
        assert (await web.post(url, json=INITIALIZE)).status_code == 401
        wrong = {**right, "Authorization": "Bearer x"}
        assert (await web.post(url, json=INITIALIZE, headers=wrong)).status_code == 401
        assert (await web.post(url, json=INITIALIZE, headers=right)).status_code == 200
        rebound = {**right, "Host": "evil.example"}
        assert (await web.post(url, json=INITIALIZE, headers=rebound)).status_code == 421
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.communicate()


@pytest.mark.parametrize("address", ["8765", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", ":1"])
def test_an_address_that_is_none_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(BadRequestError, match="not HOST:PORT"):
        http_options(address, None, [])


def test_a_public_address_without_token_or_host_is_refused(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("alice 0123456789abcdef0123456789abcdef\n")
    tokens.chmod(0o600)
    for file, hosts in ((None, ["plant"]), (tokens, [])):
        with pytest.raises(BadRequestError, match="a token and the allowed host names are needed"):
            http_options("0.0.0.0:1", file, hosts)
    assert http_options("[::1]:8765", None, []).host == "::1"


@pytest.mark.skipif(sys.platform == "win32", reason="file rights are POSIX's")
def test_a_token_file_must_be_private_and_its_tokens_long(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("alice short\n")
    tokens.chmod(0o644)
    with pytest.raises(BadRequestError, match="others can read"):
        http_options("0.0.0.0:1", tokens, ["plant"])
    tokens.chmod(0o600)
    with pytest.raises(BadRequestError, match="tokens:1: a line is NAME TOKEN"):
        http_options("0.0.0.0:1", tokens, ["plant"])
    tokens.write_text("\n# nothing\n")
    with pytest.raises(BadRequestError, match="has no token"):
        http_options("0.0.0.0:1", tokens, ["plant"])


def test_an_operators_mistake_is_one_line_on_stderr(script: Path, closed: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--http", "0.0.0.0:1"],
        capture_output=True,
        text=True,
        env={**os.environ, "CLOSED": str(closed)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: 0.0.0.0 can be reached from other machines")
    assert "Traceback" not in done.stderr
