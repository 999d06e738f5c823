"""The contract every skill keeps, run against this one; and the manifest against the code."""

from pathlib import Path

import pytest
from factorylm_enip import SKILL
from factorylm_schema import load_manifest
from factorylm_skill.testing import Check, protocol_checks, skill_checks


@pytest.mark.parametrize("check", [*skill_checks(SKILL), *protocol_checks(SKILL)], ids=lambda check: check.name)
async def test_contract(check: Check):
    await check.run()


def test_the_manifest_says_what_the_code_does():
    manifest = load_manifest(Path(__file__).parents[1] / "skill.toml")
    assert manifest.name == SKILL.name
    assert set(manifest.schemes) == SKILL.dialect.schemes
