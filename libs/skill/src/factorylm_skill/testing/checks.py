"""The contract of a skill, check by check; each name is the behaviour it proves."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from factorylm_skill.protocol import ProtocolSkill
from factorylm_skill.skill import Settings, Skill
from factorylm_skill.skill_documents import document_of
from factorylm_skill.testing import protocol_contract
from factorylm_skill.testing.clients import Era, connected
from factorylm_skill.testing.schema_lint import lint_tool
from factorylm_skill.testing.tokens import count_tokens, tool_tokens

MOST_TOOLS = 8
MOST_TOKENS = 1_200
MOST_TOKENS_PER_TOOL = 300
MOST_INSTRUCTION_TOKENS = 150


@dataclass(frozen=True)
class Check:
    """One behaviour; `run` raises AssertionError where it does not hold."""

    name: str
    run: Callable[[], Awaitable[None]]


def skill_checks(skill: Skill, settings: Settings | None = None) -> list[Check]:
    """What holds for every skill."""
    opened = settings or Settings()
    checks = [
        tools_are_named_after_the_skill,
        tool_definitions_pass_the_lint,
        the_tool_list_keeps_its_token_budget,
        unknown_arguments_are_refused_by_name,
        numbers_are_not_made_of_texts,
        nothing_writes_unless_the_operator_allows_it,
        skill_md_describes_the_skill,
    ]
    return [Check(check.__name__, partial(check, skill, opened)) for check in checks]


def protocol_checks(skill: ProtocolSkill) -> list[Check]:
    """What holds for a protocol skill besides, shown on its own simulator."""
    return [Check(check.__name__, partial(check, skill)) for check in protocol_contract.CHECKS]


async def tools_are_named_after_the_skill(skill: Skill, settings: Settings) -> None:
    async with connected(skill, settings) as client:
        names = [tool.name for tool in await client.tools()]
    assert names, "no tools"
    assert len(names) <= MOST_TOOLS, f"{len(names)} tools"
    assert all(name.startswith(f"{skill.name}_") for name in names), names


async def tool_definitions_pass_the_lint(skill: Skill, settings: Settings) -> None:
    eras: tuple[Era, ...] = ("legacy", "auto")
    for era in eras:
        async with connected(skill, settings, era=era) as client:
            faults = {tool.name: lint_tool(tool) for tool in await client.tools()}
        assert not any(faults.values()), faults


async def the_tool_list_keeps_its_token_budget(skill: Skill, settings: Settings) -> None:
    async with connected(skill, settings) as client:
        cost = {tool.name: tool_tokens(tool) for tool in await client.tools()}
    assert max(cost.values()) <= MOST_TOKENS_PER_TOOL, cost
    assert sum(cost.values()) <= MOST_TOKENS, cost
    assert count_tokens(skill.instructions) <= MOST_INSTRUCTION_TOKENS


async def unknown_arguments_are_refused_by_name(skill: Skill, settings: Settings) -> None:
    async with connected(skill, settings) as client:
        for tool in await client.tools():
            text = await client.refused(tool.name, surely_unknown=1)
            assert "surely_unknown" in text, text
            assert all(name in text for name in tool.input_schema["properties"]), text


async def numbers_are_not_made_of_texts(skill: Skill, settings: Settings) -> None:
    async with connected(skill, settings) as client:
        for tool in await client.tools():
            for name, schema in tool.input_schema["properties"].items():
                if schema.get("type") in ("integer", "number"):
                    text = await client.refused(tool.name, **{name: "3"})
                    assert name in text, text


async def nothing_writes_unless_the_operator_allows_it(skill: Skill, settings: Settings) -> None:
    async with connected(skill, Settings(plant=settings.plant, data=settings.data)) as client:
        tools = await client.tools()
    writing = [tool.name for tool in tools if not (tool.annotations and tool.annotations.read_only_hint)]
    assert not writing, writing


async def skill_md_describes_the_skill(skill: Skill, settings: Settings) -> None:
    head: dict[str, Any] = document_of(skill.package).head
    assert set(head) <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}, head
    assert head["name"] == f"factorylm-{skill.name}", head["name"]
    assert 1 <= len(head["description"]) <= 1024, "the description is read by every assistant"
    text = document_of(skill.package).text
    async with connected(skill, settings) as client:
        missing = [tool.name for tool in await client.tools() if tool.name not in text]
    assert not missing, f"SKILL.md does not mention {missing}"


def names(checks: Sequence[Check]) -> list[str]:
    """Their names, as test ids."""
    return [check.name for check in checks]
