"""The tool list of a skill as a committed file: a change that every client would see is seen in review first."""

import json
import os
from pathlib import Path
from typing import Any

from factorylm_skill.audit import AuditLog
from factorylm_skill.skill import Settings, Skill
from factorylm_skill.testing.clients import connected

RENEW = "RENEW_TOOL_LISTS"


async def check_agreed_tools(skill: Skill, file: Path, audit: Path) -> None:
    """The skill offers exactly the tools in `file`, the write tool included; `audit` is a file that may be written.

    Raises AssertionError that says how to renew the file; with RENEW_TOOL_LISTS=1 in the environment, renews it.
    """
    _compare(await _offered(skill, audit), file)


def _compare(offered: list[dict[str, Any]], file: Path) -> None:
    if os.environ.get(RENEW):
        file.write_text(json.dumps(offered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    agreed = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    changed = sorted({str(tool["name"]) for tool in (*offered, *agreed) if tool not in offered or tool not in agreed})
    assert offered == agreed, (
        f"{file.name} lists other tools ({', '.join(changed) or 'in another order'}). "
        f"If the change is meant: {RENEW}=1 ./run test <this test>, and a line in CHANGELOG.md"
    )


async def _offered(skill: Skill, audit: Path) -> list[dict[str, Any]]:
    async with connected(skill, Settings(allow_writes=True, audit=AuditLog(audit))) as client:
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await client.tools()]
