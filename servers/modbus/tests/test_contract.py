"""The contract every skill keeps, run against this one; and what is written down about it against the code."""

from pathlib import Path

import pytest
from factorylm_modbus import SKILL
from factorylm_schema import load_manifest
from factorylm_skill.testing import Check, check_agreed_tools, protocol_checks, skill_checks

HERE = Path(__file__).parent


@pytest.mark.parametrize("check", [*skill_checks(SKILL), *protocol_checks(SKILL)], ids=lambda check: check.name)
async def test_contract(check: Check):
    await check.run()


async def test_the_tools_are_those_that_were_agreed(tmp_path: Path):
    await check_agreed_tools(SKILL, HERE / "agreed_tools.json", tmp_path / "audit.jsonl")


def test_the_manifest_says_what_the_code_does():
    manifest = load_manifest(HERE.parent / "skill.toml")
    assert manifest.name == SKILL.name
    assert set(manifest.schemes) == SKILL.dialect.schemes
