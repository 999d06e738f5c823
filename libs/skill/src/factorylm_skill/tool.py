"""One tool as a value: its name, its arguments, what it does, and how hosts may treat it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mcp_types as types
from pydantic import BaseModel, ConfigDict

from factorylm_skill.call import Call
from factorylm_skill.json_schema import slim_schema

Answer = BaseModel | types.CallToolResult | types.InputRequiredResult


class Arguments(BaseModel):
    """Base of every tool's arguments: unknown names are refused and nothing is coerced ("3" is not 3)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """`run` gets the checked arguments and answers with a model, or raises a FactoryLMError."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    answer: type[BaseModel] | None
    run: Callable[[Any, Call], Awaitable[Answer]]
    read_only: bool = True
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = False
    timeout_s: float = 25.0

    @cached_property
    def listing(self) -> types.Tool:
        """What `tools/list` shows; built when first asked for, so that starting stays cheap."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=slim_schema(self.arguments),
            output_schema=slim_schema(self.answer) if self.answer else None,
            annotations=types.ToolAnnotations(
                read_only_hint=self.read_only,
                destructive_hint=self.destructive,
                idempotent_hint=self.idempotent,
                open_world_hint=self.open_world,
            ),
        )
