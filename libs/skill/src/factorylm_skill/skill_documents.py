"""SKILL.md over MCP: the skills extension of SEP-2640 (`skills/list`, `skills/get`, and reading the file)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from factorylm_skill.front_matter import front_matter

EXTENSION = "io.modelcontextprotocol/skills"
_LASTING = {"ttlMs": 3_600_000, "cacheScope": "public"}


@dataclass(frozen=True, kw_only=True)
class SkillDocument:
    """One SKILL.md and what its head says."""

    text: str
    head: dict[str, Any]

    @property
    def uri(self) -> str:
        """Where clients read it."""
        return f"skill://{self.head['name']}/SKILL.md"

    def resource(self) -> types.Resource:
        """Its line in `resources/list`."""
        return types.Resource(
            uri=self.uri, name=self.head["name"], description=self.head["description"], mime_type="text/markdown"
        )

    def entry(self) -> dict[str, Any]:
        """Its line in `skills/list`."""
        content = self.text.encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        resource = {"uri": self.uri, "digest": digest, "size": len(content)}
        return {"uri": self.uri, "frontmatter": self.head, "resources": [resource]}


def document_of(package: str) -> SkillDocument:
    """The SKILL.md that `package` ships."""
    text = files(package).joinpath("SKILL.md").read_text(encoding="utf-8")
    return SkillDocument(text=text, head=front_matter(text))


class GetSkillParams(types.RequestParams):
    """Parameters of `skills/get`."""

    uri: str


def serve_documents(server: Server[Any], documents: Sequence[SkillDocument]) -> None:
    """Answer for these documents, also as resources, which the extension demands."""
    if not documents:
        return
    by_uri = {document.uri: document for document in documents}

    def found(uri: str) -> SkillDocument:
        if uri not in by_uri:
            raise MCPError(types.INVALID_PARAMS, f"Unknown resource: {uri[:200]}", {"uri": uri})
        return by_uri[uri]

    async def on_list(_: ServerRequestContext[Any], __: types.PaginatedRequestParams) -> dict[str, Any]:
        return {"skills": [document.entry() for document in documents], **_LASTING}

    async def on_get(_: ServerRequestContext[Any], params: GetSkillParams) -> dict[str, Any]:
        return {"skill": found(params.uri).entry(), **_LASTING}

    async def on_read(
        _: ServerRequestContext[Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        document = found(params.uri)
        text = types.TextResourceContents(uri=document.uri, mime_type="text/markdown", text=document.text)
        return types.ReadResourceResult(contents=[text])

    async def on_resources(_: ServerRequestContext[Any], __: types.PaginatedRequestParams) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[document.resource() for document in documents])

    server.add_request_handler("resources/list", types.PaginatedRequestParams, on_resources)
    server.add_request_handler("skills/list", types.PaginatedRequestParams, on_list)
    server.add_request_handler("skills/get", GetSkillParams, on_get)
    server.add_request_handler("resources/read", types.ReadResourceRequestParams, on_read)
    server.extensions[EXTENSION] = {}
