"""The contract every protocol skill keeps."""

import pytest
from factorylm_opcua import SKILL
from factorylm_skill.testing.checks import Check, names, protocol_checks, skill_checks

CHECKS = [*skill_checks(SKILL), *protocol_checks(SKILL)]


@pytest.mark.parametrize("check", CHECKS, ids=names(CHECKS))
async def test_the_skill_keeps_the_contract(check: Check) -> None:
    await check.run()
