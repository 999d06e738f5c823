"""The contract every skill keeps, run against this one."""

import pytest
from factorylm_s7 import SKILL
from factorylm_skill.testing import Check, protocol_checks, skill_checks


@pytest.mark.parametrize("check", skill_checks(SKILL) + protocol_checks(SKILL), ids=lambda check: check.name)
async def test_contract(check: Check):
    await check.run()
