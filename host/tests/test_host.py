"""Many skills in one process: allow-lists, read-only, and a broken skill that costs only itself."""

import pytest
from factorylm.host import ToolChoice, open_host
from factorylm.installed import installed_skills
from factorylm_schema import UnknownNameError
from factorylm_skill import AuditLog, DomainSkill, OpenSkill, Settings
from mcp import Client


async def test_all_installed_skills_are_one_server_with_their_documents() -> None:
    skills = list(installed_skills().skills.values())
    host = open_host(skills, Settings(), version="1")
    async with Client(host.server()) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert len(names) == len(set(names))
    assert {name.split("_")[0] for name in names} == {skill.name for skill in skills}
    assert len(host.documents) == len(skills)


async def test_an_allow_list_keeps_the_named_tools_and_refuses_unknown_ones() -> None:
    skills = installed_skills().chosen(["modbus"])
    host = open_host(skills, Settings(), version="1", choice=ToolChoice(only=["modbus_read_*"]))
    async with Client(host.server()) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["modbus_read_tags"]
    with pytest.raises(UnknownNameError, match="no tool 'modbus_fly'"):
        open_host(skills, Settings(), version="1", choice=ToolChoice(only=["modbus_fly"]))


def test_a_skill_that_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(UnknownNameError, match="Install factorylm-profibus"):
        installed_skills().chosen(["profibus"])


def test_a_skill_that_breaks_while_opening_costs_only_itself(caplog) -> None:
    def burst(_: Settings) -> OpenSkill:
        raise RuntimeError("out of order")

    broken = DomainSkill(name="bad", title="Bad", version="1", instructions="", package="x", tools=burst)
    host = open_host([broken, *installed_skills().chosen(["modbus"])], Settings(), version="1")
    assert host.failed == {"bad": "RuntimeError: out of order"}
    assert list(host.opened) == ["modbus"]
    assert "is left out" in caplog.text


def test_write_tools_appear_only_when_allowed(tmp_path) -> None:
    skills = installed_skills().chosen(["modbus"])
    audit = AuditLog(tmp_path / "a.jsonl")
    for allowed in (False, True):
        host = open_host(skills, Settings(allow_writes=allowed, audit=audit), version="1")
        names = [tool.name for tool in host.opened["modbus"].tools]
        assert ("modbus_write_tag" in names) is allowed
