"""One tool as a value: its name, its arguments, what it does, and how hosts may treat it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import mcp_types as types
from pydantic import BaseModel, ConfigDict

from factorylm_skill.argument_words import checked
from factorylm_skill.call import Call
from factorylm_skill.json_schema import slim_schema

WireAnswer = types.CallToolResult | types.InputRequiredResult


class Arguments(BaseModel):
    """Every tool's arguments: unknown names are refused and nothing is coerced ("3" is not 3)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class ServedTool(Protocol):
    """What a server needs of a tool; `Tool` is the usual one, `RawTool` the way out."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def listing(self) -> types.Tool:
        """What `tools/list` shows."""
        ...

    @property
    def timeout_s(self) -> float:
        """When the call is given up."""
        ...

    async def answer(self, call: Call) -> BaseModel | WireAnswer:
        """Do it; a FactoryLMError becomes an error the model reads."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tool:
    """`run` gets the checked arguments and answers with a model, or raises a FactoryLMError."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    result: type[BaseModel] | None
    run: Callable[[Any, Call], Awaitable[BaseModel | WireAnswer]]
    read_only: bool = True
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = False
    timeout_s: float = 25.0

    @cached_property
    def listing(self) -> types.Tool:
        """Built when first asked for, so that starting stays cheap."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=slim_schema(self.arguments),
            output_schema=slim_schema(self.result) if self.result else None,
            annotations=types.ToolAnnotations(
                read_only_hint=self.read_only,
                destructive_hint=self.destructive,
                idempotent_hint=self.idempotent,
                open_world_hint=self.open_world,
            ),
        )

    async def answer(self, call: Call) -> BaseModel | WireAnswer:
        """Check the arguments and run."""
        return await self.run(checked(self.arguments, self.name, call.params.arguments or {}), call)


@dataclass(frozen=True, kw_only=True)
class RawTool:
    """A tool that speaks the SDK's types itself: any schema, any content. For test fixtures and odd cases."""

    listing: types.Tool
    call: Callable[[Call], Awaitable[WireAnswer]]
    timeout_s: float = 60.0

    @property
    def name(self) -> str:
        """The name in its listing."""
        return self.listing.name

    async def answer(self, call: Call) -> WireAnswer:
        """Hand the call over as it came."""
        return await self.call(call)
