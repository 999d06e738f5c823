"""`factorylm demo`: a simulated device on a real socket, a server process, a real MCP client; every answer is live."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from factorylm_schema import FactoryLMError
from factorylm_skill import AuditLog
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.client.stdio import StdioServerParameters, stdio_client

from factorylm.printing import print_line, print_table

_WIDTH = 100


class DemoError(FactoryLMError):
    """A step of the demo did not go as it must."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("--keep", action="store_true", help="leave the simulated plant served on HTTP until Ctrl-C")
    parser.add_argument("--port", type=int, default=8765, help="--keep: the port on 127.0.0.1 (default 8765)")


def run(options: argparse.Namespace) -> None:
    """Walk the demo; every printed number comes from this run."""
    anyio.run(_demo, options)


async def _demo(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="factorylm-demo-") as folder:
        audit = AuditLog(Path(folder) / "audit.jsonl")
        begun = time.monotonic()
        walk = Walk(audit=audit)
        async with _client(audit.path, walk) as client:
            walk.client = client
            await walk.whole()
        print_line()
        print_line(
            f"{walk.calls} tool calls in {time.monotonic() - begun:.1f} s, on a simulated device, nothing sent away."
        )
    print_line(f"Connect your own assistant:  {Path(sys.executable).name} -m factorylm connect claude-desktop")
    if options.keep:
        await _keep(options.port)


@asynccontextmanager
async def _client(audit: Path, walk: "Walk") -> AsyncIterator[Client]:
    arguments = ["-m", "factorylm", "serve", "modbus", "--simulate", "--allow-writes", "--audit", str(audit)]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    async with Client(stdio_client(server), elicitation_callback=walk.person) as client:
        yield client


@dataclass
class Walk:
    """An engineer's first minutes: what is there, how is it, is it well, may I change it, prove it."""

    audit: AuditLog
    client: Client | None = None
    calls: int = 0
    asked: list[str] = field(default_factory=list)

    async def person(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:  # noqa: ARG002
        """The demo's stand-in for the operator: reads the question aloud and approves."""
        print_line(f"  the operator is asked: {params.message}   -> approved")
        self.asked.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": True})

    async def whole(self) -> None:
        """All steps, in order."""
        table = await self.ask("What is in this plant?", "modbus_list_tags", limit=20)
        rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        tags = [row["tag"] for row in rows]
        await self.ask("How is it running?", "modbus_read_tags", tags=tags)
        numbers = [row["tag"] for row in rows if row["unit"]][:3]
        await self.ask("Is it steady?", "modbus_sample_tags", tags=numbers, seconds=2, interval_s=0.25)
        await self.ask("Is the connection sound?", "modbus_diagnose", device=tags[0].split(".")[0])
        await self._writes(next(row for row in rows if row["writable"] and row["unit"]), rows)
        self._verified()

    async def _writes(self, writable: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        locked = next(row["tag"] for row in rows if not row["writable"])
        await self.ask("Write where the plant file allows none:", "modbus_write_tag", refused=True, tag=locked, value=1)
        tag = writable["tag"]
        await self.ask("Write a value outside the limits:", "modbus_write_tag", refused=True, tag=tag, value=1e6)
        now = (await self._call("modbus_read_tags", tags=[tag])).structured_content["rows"][0][1]
        receipt = await self.ask("Write a value inside them:", "modbus_write_tag", tag=tag, value=now + 50)
        if receipt["outcome"] != "written" or not self.asked:
            raise DemoError(f"the approved write ended as {receipt['outcome']}")

    def _verified(self) -> None:
        found = self.audit.verify()
        events = ", ".join(str(entry["event"]) for entry in self.audit.entries())
        print_line()
        print_line("Prove what was done:")
        print_line(f"  audit trail: {found.lines} lines ({events}); chain intact: {str(found.intact).lower()}")
        if not found.intact:
            raise DemoError(f"audit line {found.line} {found.message}")

    async def ask(self, question: str, tool: str, *, refused: bool = False, **arguments: Any) -> dict[str, Any]:
        """Print the question, the call, the answer and what it cost; fail where the outcome is not the expected one."""
        print_line()
        print_line(question)
        print_line(f"  {tool} {_cut(json.dumps(arguments))}")
        result = await self._call(tool, **arguments)
        text = "".join(block.text for block in result.content if isinstance(block, types.TextContent))
        _print_answer(result, text)
        if result.is_error is not refused:
            raise DemoError(f"{tool} {'failed' if result.is_error else 'was not refused'}: {text[:300]}")
        return {} if refused else dict(result.structured_content)

    async def _call(self, tool: str, **arguments: Any) -> types.CallToolResult:
        assert self.client is not None
        self.calls += 1
        result = await self.client.call_tool(tool, arguments)
        assert isinstance(result, types.CallToolResult)
        return result


def _print_answer(result: types.CallToolResult, text: str) -> None:
    """Tables as tables; the rest as the assistant sees it."""
    answer = result.structured_content
    if not isinstance(answer, dict) or "columns" not in answer:
        print_line(f"  {text}")
        return
    print_table(answer["columns"], [[_cut(cell) for cell in row] for row in answer["rows"]], indent="  ")
    rest = {key: value for key, value in answer.items() if key not in ("columns", "rows", "samples") and value}
    if rest:
        print_line(f"  {_cut(json.dumps(rest, ensure_ascii=False))}")
    print_line(f"  ({len(text):,} characters for the assistant)")


def _cut(value: Any) -> Any:
    return value[: _WIDTH - 1] + "…" if isinstance(value, str) and len(value) > _WIDTH else value


async def _keep(port: int) -> None:
    print_line(f"Serving the simulated plant at http://127.0.0.1:{port}/mcp until Ctrl-C.")
    arguments = [sys.executable, "-m", "factorylm", "serve", "--simulate", "--http", f"127.0.0.1:{port}"]
    await anyio.run_process(arguments, stdout=None, stderr=None, check=False)
