"""Clients and simulated plants for tests of skills."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import mcp_types as types
from mcp import Client
from mcp.client.session import ClientRequestContext

from factorylm_skill.audit import AuditLog
from factorylm_skill.command import simulated_plant, skill_server
from factorylm_skill.protocol import ProtocolSkill
from factorylm_skill.simulation import Simulation
from factorylm_skill.skill import Settings, Skill

Era = Literal["legacy", "auto"]


class Person(Protocol):
    """Whoever the client puts a question before."""

    async def __call__(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        """The answer."""
        ...


async def approving(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:  # noqa: ARG001
    """A person who says yes to everything."""
    return types.ElicitResult(action="accept", content={"approve": True})


async def declining(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:  # noqa: ARG001
    """A person who says no."""
    return types.ElicitResult(action="decline")


@dataclass(frozen=True)
class SkillClient:
    """A client that reads answers: `ask` gives the structured content, `refused` the error's text."""

    client: Client

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer; fails with the error's text where the tool refused."""
        result = await self.client.call_tool(tool, arguments)
        text = _text(result)
        assert not result.is_error, text
        structured = result.structured_content
        assert isinstance(structured, dict), f"{tool} answered without structured content"
        assert json.loads(text) == structured, "text and structured content differ"
        return structured

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The text of the error; fails where the tool did not refuse."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, f"{tool} did not refuse: {_text(result)[:200]}"
        return _text(result)

    async def tools(self) -> list[types.Tool]:
        """The tool list."""
        return list((await self.client.list_tools()).tools)


@asynccontextmanager
async def connected(
    skill: Skill, settings: Settings, *, era: Era = "auto", person: Person | None = None
) -> AsyncIterator[SkillClient]:
    """A client in memory, over the skill's own server."""
    server = skill_server(skill, settings)
    async with Client(server, mode=era, raise_exceptions=True, elicitation_callback=person) as client:
        yield SkillClient(client)


@asynccontextmanager
async def simulated(
    skill: ProtocolSkill,
    *,
    audit: Path | None = None,
    approve: Literal["person", "plan"] = "person",
    era: Era = "auto",
    person: Person | None = None,
) -> AsyncIterator[tuple[SkillClient, Simulation]]:
    """A client over the skill's simulator; writes are allowed where an audit file is given."""
    async with skill.simulate() as simulation:
        settings = Settings(
            plant=simulated_plant(simulation.plant_toml, skill),
            allow_writes=audit is not None,
            approve=approve,
            audit=AuditLog(audit) if audit else None,
        )
        async with connected(skill, settings, era=era, person=person) as client:
            yield client, simulation


def _text(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))
