"""Readings as the compact table a model reads."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from factorylm_schema import Problem, Reading, Value

from factorylm_skill.answers import ReadAnswer, Row, ToldProblem
from factorylm_skill.untrusted import told_to_the_model

# A single scan's readings share one time to the second; paying for it 50 times would double the answer
_ONE_SCAN = timedelta(seconds=1)


def read_answer(readings: Sequence[Reading], problems: Sequence[Problem]) -> ReadAnswer:
    """Good readings as rows; `problems` beside them."""
    good = [reading for reading in readings if reading.quality.is_good]
    times = [reading.time for reading in readings]
    own_times = bool(good) and max(r.time for r in good) - min(r.time for r in good) > _ONE_SCAN
    return ReadAnswer(
        time=instant(max(times)),
        columns=["tag", "value", "unit", *(["time"] if own_times else [])],
        rows=[_row(reading, own_times=own_times) for reading in good],
        problems=[told_problem(problem) for problem in problems],
        truncated=False,
        addresses={r.tag: r.address for r in readings if "/" in r.tag and r.address} or None,
    )


def told_problem(problem: Problem) -> ToldProblem:
    """A problem without its empty parts."""
    return ToldProblem(
        tag=problem.tag,
        quality=problem.quality,
        problem=problem.problem,
        hint=problem.hint or None,
        last_value=problem.last_value,
        last_time=instant(problem.last_time) if problem.last_time else None,
    )


def instant(time: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(value: Value | None) -> Value | None:
    """A value for the model: texts made harmless."""
    return told_to_the_model(value) if isinstance(value, str) else value


def _row(reading: Reading, *, own_times: bool) -> Row:
    row: Row = [reading.tag, shown(reading.value), reading.unit]
    return [*row, instant(reading.time)] if own_times else row
