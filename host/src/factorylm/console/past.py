"""The past on the page: what the history skill answers, where one is served, as points of a trend."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from factorylm_schema import FactoryLMError
from factorylm_skill import OpenSkill, build_server
from mcp import Client

_TOOL = "history_read"
_POINTS = 200  # as many as the tool gives
LONGEST_H = 24.0 * 366

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Past:
    """Asks the skill as an assistant would, in this process; it is not shown among the assistant's calls."""

    skill: OpenSkill

    async def course(self, tag: str, hours: float) -> list[Point]:
        """The last `hours` of a tag; raises FactoryLMError with what the history says where it has nothing."""
        server = build_server([self.skill], name="console", title="Console", version="1")
        asked = {"tag": tag, "start": f"-{round(hours * 3600)}s", "points": _POINTS}
        async with Client(server) as client:
            result = await client.call_tool(_TOOL, asked)
        if result.is_error or not isinstance(result.structured_content, dict):
            raise FactoryLMError("".join(getattr(part, "text", "") for part in result.content)[:300])
        return points_of(result.structured_content, hours * 3600 / _POINTS)


def past_in(skills: Sequence[OpenSkill]) -> Past | None:
    """The first skill that offers a history, if one does."""
    found = (skill for skill in skills if any(tool.name == _TOOL for tool in skill.tools))
    return next((Past(skill) for skill in found), None)


def points_of(answer: dict[str, Any], width_s: float) -> list[Point]:
    """Seconds since 1970 and a number; an empty point wherever windows are missing, so that no line bridges a gap."""
    columns: list[str] = answer["columns"]
    wanted = next((name for name in ("mean", "value") if name in columns), None)
    if wanted is None:
        return []
    at, begin = columns.index(wanted), datetime.fromisoformat(answer["time"]).timestamp()
    # single samples may lie apart: a value holds until the next one
    widest_s = 1.5 * max(1.0, width_s) if answer["kind"] == "windows" else float("inf")
    points: list[Point] = []
    for row in answer["rows"]:
        second, value = begin + row[0], row[at]
        if points and second - points[-1][0] > widest_s:
            points.append((points[-1][0] + width_s, None))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        points.append((second, float(value) if number else None))
    return points
