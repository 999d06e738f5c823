"""Lighthouse, the browser makers' own judge, on the console of a real host."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"


@pytest.fixture
def lighthouse():
    if CHROMIUM is None and os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail("this run must have Chromium, and there is none")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    cache = Path(__file__).parents[2] / ".cache" / "npm"
    program = next(cache.glob("*/node_modules/lighthouse/cli/index.js"), None)
    if program is None:
        pytest.fail("Lighthouse is not there; ./run test fetches it (npm/package.json)")
    return [str(next(program.parents[2].glob("node-*/bin/node*"))), str(program)]


def judged(lighthouse: list[str], url: str, report: Path) -> tuple[dict[str, int], list[str]]:
    """The score of each category, and the audits that cost points."""
    judge = [*lighthouse, url, "--output=json", f"--output-path={report}", "--quiet", f"--chrome-flags={FLAGS}"]
    # provided: the machine as it is; a simulated slow network would judge the simulation
    judge += ["--throttling-method=provided", "--no-enable-error-reporting"]
    done = subprocess.run(
        judge, env={**os.environ, "CHROME_PATH": str(CHROMIUM)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    faults = [key for key, audit in found["audits"].items() if audit["score"] is not None and audit["score"] < 0.9]
    return {name: round(part["score"] * 100) for name, part in found["categories"].items()}, faults


def test_the_console_has_at_least_95_of_100_in_every_category(lighthouse, free_port, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "factorylm", "serve", "modbus", "--simulate", "--console", f"127.0.0.1:{port}"]
    host = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert host.stderr
        assert "console: " in host.stderr.readline()
        # performance is measured in seconds, and a busy machine may spoil a run: the best of three counts
        for _ in range(3):
            scores, faults = judged(lighthouse, f"http://127.0.0.1:{port}/", tmp_path / "report.json")
            if scores["performance"] >= 95:
                break
    finally:
        host.communicate()
    lowest = min(scores[name] for name in ("performance", "accessibility", "best-practices", "seo"))
    assert lowest >= 95, (scores, faults)
