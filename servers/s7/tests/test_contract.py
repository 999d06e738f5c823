"""The contract every skill keeps, run against this one; and what is written down about it against the code."""

import subprocess
import sys
from pathlib import Path

import pytest
from factorylm_s7 import SKILL
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


def test_serving_imports_neither_a_protocol_library_nor_numpy():
    program = "import sys, factorylm_s7.server; print(*{name.split('.')[0] for name in sys.modules})"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "factorylm_s7" in shown
    assert not {"snap7", "numpy"} & set(shown)
