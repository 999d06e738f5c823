"""What OPC UA can do besides: history and alarms."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from factorylm_schema import AlarmEvent, BadRequestError
from factorylm_skill.answers import Row, TableAnswer, ToldProblem
from factorylm_skill.call import Call
from factorylm_skill.devices import Devices
from factorylm_skill.driver import Driver
from factorylm_skill.reading_table import instant
from factorylm_skill.sampling import sample_answer
from factorylm_skill.skill import Settings
from factorylm_skill.tool import Arguments, Tool
from factorylm_skill.untrusted import told_to_the_model
from pydantic import BaseModel, ConfigDict, Field

from factorylm_opcua.driver import OpcuaDriver

if TYPE_CHECKING:
    from factorylm_opcua.alarms import AlarmList
    from factorylm_opcua.history import History

_MOST_KEPT = 10_000


class ReadHistory(Arguments):
    """Arguments of opcua_read_history."""

    tag: Annotated[str, Field(min_length=1, max_length=300, description="As in opcua_read_tags")]
    start: Annotated[str, Field(max_length=40, description="From, ISO 8601 with zone")]
    end: Annotated[str, Field(max_length=40, description="Until; empty: now")] = ""
    limit: Annotated[int, Field(ge=2, le=_MOST_KEPT, description="Values at most")] = 2000


class ListAlarms(Arguments):
    """Arguments of opcua_list_alarms."""

    device: Annotated[str, Field(min_length=1, max_length=64, description="Device name from the plant file")]
    limit: Annotated[int, Field(ge=1, le=200, description="Rows at most")] = 50


class HistoryAnswer(BaseModel):
    """As sample_tags answers; `next_start` continues where the server has more."""

    model_config = ConfigDict(frozen=True)

    time: str
    columns: list[str]
    rows: list[Row]
    samples: TableAnswer
    problems: list[ToldProblem]
    truncated: bool
    next_start: str | None = None


class AlarmsAnswer(BaseModel):
    """Standing alarms, most severe first (severity 1 to 1000)."""

    model_config = ConfigDict(frozen=True)

    columns: list[str]
    rows: list[Row]
    truncated: bool
    note: str | None = None


def more_tools(devices: Devices, settings: Settings) -> Sequence[Tool]:
    """`opcua_read_history` and `opcua_list_alarms`."""
    return [_history_tool(devices, settings), _alarms_tool(devices)]


def _history_tool(devices: Devices, settings: Settings) -> Tool:
    async def run(asked: ReadHistory, _: Call) -> HistoryAnswer:
        tag = devices.plant.tag(asked.tag)
        start, end = time_of("start", asked.start), time_of("end", asked.end) if asked.end else datetime.now(UTC)
        if start >= end:
            raise BadRequestError("start is not before end")

        async def job(driver: Driver) -> "History":
            assert isinstance(driver, OpcuaDriver)
            return await driver.history(tag, start, end, asked.limit)

        found = await devices.line(tag.device).run(job)
        if not found.readings:
            raise BadRequestError(
                f"the server has no values of {tag.id} between {instant(start)} and {instant(end)}",
                hint="Ask for a longer span",
            )
        answer = sample_answer([[reading] for reading in found.readings], devices.problem, settings.shelf)
        more = instant(found.readings[-1].time) if found.more else None
        return HistoryAnswer(**dict(answer), next_start=more)

    return Tool(
        name="opcua_read_history",
        title="Read a tag's history",
        description="What the server has kept of one tag: statistics, a short table and a series handle.",
        arguments=ReadHistory,
        result=HistoryAnswer,
        run=run,
        open_world=True,
    )


def _alarms_tool(devices: Devices) -> Tool:
    async def run(asked: ListAlarms, _: Call) -> AlarmsAnswer:
        async def job(driver: Driver) -> "AlarmList":
            assert isinstance(driver, OpcuaDriver)
            return await driver.alarms(asked.limit)

        found = await devices.line(asked.device).run(job)
        rows = [_alarm_row(alarm) for alarm in found.alarms]
        note = None if found.complete else "This server does not repeat standing alarms; some may be missing"
        return AlarmsAnswer(
            columns=["time", "source", "name", "text", "severity", "state"], rows=rows, truncated=found.more, note=note
        )

    return Tool(
        name="opcua_list_alarms",
        title="List standing alarms",
        description="Alarms that are active or wait for an acknowledgement. Acknowledges nothing.",
        arguments=ListAlarms,
        result=AlarmsAnswer,
        run=run,
        open_world=True,
    )


def _alarm_row(alarm: AlarmEvent) -> Row:
    texts = [told_to_the_model(text) for text in (alarm.source, alarm.name, alarm.text)]
    return [instant(alarm.time), *texts, alarm.severity, alarm.state.value]


def time_of(name: str, text: str) -> datetime:
    """The moment in `text`; raises BadRequestError naming the form."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise BadRequestError(f"{name}: {text[:40]!r} is not a time with its zone", hint="Write 2026-11-20T06:00:00Z")
    return time.astimezone(UTC)
