"""SKILL.md over MCP, for clients of the modern era only."""

import hashlib

import mcp_types as types
import pytest
from factorylm_skill import build_server
from factorylm_skill.skill_documents import EXTENSION, GetSkillParams, SkillDocument
from mcp import Client
from mcp.shared.exceptions import MCPError

TEXT = "---\nname: factorylm-x\ndescription: Reads x\n---\nUse x_read.\n"
DOCUMENT = SkillDocument(text=TEXT, head={"name": "factorylm-x", "description": "Reads x"})


def server():
    return build_server([], name="x", title="X", version="1", documents=[DOCUMENT])


async def test_a_modern_client_finds_and_reads_the_document() -> None:
    async with Client(server(), mode="auto") as client:
        [resource] = (await client.list_resources()).resources
        assert (str(resource.uri), resource.description) == ("skill://factorylm-x/SKILL.md", "Reads x")
        [content] = (await client.read_resource("skill://factorylm-x/SKILL.md")).contents
        assert isinstance(content, types.TextResourceContents)
        assert content.text == TEXT
        with pytest.raises(MCPError, match="Unknown resource"):
            await client.read_resource("skill://other/SKILL.md")


async def test_the_entry_carries_digest_and_size() -> None:
    entry = DOCUMENT.entry()
    assert entry["resources"] == [
        {
            "uri": "skill://factorylm-x/SKILL.md",
            "digest": "sha256:" + hashlib.sha256(TEXT.encode()).hexdigest(),
            "size": len(TEXT),
        }
    ]
    listed = server().get_request_handler("skills/list")
    got = server().get_request_handler("skills/get")
    assert listed
    assert got
    assert (await listed.handler(None, None))["skills"] == [entry]
    assert (await got.handler(None, GetSkillParams(uri=DOCUMENT.uri)))["skill"] == entry
    with pytest.raises(MCPError):
        await got.handler(None, GetSkillParams(uri="skill://other/SKILL.md"))


def test_clients_of_the_handshake_era_are_not_shown_resources() -> None:
    legacy = server().get_capabilities()
    modern = server().get_capabilities(protocol_version="2026-07-28")
    assert (legacy.resources, legacy.extensions) == (None, None)
    assert modern.resources is not None
    assert modern.extensions == {EXTENSION: {}}
