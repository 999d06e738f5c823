"""Lighthouse, the browser makers' own judge, from the pinned npm packages."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from workspace.members import ROOT

_FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"


@dataclass(frozen=True)
class Scores:
    """Of 100 in each category, and the audits that cost points."""

    categories: dict[str, int]
    faults: list[str]

    @property
    def lowest(self) -> int:
        """Of the four that a page is judged by."""
        return min(self.categories[name] for name in ("performance", "accessibility", "best-practices", "seo"))


class LighthouseError(Exception):
    """A run that told nothing about the page."""


def best_of_three(url: str, chromium: str, report: Path) -> Scores:
    """Performance is measured in seconds, and a busy machine may spoil a run or break it: the best of three counts."""
    broken = LighthouseError("Lighthouse did not run")
    best: Scores | None = None
    for _ in range(3):
        try:
            scores = _scores(url, chromium, report)
        except LighthouseError as error:
            broken = error
            continue
        if best is None or scores.categories["performance"] > best.categories["performance"]:
            best = scores
        if best.categories["performance"] >= 95:
            break
    if best is None:
        raise broken
    return best


def _scores(url: str, chromium: str, report: Path) -> Scores:
    judge = [*_program(), url, "--output=json", f"--output-path={report}", "--quiet", f"--chrome-flags={_FLAGS}"]
    # provided: the machine as it is; a simulated slow network would judge the simulation
    judge += ["--throttling-method=provided", "--no-enable-error-reporting"]
    environment = {**os.environ, "CHROME_PATH": chromium}
    done = subprocess.run(judge, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LighthouseError(f"Lighthouse failed:\n{done.stderr}")
    found = json.loads(report.read_text(encoding="utf-8"))
    faults = [key for key, audit in found["audits"].items() if audit["score"] is not None and audit["score"] < 0.9]
    return Scores({name: round(part["score"] * 100) for name, part in found["categories"].items()}, faults)


def _program() -> list[str]:
    program = next((ROOT / ".cache" / "npm").glob("*/node_modules/lighthouse/cli/index.js"), None)
    if program is None:
        raise RuntimeError("Lighthouse is not there; ./run test fetches it (npm/package.json)")
    return [str(next(program.parents[2].glob("node-*/bin/node*"))), str(program)]
