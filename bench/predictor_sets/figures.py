"""One printed line of the benchmark, and the command under test."""

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One printed line. `bound` is "at most 12", "at least 84", or empty for what stands beside a promise."""

    name: str
    value: str
    bound: str = ""
    kept: bool = True

    def __str__(self) -> str:
        verdict = f"   {self.bound:<15} {'kept' if self.kept else 'BROKEN'}" if self.bound else ""
        return f"{self.name:<82} {self.value:>12}{verdict}".rstrip()


Figures = list[Figure]


def figure(name: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> Figure:
    """A figure judged against its bound."""
    if at_most is not None:
        return Figure(name=name, value=shown(value), bound=f"at most {at_most:g}", kept=bool(value <= at_most))
    if at_least is not None:
        return Figure(name=name, value=shown(value), bound=f"at least {at_least:g}", kept=bool(value >= at_least))
    return Figure(name=name, value=shown(value))


def within(name: str, value: float, low: float, high: float) -> Figures:
    """A figure that must be neither too small nor too large."""
    return [figure(name, value, at_least=low), figure(name, value, at_most=high)]


def shown(value: float) -> str:
    """Four digits, never as a power of ten."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def command(*words: str) -> tuple[dict[str, Any], float, float]:
    """Run the command; its JSON, CPU seconds and peak megabytes."""
    code = "import sys; from factorylm_predictor.cli import main; sys.exit(main())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, *words, "--json"], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), cpu, after.ru_maxrss / 1024
