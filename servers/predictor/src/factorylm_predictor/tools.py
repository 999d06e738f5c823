"""The tools: eight questions. Each runs in a thread of its own, so that the server keeps answering."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import anyio
from factorylm_skill.call import Call
from factorylm_skill.skill import Settings
from factorylm_skill.tool import Arguments, Tool
from pydantic import BaseModel

from factorylm_predictor import questions as ask
from factorylm_predictor import replies
from factorylm_predictor.desk import Desk

A = TypeVar("A", bound=Arguments)
Say = Callable[[str], None]


def tools_for(settings: Settings) -> Sequence[Tool]:
    """All tools over one desk."""
    desk = Desk(folders=settings.data, shelf=settings.shelf)
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


async def in_a_thread(work: Callable[[Say], BaseModel], call: Call) -> BaseModel:
    """Run it beside the event loop, passing its progress on; a call given up on leaves the thread to finish."""
    steps = 0

    def say(text: str) -> None:
        nonlocal steps
        steps += 1
        anyio.from_thread.run(call.progress, float(steps), 0.0, text)

    def job() -> BaseModel:
        return work(say)

    waiting: Awaitable[BaseModel] = anyio.to_thread.run_sync(job, abandon_on_cancel=True)
    return await waiting
