import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factorylm_alarms.command import main

START = datetime(2025, 3, 1)  # noqa: DTZ001  a journal's own clock has no zone
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


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The message of a command that fails with exit code 1."""

    def run(*argv: str) -> str:
        assert main(list(argv)) == 1
        return capsys.readouterr().err

    return run
