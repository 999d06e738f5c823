"""An engineer's shift in a minute: what is this plant, what is wrong, since when, why, and when will it fail.

Then: what if, may I, prove it. Each question goes through a real MCP client; each conclusion is drawn from its answers.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import mcp_types as types
from mcp import Client
from mcp.client.session import ClientRequestContext

from factorylm import findings
from factorylm.demo_plant.limits import LIMITS
from factorylm.demo_plant.trial import SPEED
from factorylm.demo_scene import RECENT, DemoError, Scene
from factorylm.findings import BEARING, FLOW, POWER, SUCTION, VIBRATION, Change
from factorylm.printing import print_line, print_table
from factorylm.transcript import Called, Kind, Transcript

_WIDTH = 110
_MOST_ROWS = 12
WATCHED = [VIBRATION, BEARING, POWER, FLOW]
SIGNS = [*WATCHED, SUCTION]
SLOWER = 150  # /min
_TOO_FAR = 400  # slower than it was ever seen
LIMIT = {limit.name: limit.at for limit in LIMITS}
_LONGEST_SAMPLE_S = 20  # of <protocol>_sample_tags
_FIRST_SAMPLE_S = 60


@dataclass
class Shift:
    """The questions, in order; those whose skill is not installed are left out."""

    scene: Scene
    transcript: Transcript
    about: str = ""
    _client: Client | None = None
    predicted: dict[str, Any] = field(default_factory=dict)
    _since: str = ""

    async def person(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:  # noqa: ARG002
        """The demo's stand-in for the operator: reads the question aloud and approves."""
        for line in _wrapped(f"the operator is asked: {params.message}   -> approved"):
            print_line(f"    {line}")
        self.transcript.asked_of_person.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": True})

    async def walk(self, client: Client) -> None:
        """The whole shift."""
        self._client = client
        if self._has("history"):
            await self._first_sample()
        await self._what_is_it()
        if self._has("alarms"):
            await self._what_is_wrong()
        if self._has("history"):
            await self._since_when()
            await self._why()
        if self._has("predictor"):
            await self._when_will_it_fail()
        if self._has("twin"):
            await self._what_if()
        await self._may_i()
        self._prove()

    # -- the questions --------------------------------------------------------------------------------

    async def _what_is_it(self) -> None:
        self._begin("plant", "What is this plant?")
        for protocol in ("modbus", "s7", "enip", "opcua"):
            if self._has(protocol):
                await self.ask(f"{protocol}_list_tags", limit=12)
        self._begin("plant", "Is the line to the drive sound?")
        await self.ask("modbus_diagnose", device="drive1")

    async def _what_is_wrong(self) -> None:
        self._begin("wrong", "What is wrong? (half a day of the alarm journal)")
        loaded = await self.ask("alarms_load_log", log="alarms.csv")
        await self.ask("alarms_rank_alarms", log_id=loaded["log_id"], by="findings", limit=5)
        counted = await self.ask("alarms_rank_alarms", log_id=loaded["log_id"], by="count", limit=5)
        loudest, rest = findings.loudest(counted)
        self._conclude(
            f"{loudest} buries the others; below it: {', '.join(rest) or 'nothing'}.", loudest=loudest, buried=rest
        )

    async def _since_when(self) -> None:
        begin, end = self.scene.quiet_hour
        limit = LIMIT["P101_VIB_HI"]
        question = f"Since when does the pump vibrate? (Limit {limit:g} mm/s; in order until {_told(end)}: shift log)"
        self._begin("since_when", question, limit=limit, quiet_from=_iso(begin), quiet_until=_iso(end))
        spans = findings.spans_of(await self.ask("history_read", tag=VIBRATION, start=_iso(begin), points=66))
        normal = findings.highest_before(spans, end)
        left, above = findings.above_since(spans, normal), findings.above_since(spans, limit)
        if left is None or above is None:
            raise DemoError("the history does not show the wear that is in the plant")
        self._since = _told(above)
        self._conclude(
            f"It left its normal (at most {normal:.2f} mm/s) at {_told(left)} and stands above {limit:g} mm/s"
            f" since {_told(above)}.",
            normal=normal, left_normal=_iso(left), above_limit=_iso(above),
        )  # fmt: skip

    async def _why(self) -> None:
        begin, end = self.scene.quiet_hour
        self._begin("why", "Why? What moved with it, what did not?", quiet_from=_iso(begin), quiet_until=_iso(end))
        await self.ask("modbus_read_tags", tags=[*SIGNS, SPEED])
        then = await self.ask("history_stats", tags=SIGNS, start=_iso(begin), end=_iso(end))
        now = await self.ask("history_stats", tags=SIGNS, start="-5min")
        found = findings.changes(then, now)
        for change in found.values():
            self._conclude(_moved(change), **{change.tag: [change.then, change.now]})
        self._conclude(f"So: {findings.cause_of(found)}.", cause=findings.cause_of(found))

    async def _when_will_it_fail(self) -> None:
        limit = LIMIT["P101_VIB_HIHI"]
        self._begin("when_fails", f"When does the vibration reach its very-high limit, {limit:g} mm/s?", limit=limit)
        # the latest hours; without a history there is only the whole table
        data = RECENT if self._has("history") else "history.csv"
        answer = await self.ask("predictor_trend", data=data, tag=VIBRATION, limit=limit, time="time")
        p5, p50, p95 = (answer.get(key) for key in ("p5", "p50", "p95"))
        if p50 is not None:
            shape = "on lines and curves, for the trend steepens" if answer.get("bend") else "on a straight line"
            self._conclude(f"In {p50:g} h ({p5:g} to {p95:g}) {shape}.", hours=[p5, p50, p95])
        self._begin("when_fails", "How long did bearings like it last? (24 pumps run to failure)")
        await self.ask("predictor_fit", data="bearing_runs.csv", unit="unit", time="hour")

    async def _what_if(self) -> None:
        self._begin("what_if", f"What would happen if it ran {SLOWER} /min slower? (learnt from the speed trial)")
        twin = await self.ask("twin_fit", data="speed_trial.csv", inputs=SPEED, outputs=FLOW, time="time")
        answer = await self.ask("twin_what_if", model=twin["model"], changes=f"{SPEED}=-{SLOWER}")
        if answer["refused"]:
            raise DemoError(f"the twin refused: {answer['reason']}")
        [self.predicted] = answer["effects"]
        self._begin("what_if", f"And {_TOO_FAR} slower?")
        far = await self.ask("twin_what_if", model=twin["model"], changes=f"{SPEED}=-{_TOO_FAR}")
        if not far["refused"]:
            raise DemoError("the twin answered about a speed that was never seen")

    async def _may_i(self) -> None:
        self._begin("may_i", "May I stop worrying and run faster?")
        await self.ask("modbus_write_tag", refused=True, tag=SPEED, value=1800)
        step = self._begin("may_i", f"Then {SLOWER} /min slower?")
        read = await self.ask("modbus_read_tags", tags=[SPEED, VIBRATION])
        (_, speed, *_), (_, vibration, *_) = read["rows"]
        given: dict[str, Any] = {"reason": why} if (why := self._reason(vibration)) else {}
        receipt = await self.ask("modbus_write_tag", tag=SPEED, value=speed - SLOWER, **given)
        if receipt["outcome"] != "written" or not self.transcript.asked_of_person:
            raise DemoError(f"the approved write ended as {receipt['outcome']}")
        step.found["written"] = receipt["after"]
        await self._did_it_help(vibration)

    async def _did_it_help(self, before: float) -> None:
        settling = float(self.predicted.get("settling") or 0)
        seconds = min(_LONGEST_SAMPLE_S, settling + 8)
        self._begin("may_i", "Did it help, and did it come as foreseen?", predicted=self.predicted)
        answer = await self.ask("modbus_sample_tags", tags=WATCHED, seconds=seconds, interval_s=1)
        after, count = findings.settled(answer, VIBRATION, settling)
        self._conclude(
            f"Vibration {before:.2f} -> {after:.2f} mm/s (mean of the last {count} samples).",
            vibration=[before, after],
            samples=count,
        )
        if not after < before:
            raise DemoError("the vibration did not fall with the speed; the plant or its sensors do not behave")
        if self.predicted:
            self.confirm(answer, settling)
        if self._has("history"):
            await self._remembered()

    async def _remembered(self) -> None:
        """One answer that spans the simulated past and what the collector took since."""
        begin = self.scene.lived_until - timedelta(minutes=5)
        spans = findings.spans_of(await self.ask("history_read", tag=FLOW, start=_iso(begin), points=30))
        first, last = spans[0], spans[-1]
        self._conclude(
            f"The history holds both: {first.mean:.2f} m3/h at {first.begin:%H:%M:%S} (simulated past),"
            f" {last.mean:.2f} at {last.begin:%H:%M:%S} (collected since {self.scene.lived_until:%H:%M:%S}).",
            first=[_iso(first.begin), first.mean], last=[_iso(last.begin), last.mean],
        )  # fmt: skip

    def confirm(self, answer: dict[str, Any], settling: float) -> None:
        """The plant has the last word about the twin."""
        low, high, new = (self.predicted[key] for key in ("lo", "hi", "new"))
        happened, count = findings.settled(answer, FLOW, settling)
        inside = bool(count) and low <= happened <= high
        self._conclude(
            f"Flow: foreseen {new:.2f} m3/h ({low:.2f} to {high:.2f}), happened {happened:.2f};"
            f" inside the band: {str(inside).lower()}.",
            foreseen=new, low=low, high=high, happened=happened, inside=inside,
        )  # fmt: skip
        if not inside:
            raise DemoError("the plant did not do what the twin foresaw")

    def _prove(self) -> None:
        step = self._begin("proof", "Prove what was done.")
        found = self.scene.audit.verify()
        events = [str(entry["event"]) for entry in self.scene.audit.entries()]
        self._conclude(
            f"Audit trail: {found.lines} lines ({', '.join(events)}); chain intact: {str(found.intact).lower()}.",
            lines=found.lines, events=events, intact=found.intact,
        )  # fmt: skip
        if not found.intact or step.found["events"].count("written") != 1:
            raise DemoError(f"audit line {found.line} {found.message}")

    # -- how they are asked ---------------------------------------------------------------------------

    def _has(self, skill: str) -> bool:
        return skill in self.scene.found.skills

    def _reason(self, vibration: float) -> str:
        if not self._since:
            return ""
        foreseen = f" The twin foresees {self.predicted['new']:.1f} m3/h." if self.predicted else ""
        return f"Vibration {vibration:.1f} mm/s, above its limit since {self._since}: the bearing wears.{foreseen}"

    def _begin(self, kind: Kind, question: str, **given: Any) -> Any:
        print_line()
        print_line(question)
        return self.transcript.begin(kind, question, **given)

    def _conclude(self, text: str, **found: Any) -> None:
        """Say it, with the figures it stands on."""
        print_line(f"  => {text}")
        self.transcript.steps[-1].said.append(text)
        self.transcript.steps[-1].found.update(found)

    async def ask(self, tool: str, *, refused: bool = False, **arguments: Any) -> dict[str, Any]:
        """Print the call, its answer and what both cost; fail where the outcome is not the expected one."""
        print_line(f"  {tool} {_cut(json.dumps(arguments))}")
        result = await self._called(tool, arguments)
        text = _text(result)
        answer = dict(result.structured_content) if isinstance(result.structured_content, dict) else {}
        called = Called(
            tool=tool, arguments=arguments, refused=bool(result.is_error), answer=answer, text=text,
            tokens=self.transcript.cost(tool, arguments, text), plant=self.scene.plant.physical(),
        )  # fmt: skip
        self.transcript.steps[-1].calls.append(called)
        _print_answer(answer, text)
        print_line(f"  ({self.about}{called.tokens:,} tokens)")
        if called.refused is not refused:
            raise DemoError(f"{tool} {'failed' if called.refused else 'was not refused'}: {text[:300]}")
        return answer

    async def _called(self, tool: str, arguments: dict[str, Any]) -> types.CallToolResult:
        assert self._client is not None
        result = await self._client.call_tool(tool, arguments)
        assert isinstance(result, types.CallToolResult)
        return result

    async def _first_sample(self) -> None:
        """Until the collector has put a live value into the history; not a question, so it is not counted."""
        after = _iso(self.scene.lived_until + timedelta(seconds=1))
        async with asyncio.timeout(_FIRST_SAMPLE_S):
            while True:
                found = await self._called("history_stats", {"tags": [FLOW], "start": after})
                if findings.samples_in(found.structured_content):
                    return
                await asyncio.sleep(0.5)


def _moved(change: Change) -> str:
    # a percentage of degrees Celsius means nothing
    by = f"{change.now - change.then:+.1f} K" if change.unit == "Cel" else f"{change.percent:+.0f} %"
    return f"{change.tag}: {change.then:.4g} -> {change.now:.4g} {change.unit} ({by})"


def _text(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


def _print_answer(answer: dict[str, Any], text: str) -> None:
    """Tables as tables; the rest as the assistant sees it."""
    if not answer.get("columns"):
        for line in _wrapped(text):
            print_line(f"  {line}")
        return
    rows: list[Any] = answer["rows"]
    most = len(rows) if len(rows) <= _MOST_ROWS else _MOST_ROWS // 2
    shown = [[_cut(cell, 60) for cell in row] for row in [*rows[:most], *rows[most:][-most:]]]
    between = (most, f"… {len(rows) - len(shown)} more rows") if len(rows) > len(shown) else None
    print_table(answer["columns"], shown, indent="  ", between=between)
    rest = {key: value for key, value in answer.items() if key not in ("columns", "rows", "samples") and value}
    if rest:
        print_line(f"  {_cut(json.dumps(rest, ensure_ascii=False), 2 * _WIDTH)}")


def _wrapped(text: str) -> Iterator[str]:
    """Lines that end at a comma or a space, never within a number."""
    line = ""
    for part in re.split(r"(?<=[, ])", text):
        if line and len(line) + len(part) > _WIDTH:
            yield line
            line = ""
        line += part
    yield line


def _cut(value: Any, width: int = _WIDTH) -> Any:
    return value[: width - 1] + "…" if isinstance(value, str) and len(value) > width else value


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _told(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
