"""The contract every skill keeps, run against this one."""

import pytest
from factorylm_skill.testing import Check, skill_checks
from factorylm_twin import SKILL


@pytest.mark.parametrize("check", skill_checks(SKILL), ids=lambda check: check.name)
async def test_contract(check: Check):
    await check.run()
