"""What one tool call was, for the console, the metrics and the log; never what a secret could be in."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import mcp_types as types

from factorylm_skill.call import Call
from factorylm_skill.tool import WireAnswer


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One call; `answered` counts the characters the model has to read."""

    time: datetime
    principal: str
    client: str
    tool: str
    arguments: str
    outcome: str
    answered: int
    seconds: float

    @classmethod
    def of(cls, call: Call, result: WireAnswer, seconds: float) -> "CallRecord":
        """The record of a finished call."""
        text = _text(result)
        return cls(
            time=datetime.now(UTC),
            principal=call.principal,
            client=call.client,
            tool=call.params.name,
            arguments=json.dumps(call.params.arguments or {}, ensure_ascii=False)[:500],
            outcome=_outcome(result, text),
            answered=len(text),
            seconds=seconds,
        )


Observer = Callable[[CallRecord], None]


def _text(result: WireAnswer) -> str:
    if not isinstance(result, types.CallToolResult):
        return ""
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


def _outcome(result: WireAnswer, text: str) -> str:
    """`ok`, `asked`, or the error's code."""
    if isinstance(result, types.InputRequiredResult):
        return "asked"
    return text.split(":", 1)[0][:40] if result.is_error else "ok"
