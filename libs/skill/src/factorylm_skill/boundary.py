"""Where a tool call enters and leaves: arguments checked, errors told, answers weighed."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import anyio
import mcp_types as types
from factorylm_schema import BadRequestError, FactoryLMError
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from factorylm_skill.argument_words import told_arguments
from factorylm_skill.call import Call
from factorylm_skill.tool import Arguments, Tool

# About 10,000 tokens: above it Claude Code warns, at 25,000 it cuts
LONGEST_ANSWER = 40_000

logger = logging.getLogger("factorylm")


async def call_tool(
    tools: Mapping[str, Tool], call: Call
) -> types.CallToolResult | types.InputRequiredResult:
    """Run the tool that `call` names. Every failure comes back as an error text the model can act on."""
    tool = tools.get(call.params.name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {call.params.name[:80]}")
    try:
        return await _ran(tool, call)
    except FactoryLMError as error:
        return failed(error.code, error.message, error.hint)
    except Exception:  # the last line of defence: a fault of ours must not end the connection
        logger.exception("tool %s failed unexpectedly", tool.name)
        return failed("INTERNAL", f"{tool.name} failed unexpectedly", "The server's log has the details")


async def _ran(tool: Tool, call: Call) -> types.CallToolResult | types.InputRequiredResult:
    arguments = checked(tool, call.params.arguments or {})
    with anyio.move_on_after(tool.timeout_s) as limit:
        answer = await tool.run(arguments, call)
        return told(answer) if isinstance(answer, BaseModel) and not _is_wire(answer) else answer
    assert limit.cancelled_caught
    return failed("TIMEOUT", f"{tool.name} took longer than {tool.timeout_s:g} s", "Ask for less at once")


def checked(tool: Tool, given: Mapping[str, Any]) -> Arguments:
    """The arguments as the tool's model; raises BadRequestError that names what is wrong and what exists."""
    try:
        return tool.arguments.model_validate(given)
    except ValidationError as error:
        raise BadRequestError(told_arguments(tool, error)) from error


def told(answer: BaseModel) -> types.CallToolResult:
    """Text and structured content with the same information; clients differ in which one the model sees."""
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
    text = f"{code}: {message}." + (
        f" {hint}." if hint and not hint.endswith((".", "?")) else f" {hint}" if hint else ""
    )
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)


def named(tools: Iterable[Tool]) -> dict[str, Tool]:
    """The tools by name; two of one name are a programming error."""
    by_name: dict[str, Tool] = {}
    for tool in tools:
        if tool.name in by_name:
            raise ValueError(f"two tools are called {tool.name!r}")
        by_name[tool.name] = tool
    return by_name


def _is_wire(answer: BaseModel) -> bool:
    return isinstance(answer, types.CallToolResult | types.InputRequiredResult)
