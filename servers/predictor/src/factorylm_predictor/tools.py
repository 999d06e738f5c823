"""The tools: eight questions. Each runs in a thread of its own, so that the server keeps answering."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from factorylm_skill.call import Call
from factorylm_skill.data_folders import DataFolders
from factorylm_skill.long_work import Say, in_a_thread
from factorylm_skill.skill import Settings
from factorylm_skill.tool import Arguments, Tool
from pydantic import BaseModel

from factorylm_predictor import questions as ask
from factorylm_predictor import replies
from factorylm_predictor.desk import DATA_SUFFIXES, Desk

A = TypeVar("A", bound=Arguments)


def tools_for(settings: Settings) -> Sequence[Tool]:
    """All tools over one desk."""
    desk = Desk(folders=DataFolders(settings.data, DATA_SUFFIXES), shelf=settings.shelf)
    return [_tool(desk, *row) for row in _TOOLS]


_TOOLS: list[tuple[str, str, str, type[Arguments], type[BaseModel], float]] = [
    (
        "check_data",
        "Check data",
        "What a data file holds and what is wrong with it. Without arguments: the files there are.",
        ask.CheckData,
        replies.CheckReply,
        60,
    ),
    (
        "fit",
        "Fit remaining life",
        "Learn remaining life from histories that each end in a failure. Returns a model handle and its honest error.",
        ask.Fit,
        replies.FitReply,
        600,
    ),
    (
        "predict",
        "Predict remaining life",
        "When will it fail: an interval with drivers and similar past cases, or a refusal with its reason.",
        ask.Predict,
        replies.PredictReply,
        120,
    ),
    (
        "detect",
        "Detect anomalies",
        "Is it behaving as usual: rows against a healthy baseline at a declared false-alarm rate.",
        ask.Detect,
        replies.DetectReply,
        300,
    ),
    (
        "trend",
        "Trend to limit",
        "When does a health indicator reach its limit; refuses when there is no significant trend.",
        ask.Trend,
        replies.TrendReply,
        60,
    ),
    (
        "window",
        "Maintenance window",
        "The three cheapest times to service and the risk until then, from lives or from one unit's predicted life.",
        ask.Window,
        replies.WindowReply,
        120,
    ),
    (
        "name_fault",
        "Name faults",
        "Which known fault rows look like, learned from labelled rows; 'unknown' where there is no ground.",
        ask.NameFault,
        replies.NameReply,
        300,
    ),
    (
        "evidence",
        "Evidence of an answer",
        "What stands behind an evidence id: sources, details, model card.",
        ask.Evidence,
        replies.EvidenceReply,
        25,
    ),
]


def _tool(
    desk: Desk,
    name: str,
    title: str,
    description: str,
    arguments: type[Arguments],
    result: type[BaseModel],
    timeout_s: float,
) -> Tool:
    async def run(asked: Any, call: Call) -> BaseModel:
        from factorylm_predictor import consulting

        answer: Callable[[Desk, Any, Say], BaseModel] = getattr(consulting, name)
        return await in_a_thread(lambda say: answer(desk, asked, say), call)

    return Tool(
        name=f"predictor_{name}",
        title=title,
        description=description,
        arguments=arguments,
        result=result,
        run=run,
        timeout_s=timeout_s,
    )
