"""An engineer's shift in a minute: what is this plant, what is wrong, why, when will it fail, may I, prove it."""

import json
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from factorylm_schema import FactoryLMError
from factorylm_skill import AuditLog
from mcp import Client
from mcp.client.session import ClientRequestContext

from factorylm.printing import print_line, print_table

_WIDTH = 110
_MOST_ROWS = 12
SPEED = "drive1.speed_setpoint"
WATCHED = ["drive1.vibration", "drive1.bearing_temperature", "drive1.power", "drive1.flow"]


class DemoError(FactoryLMError):
    """A step of the demo did not go as it must."""


@dataclass
class Shift:
    """The questions, in order; those whose skill is not installed are left out."""

    audit: AuditLog
    installed: frozenset[str]
    calls: int = 0
    characters: int = 0
    asked: list[str] = field(default_factory=list)
    _client: Client | None = None
    _vibration: float = 0.0

    async def person(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:  # noqa: ARG002
        """The demo's stand-in for the operator: reads the question aloud and approves."""
        print_line(f"  the operator is asked: {params.message}   -> approved")
        self.asked.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": True})

    async def walk(self, client: Client) -> None:
        """The whole shift."""
        self._client = client
        await self._what_is_it()
        if "alarms" in self.installed:
            await self._what_is_wrong()
        await self._why()
        if "predictor" in self.installed:
            await self._when_will_it_fail()
        await self._may_i()
        self._prove()

    async def _what_is_it(self) -> None:
        for protocol in ("modbus", "s7", "enip", "opcua"):
            if protocol in self.installed:
                question = "What is this plant?" if protocol == "modbus" else ""
                await self.ask(question, f"{protocol}_list_tags", limit=12)
        await self.ask("Is the line to the drive sound?", "modbus_diagnose", device="drive1")

    async def _what_is_wrong(self) -> None:
        loaded = await self.ask("What is wrong? (half a day of the alarm journal)", "alarms_load_log", log="alarms.csv")
        await self.ask("", "alarms_rank_alarms", log_id=loaded["log_id"], by="findings", limit=5)

    async def _why(self) -> None:
        answer = await self.ask("What does the pump say now?", "modbus_read_tags", tags=WATCHED)
        self._vibration = answer["rows"][0][1]
        await self.ask("Is it steady?", "modbus_sample_tags", tags=WATCHED[:2], seconds=3, interval_s=0.5)

    async def _when_will_it_fail(self) -> None:
        question = "When does the vibration reach its very-high limit?"
        await self.ask(question, "predictor_trend", data="history.csv", tag="drive1.vibration", limit=4.5, time="time")
        question = "How long did bearings like it last? (24 pumps run to failure)"
        await self.ask(question, "predictor_fit", data="bearing_runs.csv", unit="unit", time="hour")

    async def _may_i(self) -> None:
        await self.ask("May I stop worrying and run faster?", "modbus_write_tag", refused=True, tag=SPEED, value=1800)
        now = (await self._call("modbus_read_tags", tags=[SPEED])).structured_content["rows"][0][1]
        receipt = await self.ask("Then 150 /min slower:", "modbus_write_tag", tag=SPEED, value=now - 150)
        if receipt["outcome"] != "written" or not self.asked:
            raise DemoError(f"the approved write ended as {receipt['outcome']}")
        await self._did_it_help()

    async def _did_it_help(self) -> None:
        before = self._vibration
        answer = await self.ask("Did it help?", "modbus_sample_tags", tags=WATCHED, seconds=8, interval_s=1)
        after = answer["samples"]["rows"][-1][1]
        print_line(f"  vibration {before:.2f} -> {after:.2f} mm/s")
        if after >= before:
            raise DemoError("the vibration did not fall with the speed; the plant or its sensors do not behave")

    def _prove(self) -> None:
        found = self.audit.verify()
        events = ", ".join(str(entry["event"]) for entry in self.audit.entries())
        print_line()
        print_line("Prove what was done:")
        print_line(f"  audit trail: {found.lines} lines ({events}); chain intact: {str(found.intact).lower()}")
        if not found.intact:
            raise DemoError(f"audit line {found.line} {found.message}")

    async def ask(self, question: str, tool: str, *, refused: bool = False, **arguments: Any) -> dict[str, Any]:
        """Print the question, the call, the answer and its size; fail where the outcome is not the expected one."""
        print_line()
        if question:
            print_line(question)
        print_line(f"  {tool} {_cut(json.dumps(arguments))}")
        result = await self._call(tool, **arguments)
        text = _text(result)
        _print_answer(result, text)
        if result.is_error is not refused:
            raise DemoError(f"{tool} {'failed' if result.is_error else 'was not refused'}: {text[:300]}")
        return {} if refused else dict(result.structured_content)

    async def _call(self, tool: str, **arguments: Any) -> types.CallToolResult:
        assert self._client is not None
        self.calls += 1
        result = await self._client.call_tool(tool, arguments)
        assert isinstance(result, types.CallToolResult)
        self.characters += len(_text(result))
        return result


def _text(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


def _print_answer(result: types.CallToolResult, text: str) -> None:
    """Tables as tables; the rest as the assistant sees it."""
    answer = result.structured_content
    if not isinstance(answer, dict) or not answer.get("columns"):
        for start in range(0, min(len(text), 6 * _WIDTH), _WIDTH):
            print_line(f"  {text[start : start + _WIDTH]}")
        return
    rows = answer["rows"]
    print_table(answer["columns"], [[_cut(cell, 60) for cell in row] for row in rows[:_MOST_ROWS]], indent="  ")
    if len(rows) > _MOST_ROWS:
        print_line(f"  … {len(rows) - _MOST_ROWS} more rows")
    rest = {key: value for key, value in answer.items() if key not in ("columns", "rows", "samples") and value}
    if rest:
        print_line(f"  {_cut(json.dumps(rest, ensure_ascii=False), 2 * _WIDTH)}")


def _cut(value: Any, width: int = _WIDTH) -> Any:
    return value[: width - 1] + "…" if isinstance(value, str) and len(value) > width else value
