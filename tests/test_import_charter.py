"""Imports point down only: schema, skill, then servers and services, then the host. Nothing below names a protocol."""

import ast
import re
import subprocess
import sys
import tokenize
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from workspace.imports import imported, layer, siblings_of, sources
from workspace.members import ROOT, Member, requirement_name
from workspace.needs import all_needs

# What a distribution hands out under another's name: whoever declares the first may import the second.
PARTS = {"mcp": ("mcp-types", "starlette", "uvicorn"), "pydantic": ("pydantic-core",)}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
PROTOCOL_WORDS = re.compile(
    r"modbus|pymodbus|snap7|s7comm|profinet|ethernet/?ip|\benip\b|pycomm3|pylogix|asyncua|opc\.tcp"
    r"|holding.?register|\bcoils?\b|\bDB\d",
    re.IGNORECASE,
)


providers_of_modules = cache(packages_distributions)


def test_a_package_imports_only_packages_below_it(member: Member, all_members: dict[str, Member]) -> None:
    below = {name for name, other in all_members.items() if layer(other) < layer(member)}
    assert siblings_of(member, list(all_members.values())) <= below


def test_a_package_declares_everything_it_imports(member: Member, all_members: dict[str, Member]) -> None:
    declared = {requirement_name(line) for line in member.requirements} | {requirement_name(member.name)}
    declared |= {part for name in declared for part in PARTS.get(name, ())}
    own = {other.package: requirement_name(other.name) for other in all_members.values()}
    providers = providers_of_modules()
    undeclared = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sources(member)
        for name in imported(path) - sys.stdlib_module_names
        if declared.isdisjoint([own[name]] if name in own else map(requirement_name, providers.get(name, [])))
    }
    assert not undeclared


def test_no_module_has_a_name_that_says_nothing(member: Member) -> None:
    parts = {path: set(path.relative_to(member.folder).with_suffix("").parts) for path in sources(member)}
    assert not [path for path, names in parts.items() if names & VAGUE_NAMES]


def test_the_libraries_know_no_protocol() -> None:
    """Docstrings may give an example; code may not."""
    found = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.line.strip()}"
        for path in sorted((ROOT / "libs").glob("*/src/**/*.py"))
        for token in code_tokens(path)
        if PROTOCOL_WORDS.search(token.string)
    ]
    assert not found


def code_tokens(path: Path) -> list[tokenize.TokenInfo]:
    """Every token but comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstring_lines = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None
    }
    with path.open("rb") as source:
        tokens = list(tokenize.tokenize(source.readline))
    return [
        token
        for token in tokens
        if token.type != tokenize.COMMENT and not (token.type == tokenize.STRING and token.start[0] in docstring_lines)
    ]


def test_the_shared_words_need_pydantic_and_nothing_else(all_members: dict[str, Member]) -> None:
    schema = all_members["factorylm-schema"]
    assert [requirement_name(line) for line in schema.requirements] == ["pydantic"]


def test_a_skill_starts_without_its_heavy_libraries(skill: Member, all_members: dict[str, Member]) -> None:
    """A client waits for the first answer; drivers, numbers and models load when they are first used."""
    heavy = all_needs(skill.requirements) - all_needs(all_members["factorylm-skill"].project["dependencies"])
    modules = {name for name, dists in providers_of_modules().items() if heavy & set(map(requirement_name, dists))}
    asked = (
        "import sys, factorylm_skill; before = set(sys.modules); "
        f"import {skill.package}.server; print(*sorted({modules!r} & (sys.modules.keys() - before)))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr, done.returncode) == ([], "", 0)
