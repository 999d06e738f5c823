"""`<protocol>_sample_tags`: watch a few tags for some seconds; the model gets the gist, the shelf the samples."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from factorylm_schema import DeviceError, NotConnectedError, Problem, Quality, Reading, Series, Tag, Value

from factorylm_skill.answers import Row, SampleAnswer, SampleTags, TableAnswer
from factorylm_skill.call import Call
from factorylm_skill.devices import Devices, no_reading
from factorylm_skill.driver import Samples
from factorylm_skill.reading_table import instant, shown, told_problem
from factorylm_skill.shelf import SeriesShelf
from factorylm_skill.tool import Tool

Scan = list[Reading]
Column = list[Reading]
TellsProblem = Callable[[Reading], Problem]

_MOST_ROWS = 20
_COLUMNS = ["tag", "unit", "count", "missing", "min", "max", "mean", "spread", "changes", "series"]


def sample_tool(prefix: str, devices: Devices, shelf: SeriesShelf) -> Tool:
    """The tool over `devices`; its series go to `shelf`."""

    async def run(asked: SampleTags, call: Call) -> SampleAnswer:
        tags, unknown = devices.asked(asked.tags)
        if not _are_followed(devices, tags):
            answer = sample_answer(await _scanned(devices, tags, asked, call), devices.problem, shelf)
        else:
            columns, watched_s = await _followed(devices, tags, asked.seconds, asked.interval_s)
            answer = _answer(columns, _held_table(columns, watched_s), devices.problem, shelf)
        return answer.model_copy(update={"problems": [*answer.problems, *map(told_problem, unknown)]})

    return Tool(
        name=f"{prefix}_sample_tags",
        title="Sample tags",
        description="Watches tags for some seconds: statistics, a short table, and a series handle per tag.",
        arguments=SampleTags,
        result=SampleAnswer,
        run=run,
        open_world=True,
    )


def sample_answer(scans: Sequence[Scan], problem: TellsProblem, shelf: SeriesShelf) -> SampleAnswer:
    """Scans of the same tags as statistics, a table of at most 20 rows, and handles."""
    columns = [[scan[number] for scan in scans] for number in range(len(scans[0]))]
    return _answer(columns, _scan_table(scans), problem, shelf)


def _answer(columns: Sequence[Column], table: TableAnswer, problem: TellsProblem, shelf: SeriesShelf) -> SampleAnswer:
    bad = [column[-1] for column in columns if not column[-1].quality.is_good]
    return SampleAnswer(
        time=instant(_begin(columns)),
        columns=_COLUMNS,
        rows=[_statistics(column, shelf) for column in columns],
        samples=table,
        problems=[told_problem(problem(reading)) for reading in bad],
        truncated=table.truncated,
    )


# -- asking again and again -----------------------------------------------------------------------------


async def _scanned(devices: Devices, tags: Sequence[Tag], asked: SampleTags, call: Call) -> list[Scan]:
    scans: list[Scan] = []
    async for scan in _scans(devices, tags, asked.seconds, asked.interval_s):
        scans.append(scan)
        passed = (scan[0].time - scans[0][0].time).total_seconds()
        await call.progress(min(passed, asked.seconds), asked.seconds)
    return scans


async def _scans(devices: Devices, tags: Sequence[Tag], seconds: float, interval_s: float) -> AsyncIterator[Scan]:
    """One scan per interval, from now on; a slow scan skips the moments it missed."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    due = 0.0
    while due <= seconds:
        yield await devices.read(tags)
        passed = loop.time() - begun
        due = max(due + interval_s, math.ceil(passed / interval_s) * interval_s)
        if due <= seconds:
            await asyncio.sleep(begun + due - loop.time())


def _scan_table(scans: Sequence[Scan]) -> TableAnswer:
    """Every k-th scan and the last one: real samples, never averages."""
    step = math.ceil(len(scans) / _MOST_ROWS)
    kept = [*range(0, len(scans) - 1, step), len(scans) - 1]
    begun = scans[0][0].time
    rows: list[Row] = [
        [round((scans[k][0].time - begun).total_seconds(), 2), *(shown(_good(r)) for r in scans[k])] for k in kept
    ]
    return TableAnswer(columns=["s", *(r.tag for r in scans[0])], rows=rows, truncated=len(kept) < len(scans))


# -- being told of changes ------------------------------------------------------------------------------


def _are_followed(devices: Devices, tags: Sequence[Tag]) -> bool:
    """All tags are of one device whose driver is told of changes."""
    names = {tag.device for tag in tags}
    return len(names) == 1 and isinstance(devices.line(*names).driver, Samples)


async def _followed(
    devices: Devices, tags: Sequence[Tag], seconds: float, interval_s: float
) -> tuple[list[Column], float]:
    """Every change of every tag, over a connection of its own, so that other questions need not wait; and for how
    long they were watched, which a lost connection makes shorter.

    The watching begins with the first value: connecting takes the device's timeout at most, not the time asked for.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    device = devices.plant.device(tags[0].device)
    columns: dict[str, Column] = {tag.id: [] for tag in tags}
    driver = devices.connect(device)
    assert isinstance(driver, Samples)
    failure: DeviceError = NotConnectedError("no value came in that time", quality=Quality.BadWaitingForInitialData)
    lost = False
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + device.timeout_s) as watching:
                async for readings in driver.sample(tags, interval_s):
                    if not any(columns.values()):
                        begun = loop.time()
                        watching.reschedule(begun + seconds)
                    for reading in readings:
                        columns[reading.tag].append(reading)
    except DeviceError as error:
        failure, lost = error, True
    finally:
        await driver.close()
    for tag in tags:
        if lost or not columns[tag.id]:
            columns[tag.id].append(no_reading(tag, failure))
    return list(columns.values()), min(seconds, loop.time() - begun) if lost else seconds


def _held_table(columns: Sequence[Column], watched_s: float) -> TableAnswer:
    """The value that held at each of at most 20 moments; all changes are in the series."""
    begun = _begin(columns)
    moments = [round(watched_s * k / (_MOST_ROWS - 1), 2) for k in range(_MOST_ROWS)]
    rows: list[Row] = [[moment, *(shown(_held(column, begun, moment)) for column in columns)] for moment in moments]
    more = any(len(column) > _MOST_ROWS for column in columns)
    return TableAnswer(columns=["s", *(column[0].tag for column in columns)], rows=rows, truncated=more)


def _held(column: Column, begun: datetime, moment: float) -> Value | None:
    held = [reading for reading in column if (reading.time - begun).total_seconds() <= moment]
    return _good(held[-1]) if held else None


# -- both -------------------------------------------------------------------------------------------------


def _begin(columns: Sequence[Column]) -> datetime:
    """When the first of the first readings came; a value may be older than the watching."""
    return max(column[0].time for column in columns)


def _statistics(readings: Sequence[Reading], shelf: SeriesShelf) -> Row:
    series = Series(
        tag=readings[0].tag,
        unit=readings[0].unit,
        times=[reading.time.astimezone(UTC) for reading in readings],
        values=[_good(reading) for reading in readings],
    )
    found = series.statistics()
    numbers = [_rounded(n) for n in (found.minimum, found.maximum, found.mean, found.spread)]
    return [series.tag, series.unit, found.count, found.missing, *numbers, found.changes, shelf.put(series)]


def _good(reading: Reading) -> Value | None:
    return reading.value if reading.quality.is_good else None


def _rounded(number: float | None) -> float | None:
    """Six digits: statistics are estimates."""
    return None if number is None else float(f"{number:.6g}")
