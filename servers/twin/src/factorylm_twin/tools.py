"""The tools: six questions. Each runs in a thread of its own, so that the server keeps answering."""

from collections.abc import Callable, Sequence
from typing import Any

from factorylm_skill.call import Call
from factorylm_skill.data_folders import DataFolders
from factorylm_skill.long_work import Say, in_a_thread
from factorylm_skill.skill import Settings
from factorylm_skill.tool import Arguments, Tool
from pydantic import BaseModel

from factorylm_twin import questions as ask
from factorylm_twin import replies
from factorylm_twin.desk import DATA_SUFFIXES, Desk

_Row = tuple[str, str, str, str, type[Arguments], type[BaseModel], float]


def tools_for(settings: Settings) -> Sequence[Tool]:
    """All tools over one desk."""
    desk = Desk(folders=DataFolders(settings.data, DATA_SUFFIXES), shelf=settings.shelf)
    return [_tool(desk, row) for row in _TOOLS]


_TOOLS: list[_Row] = [
    (
        "files",
        "files",
        "List data",
        "Data files and fitted twins; with a file: its columns.",
        ask.Files,
        replies.FilesReply,
        60,
    ),
    (
        "fit",
        "fit",
        "Fit a twin",
        "Learn how outputs answer inputs from history; graded by free run on rows kept apart, or refused with reason.",
        ask.Fit,
        replies.CardReply,
        600,
    ),
    (
        "what_if",
        "what_if_tool",
        "What if",
        "What a change of inputs would do: new steady value, band, settling time, limits crossed, or a refusal.",
        ask.WhatIf,
        replies.WhatIfReply,
        120,
    ),
    (
        "best",
        "best",
        "Best set-points",
        "Which place of the inputs is best for an output inside limits, with sensitivity and distance to the edge.",
        ask.Best,
        replies.BestReply,
        300,
    ),
    (
        "compare",
        "compare",
        "Compare with the twin",
        "Run the twin free beside measured rows: error, since which row they part, which columns explain it.",
        ask.Compare,
        replies.CompareReply,
        120,
    ),
    (
        "card",
        "card",
        "Model card",
        "What stands behind a twin: grade and error per output, envelope of inputs.",
        ask.Card,
        replies.CardReply,
        60,
    ),
]


def _tool(desk: Desk, row: _Row) -> Tool:
    name, home, title, description, arguments, result, timeout_s = row

    async def run(asked: Any, call: Call) -> BaseModel:
        from factorylm_twin import consulting

        answer: Callable[[Desk, Any, Say], BaseModel] = getattr(consulting, home)
        return await in_a_thread(lambda say: answer(desk, asked, say), call)

    return Tool(
        name=f"twin_{name}",
        title=title,
        description=description,
        arguments=arguments,
        result=result,
        run=run,
        timeout_s=timeout_s,
    )
