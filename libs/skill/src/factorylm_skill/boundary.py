"""Where a tool call enters and leaves: errors told, answers weighed, time kept."""

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import anyio
import mcp_types as types
from factorylm_schema import BadRequestError, FactoryLMError
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

from factorylm_skill.call import Call
from factorylm_skill.tool import ServedTool, WireAnswer
from factorylm_skill.untrusted import told_to_the_model

# About 10,000 tokens: above it Claude Code warns, at 25,000 it cuts
LONGEST_ANSWER = 40_000
_LETTING_GO_S = 0.5
LONGEST_ERROR = 2_000

logger = logging.getLogger("factorylm")


async def call_tool(tools: Mapping[str, ServedTool], call: Call) -> WireAnswer:
    """Run the tool that `call` names. Every failure comes back as an error text the model can act on."""
    tool = tools.get(call.params.name)
    if tool is None:
        known = ", ".join(tools)
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {call.params.name[:80]}; the tools are {known}")
    try:
        answer = await _in_time(tool, call)
        if answer is not None:
            return told(answer)
        return failed("TIMEOUT", f"{tool.name} took longer than {tool.timeout_s:g} s", "Ask for less at once")
    except FactoryLMError as error:
        # names that a device gave itself stand in messages and hints, too
        message, hint = (told_to_the_model(text, LONGEST_ERROR) for text in (error.message, error.hint))
        return failed(error.code, message, hint)
    except MCPError:
        raise
    except (Exception, SystemExit):  # the last line of defence: a fault in one tool must not end the connection
        logger.exception("tool %s failed unexpectedly", tool.name)
        return failed("INTERNAL", f"{tool.name} failed unexpectedly", "The server's log has the details")


async def _in_time(tool: ServedTool, call: Call) -> BaseModel | WireAnswer | None:
    """The answer, or None after the tool's time; what will not be cancelled (a thread that hangs) is left behind."""
    task = asyncio.ensure_future(_answered(tool, call))
    try:
        done, _ = await asyncio.wait({task}, timeout=tool.timeout_s)
    except asyncio.CancelledError:
        await _let_go(task)
        raise
    if done:
        answer = task.result()
        if isinstance(answer, SystemExit):
            raise answer
        return answer
    await _let_go(task)
    return None


async def _answered(tool: ServedTool, call: Call) -> BaseModel | WireAnswer | SystemExit:
    """SystemExit is handed over as a value: raised inside a task it would end the event loop."""
    try:
        return await tool.answer(call)
    except SystemExit as error:
        return error


async def _let_go(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait({task}, timeout=_LETTING_GO_S)
    # nobody waits for its error any more
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


def told(answer: BaseModel) -> WireAnswer:
    """Text and structured content with the same information; clients differ in which one the model sees."""
    if isinstance(answer, types.CallToolResult | types.InputRequiredResult):
        return answer
    data = answer.model_dump(mode="json", exclude_none=True)
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    if len(text) > LONGEST_ANSWER:
        raise BadRequestError(
            f"the answer would have {len(text):,} characters, more than a model should read at once",
            hint="Ask for fewer tags, a smaller limit or a narrower search",
        )
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=data)


def failed(code: str, message: str, hint: str = "") -> types.CallToolResult:
    """An error the model reads: complete in the text, without structured content.

    The TypeScript client 1.32 checks structured content against the output schema on errors too, and would
    hide the reason behind its own complaint.
    """
    sentences = [f"{code}: {message}", *([hint] if hint else [])]
    text = " ".join(s if s.endswith((".", "?", "!")) else s + "." for s in sentences)
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)


def listings(tools: Iterable[ServedTool]) -> Iterator[types.Tool]:
    """What `tools/list` shows; a tool that cannot even be described is left out, and the others are not."""
    for tool in tools:
        try:
            yield tool.listing
        except Exception:
            logger.exception("tool %s cannot be described and is left out", tool.name)


def named(tools: Iterable[ServedTool]) -> dict[str, ServedTool]:
    """The tools by name; two of one name are a programming error."""
    by_name: dict[str, ServedTool] = {}
    for tool in tools:
        if tool.name in by_name:
            raise ValueError(f"two tools are called {tool.name!r}")
        by_name[tool.name] = tool
    return by_name
