"""Open skills become one MCP server, for both protocol eras."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from factorylm_skill.boundary import call_tool, listings, named
from factorylm_skill.call import Call
from factorylm_skill.call_record import CallRecord, Observer
from factorylm_skill.skill import OpenSkill
from factorylm_skill.skill_documents import SkillDocument, serve_documents
from factorylm_skill.tool import ServedTool


def _not_observed(_: CallRecord) -> None:
    return None


def build_server(
    opened: Sequence[OpenSkill],
    *,
    name: str,
    title: str,
    version: str,
    instructions: str = "",
    documents: Sequence[SkillDocument] = (),
    observer: Observer = _not_observed,
) -> Server[Any]:
    """A server with the tools of all opened skills; `observer` is told of every call.

    More handlers may be added to it before it is served.

    The SDK's low-level Server is used, not MCPServer: it advertises only what is served, leaves arguments as
    the client sent them, and lets results and errors be exactly ours (decisions/low-level-server.md).
    """
    tools = named(tool for skill in opened for tool in skill.tools)

    async def list_tools(
        _: ServerRequestContext[Any], __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=list(listings(tools.values())))

    async def on_call(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        call, begun = Call(context, params), time.perf_counter()
        result = await call_tool(tools, call)
        observer(CallRecord.of(call, result, time.perf_counter() - begun))
        return result

    server: Server[Any] = _EraServer(
        name,
        title=title,
        version=version,
        instructions=instructions or None,
        get_tool_input_schema=_input_schemas(tools),
        lifespan=_closing(opened),
        on_list_tools=list_tools,
        on_call_tool=on_call,
    )
    # What a modern client carries from a question to its answer is sealed: it can be neither read nor altered
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=name))
    serve_documents(server, documents)
    return server


class _EraServer(Server[Any]):
    """Offers SKILL.md to modern clients only: some hosts of the handshake era add tools of their own for resources."""

    def get_capabilities(self, *arguments: Any, protocol_version: str | None = None, **options: Any) -> Any:
        capabilities = super().get_capabilities(*arguments, protocol_version=protocol_version, **options)
        if protocol_version in MODERN_PROTOCOL_VERSIONS:
            return capabilities
        return capabilities.model_copy(update={"resources": None, "extensions": None})


def _input_schemas(tools: Mapping[str, ServedTool]) -> Any:
    def schema(name: str) -> Mapping[str, Any] | None:
        return tools[name].listing.input_schema if name in tools else None

    return schema


def _closing(opened: Sequence[OpenSkill]) -> Any:
    @asynccontextmanager
    async def lifespan(_: Server[Any]) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {}
        finally:
            for skill in opened:
                await skill.close()

    return lifespan
