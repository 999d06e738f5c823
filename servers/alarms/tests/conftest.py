import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from factorylm_alarms.command import main

START = datetime(2025, 3, 1)  # noqa: DTZ001  a journal's own clock has no zone
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
Event = tuple[float, str, str]
WriteLog = Callable[..., Path]
Report = Callable[..., dict[str, Any]]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def write_log(tmp_path: Path) -> WriteLog:
    """A journal from (seconds after START, source, event): `write_log([(0, "T1", "ACT")])`."""

    def write(events: Iterable[Event], name: str = "log.csv") -> Path:
        lines = ["timestamp,source,condition,event"]
        for second, source, event in events:
            stamp = START + timedelta(seconds=second)
            lines.append(f"{stamp:%Y-%m-%d %H:%M:%S}.{stamp.microsecond // 1000:03d},{source},HI,{event}")
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Report:
    """What `factorylm-alarms report` says of files, as JSON."""

    def run(*logs: Path, options: Sequence[str] = ()) -> dict[str, Any]:
        out = tmp_path / "report.json"
        assert main(["report", *map(str, logs), "--json", str(out), *options]) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found

    return run


@pytest.fixture(scope="session")
def needed() -> Callable[[str], ModuleType]:
    """A module this test cannot do without: skipped without it, failed where everything must be there."""

    def load(name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            missing(f"{name} is not installed")

    return load


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of this machine."""
    found = next((path for path in map(shutil.which, CHROMIUM) if path), None)
    return found or missing("no Chromium on this machine; on Debian: apt-get install chromium")


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker, as a script for a page."""
    npm = Path(__file__).parents[3] / ".cache" / "npm"
    found = next(npm.glob("*/node_modules/axe-core/axe.min.js"), None)
    return (found or missing("axe-core is not there; ./run test fetches it (npm/package.json)")).read_text()


def missing(what: str) -> NoReturn:
    if os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail(f"this run must have everything: {what}")
    pytest.skip(what)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The message of a command that fails with exit code 1."""

    def run(*argv: str) -> str:
        assert main(list(argv)) == 1
        return capsys.readouterr().err

    return run
