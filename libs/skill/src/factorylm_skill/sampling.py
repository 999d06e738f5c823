"""`<protocol>_sample_tags`: watch a few tags for some seconds; the model gets the gist, the shelf the samples."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from factorylm_schema import Problem, Reading, Series, Tag, Value

from factorylm_skill.answers import Row, SampleAnswer, SampleTags, TableAnswer
from factorylm_skill.call import Call
from factorylm_skill.devices import Devices
from factorylm_skill.reading_table import instant, shown, told_problem
from factorylm_skill.shelf import SeriesShelf
from factorylm_skill.tool import Tool

Scan = list[Reading]

_MOST_ROWS = 20
_COLUMNS = ["tag", "unit", "count", "missing", "min", "max", "mean", "spread", "changes", "series"]


def sample_tool(prefix: str, devices: Devices, shelf: SeriesShelf) -> Tool:
    """The tool over `devices`; its series go to `shelf`."""

    async def run(asked: SampleTags, call: Call) -> SampleAnswer:
        tags = [devices.plant.tag(reference) for reference in dict.fromkeys(asked.tags)]
        scans: list[Scan] = []
        async for scan in _scans(devices, tags, asked.seconds, asked.interval_s):
            scans.append(scan)
            passed = (scan[0].time - scans[0][0].time).total_seconds()
            await call.progress(min(passed, asked.seconds), asked.seconds)
        return sample_answer(scans, devices.problem, shelf)

    return Tool(
        name=f"{prefix}_sample_tags",
        title="Sample tags",
        description="Watches tags for some seconds: statistics, a short table, and a series handle per tag.",
        arguments=SampleTags,
        result=SampleAnswer,
        run=run,
        open_world=True,
    )


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


def sample_answer(scans: Sequence[Scan], problem: Callable[[Reading], Problem], shelf: SeriesShelf) -> SampleAnswer:
    """The scans as statistics, a table of at most 20 rows, and handles."""
    begun = scans[0][0].time
    columns = [[scan[i] for scan in scans] for i in range(len(scans[0]))]
    bad = [readings[-1] for readings in columns if not readings[-1].quality.is_good]
    return SampleAnswer(
        time=instant(begun),
        columns=_COLUMNS,
        rows=[_statistics(readings, shelf) for readings in columns],
        samples=_table(scans, begun),
        problems=[told_problem(problem(reading)) for reading in bad],
        truncated=len(scans) > _MOST_ROWS,
    )


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


def _table(scans: Sequence[Scan], begun: datetime) -> TableAnswer:
    """Every k-th scan and the last one: real samples, never averages."""
    step = math.ceil(len(scans) / _MOST_ROWS)
    kept = [*range(0, len(scans) - 1, step), len(scans) - 1]
    rows: list[Row] = [
        [round((scans[k][0].time - begun).total_seconds(), 2), *(shown(_good(r)) for r in scans[k])] for k in kept
    ]
    return TableAnswer(columns=["s", *(r.tag for r in scans[0])], rows=rows, truncated=len(kept) < len(scans))


def _good(reading: Reading) -> Value | None:
    return reading.value if reading.quality.is_good else None


def _rounded(number: float | None) -> float | None:
    """Six digits: statistics are estimates."""
    return None if number is None else float(f"{number:.6g}")
