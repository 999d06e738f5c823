"""A host as a process, and a partner's skill that misbehaves."""

import os
import socket
import sys
from pathlib import Path

import pytest

SICK = """
import asyncio, threading, time
import anyio.to_thread
from factorylm_skill import Arguments, DomainSkill, Tool
from pydantic import BaseModel

class Nothing(Arguments):
    pass

class Said(BaseModel):
    text: str

async def raises(_, __):
    raise RuntimeError("broken inside")

async def hangs(_, __):
    await asyncio.Event().wait()

async def blocks(_, __):
    await anyio.to_thread.run_sync(threading.Event().wait, 15)

async def leaves(_, __):
    raise SystemExit(7)

async def floods(_, __):
    return Said(text="x" * 10_000_000)

def tools(_):
    return [
        Tool(name=f"sick_{run.__name__}", title="Sick", description="Is sick.", arguments=Nothing, result=Said,
             run=run, timeout_s=1.0)
        for run in (raises, hangs, blocks, leaves, floods)
    ]

SKILL = DomainSkill(name="sick", title="Sick", version="1", instructions="", package="sick", tools=tools)
"""


@pytest.fixture
def partner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a distribution with an entry point, for processes and for this one; gives its folder."""
    site = tmp_path / "site"

    def install(module: str, source: str, *, skill: str = "", distribution: str = "") -> Path:
        package = site / module
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        (package / "SKILL.md").write_text(f"---\nname: {module}\ndescription: Sick.\n---\n")
        info = site / f"{distribution or module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[factorylm.skills]\n{skill or module} = {module}:SKILL\n")
        return site

    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if str(site) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def sick(partner) -> Path:
    return partner("sick", SICK)


@pytest.fixture
def free_port():
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture
def environment() -> dict[str, str]:
    return dict(os.environ)
