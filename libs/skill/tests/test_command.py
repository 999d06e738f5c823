"""The command line of a skill beside serving: help, and what only the operator may do."""

from collections.abc import Sequence

import pytest
from factorylm_skill import OperatorCommand, run_skill
from factorylm_skill.testing import check_agreed_tools


def test_a_command_of_the_operator_stands_in_the_help_and_gets_the_rest(skill, capsys) -> None:
    given: list[Sequence[str]] = []

    def run(rest: Sequence[str]) -> int:
        given.append(rest)
        return 7

    trust = OperatorCommand(name="trust", summary="look at a certificate", run=run)
    assert run_skill(skill, ["trust", "url", "--help"], commands=[trust]) == 7
    assert given == [["url", "--help"]]
    with pytest.raises(SystemExit) as ended:
        run_skill(skill, ["--help"], commands=[trust])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "example: factorylm-shed --simulate\n" in told
    assert "factorylm-shed trust      look at a certificate\n" in told


def test_without_commands_the_help_names_none(skill, capsys) -> None:
    with pytest.raises(SystemExit):
        run_skill(skill, ["--help"])
    assert "commands" not in capsys.readouterr().out


async def test_a_changed_tool_list_says_which_tool_and_how_to_renew_it(skill, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("factorylm_skill.command.document_of", _no_document)
    monkeypatch.delenv("RENEW_TOOL_LISTS", raising=False)
    file, audit = tmp_path / "tools.json", tmp_path / "audit.jsonl"
    with pytest.raises(AssertionError, match=r"shed_write_tag.*RENEW_TOOL_LISTS=1"):
        await check_agreed_tools(skill, file, audit)
    monkeypatch.setenv("RENEW_TOOL_LISTS", "1")
    await check_agreed_tools(skill, file, audit)
    monkeypatch.delenv("RENEW_TOOL_LISTS")
    await check_agreed_tools(skill, file, audit)
    file.write_text(file.read_text().replace("Read tags", "Read the tags"))
    with pytest.raises(AssertionError, match=r"tools.json lists other tools \(shed_read_tags\)"):
        await check_agreed_tools(skill, file, audit)


def _no_document(_: str):
    from factorylm_skill.skill_documents import SkillDocument

    return SkillDocument(text="---\nname: x\n---\n", head={"name": "x", "description": "x"})
