"""The contract as library code: any skill, ours or a partner's, runs the same checks.

@pytest.mark.parametrize("check", skill_checks(SKILL), ids=lambda check: check.name)
async def test_contract(check):
    await check.run()
"""

from factorylm_skill.testing.agreed_tools import check_agreed_tools
from factorylm_skill.testing.checks import Check, protocol_checks, skill_checks
from factorylm_skill.testing.clients import approving, connected, declining, simulated
from factorylm_skill.testing.schema_lint import lint_tool
from factorylm_skill.testing.tokens import count_tokens, tool_tokens

__all__ = [
    "Check",
    "approving",
    "check_agreed_tools",
    "connected",
    "count_tokens",
    "declining",
    "lint_tool",
    "protocol_checks",
    "simulated",
    "skill_checks",
    "tool_tokens",
]
