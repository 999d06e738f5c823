"""One printed line of the benchmark, and the command under test."""

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One printed line."""

    name: str
    value: str
    target: str = ""
    reached: bool | None = None


Figures = list[Figure]


def figure(
    name: str, value: float, target: str = "", *, at_most: float | None = None, at_least: float | None = None
) -> Figure:
    """A figure judged against its target."""
    reached = None
    if at_most is not None:
        reached, target = value <= at_most, target or f"<= {at_most:g}"
    if at_least is not None:
        reached, target = value >= at_least, target or f">= {at_least:g}"
    return Figure(name=name, value=f"{value:.4g}", target=target, reached=reached)


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
