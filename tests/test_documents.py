"""Every code block of every document runs, in order, in an empty folder: see CONTRIBUTING.md, "Documents"."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from workspace.documents import GENERATED, current_text
from workspace.members import ROOT

FENCE = re.compile(r"^```(?P<language>[a-z]*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"<!-- file: (?P<name>[\w./-]+) -->\s*$")
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]{5,}) -->\s*$")
RUN = {"sh", "bash", "console", "python"}
CHECKED = {"toml": tomllib.loads, "json": json.loads}
BLOCK_TIMEOUT_S = 300  # a bound, not a promise: a busy machine takes five times as long


@dataclass(frozen=True)
class Block:
    """A fenced block and what stands before it."""

    language: str
    text: str
    line: int
    file: str | None
    excused: bool


def documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split()


def blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        Block(
            language=found["language"],
            text=found["text"],
            line=text.count("\n", 0, found.start()) + 1,
            file=name["name"] if (name := FILE.search(text, 0, found.start())) else None,
            excused=NOT_RUN.search(text, 0, found.start()) is not None,
        )
        for found in FENCE.finditer(text)
    ]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """An empty folder where `./run` is the workspace's own."""
    shim = tmp_path / "run"
    shim.write_text(f'#!/bin/sh\nexec "{ROOT / "run"}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


@pytest.mark.parametrize("document", documents())
def test_every_block_of_a_document_does_what_it_shows(document: str, scratch: Path) -> None:
    for block in blocks(document):
        place = f"{document}:{block.line}"
        if check := CHECKED.get(block.language):
            check(block.text)
        if block.file:
            target = scratch / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language in RUN and not block.excused:
            run_block(block, scratch, place)


def run_block(block: Block, folder: Path, place: str) -> None:
    if block.language == "console":
        for command, expected in commands(block.text):
            shown = run(["sh", "-eu", "-c", command], folder, place)
            assert matches(expected, told(shown)), f"{place}: `{command}` printed\n{told(shown)}"
        return
    program = [sys.executable] if block.language == "python" else ["sh", "-eu"]
    done = run([*program, "-c", block.text], folder, place)
    assert done.returncode == 0, f"{place} ended with {done.returncode}:\n{done.stdout}"


def run(program: list[str], folder: Path, place: str) -> subprocess.CompletedProcess[str]:
    scripts = str(Path(sys.executable).parent)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))},
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "120",
        "PYTHONUNBUFFERED": "1",  # output and errors in the order a terminal shows them
    }
    try:
        return subprocess.run(
            program,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=BLOCK_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{place} did not end in {BLOCK_TIMEOUT_S} s; it printed\n{error.output!r}") from error


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        end = next(index for index, line in enumerate(lines) if not line.endswith("\\"))
        yield "\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]).strip()


def told(done: subprocess.CompletedProcess[str]) -> str:
    suffix = f"\n[exit {done.returncode}]" if done.returncode else ""
    return (done.stdout.rstrip() + suffix).strip()


def matches(expected: str, shown: str) -> bool:
    """A line `...` stands for any lines, `...` in a line for any text."""
    pattern = re.escape(expected).replace(r"\.\.\.", ".*?")
    lines = [line if line == ".*?" else line.replace(".*?", "[^\n]*?") for line in pattern.split("\\\n")]
    return re.fullmatch("\n".join(lines).replace("\n.*?\n", "\n(?:.*?\n)?"), shown, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("expected", "shown", "same"),
    [
        ("a 1.5", "a 1.5", True),
        ("a 1.5", "a 125", False),
        ("a ...", "a 125", True),
        ("a ...", "a 1\n25", False),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a\n...\nz", "a\nz", True),
        ("a\n...", "a\nb\nc", True),
        ("...\nz", "b\nz", True),
    ],
)
def test_dots_stand_for_what_changes(expected: str, shown: str, same: bool) -> None:
    assert matches(expected, shown) is same


@pytest.mark.parametrize("document", GENERATED)
def test_what_is_generated_is_current(document: str) -> None:
    assert (ROOT / document).read_text(encoding="utf-8") == current_text(document), "run ./run docs"


def test_only_fenced_languages_we_know_are_used() -> None:
    known = RUN | set(CHECKED) | {"text", "csv", "mermaid", "jsonl", "yaml", "xml", "sql", "html", "powershell"}
    unknown = [
        (f"{document}:{block.line}", block.language)
        for document in documents()
        for block in blocks(document)
        if block.language not in known
    ]
    assert not unknown, "say `text` where a block is not code"
