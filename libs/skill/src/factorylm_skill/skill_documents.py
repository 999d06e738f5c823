"""SKILL.md over MCP: the skills extension of SEP-2640 (`skills/list`, `skills/get`)."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ConfigDict, Field

EXTENSION = "io.modelcontextprotocol/skills"


@dataclass(frozen=True, kw_only=True)
class SkillDocument:
    """One SKILL.md."""

    name: str
    text: str

    @property
    def uri(self) -> str:
        return f"skill://{self.name}/SKILL.md"

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def frontmatter(self) -> dict[str, Any]:
        """The `key: value` head of the file; nested keys (`metadata:`) as mappings of texts."""
        return _frontmatter(self.text)


def document_of(package: str) -> SkillDocument:
    """The SKILL.md that `package` ships."""
    text = files(package).joinpath("SKILL.md").read_text(encoding="utf-8")
    return SkillDocument(name=str(_frontmatter(text)["name"]), text=text)


class GetSkillParams(types.RequestParams):
    """Parameters of `skills/get`."""

    uri: str


class SkillResource(BaseModel):
    model_config = ConfigDict(frozen=True)

    uri: str
    digest: str
    size: int


class SkillEntry(BaseModel):
    model_config = ConfigDict(frozen=True)

    uri: str
    frontmatter: dict[str, Any]
    resources: list[SkillResource] = Field(default_factory=list)


def serve_documents(server: Server[Any], documents: Any) -> None:
    """Answer `skills/list` and `skills/get`; nothing is advertised where there is no document."""
    by_uri = {document.uri: document for document in documents}
    if not by_uri:
        return

    async def on_list(_: ServerRequestContext[Any], __: types.PaginatedRequestParams) -> dict[str, Any]:
        return {"skills": [_entry(document).model_dump() for document in by_uri.values()]}

    async def on_get(_: ServerRequestContext[Any], params: GetSkillParams) -> dict[str, Any]:
        document = by_uri.get(params.uri)
        if document is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown skill: {params.uri[:100]}")
        return {"contents": [{"uri": document.uri, "mimeType": "text/markdown", "text": document.text}]}

    server.add_request_handler("skills/list", types.PaginatedRequestParams, on_list)
    server.add_request_handler("skills/get", GetSkillParams, on_get)
    server.extensions[EXTENSION] = {}


def _entry(document: SkillDocument) -> SkillEntry:
    resource = SkillResource(uri=document.uri, digest=document.digest, size=len(document.text.encode()))
    return SkillEntry(uri=document.uri, frontmatter=document.frontmatter, resources=[resource])


def _frontmatter(text: str) -> dict[str, Any]:
    if not text.startswith("---\n"):
        raise ValueError("SKILL.md begins with a block between two lines of ---")
    head: dict[str, Any] = {}
    inner: dict[str, str] | None = None
    for line in text[4:].split("\n---", 1)[0].splitlines():
        key, _, value = line.strip().partition(":")
        if line.startswith(" ") and inner is not None:
            inner[key.strip()] = value.strip().strip('"')
        elif value.strip():
            head[key], inner = value.strip().strip('"'), None
        else:
            inner = head[key] = {}
    return head
