"""`./run bench`: list, run, and record the figures that README shows."""

import json
import re
import subprocess
import sys
from pathlib import Path

from workspace.environment import PYTHON
from workspace.members import ROOT

FIGURES = ROOT / "bench" / "figures.json"
# What a benchmark prints for each figure it promises: name, figure, bound, verdict; anything may follow.
FIGURE = re.compile(
    r"^(?P<what>\S.*?)\s{2,}(?P<measured>[\d.,]+)\s+(?P<bound>at (?:most|least) [\d.,]+)\s+(?P<verdict>kept|BROKEN)\b"
)


def benchmarks() -> dict[str, Path]:
    """Every benchmark by the name that `./run bench` takes."""
    return {path.stem.replace("_", "-"): path for path in sorted((ROOT / "bench").glob("[a-z]*.py"))}


def listing() -> str:
    """Each benchmark with the first line of its docstring."""
    return "\n".join(f"{name:24} {_first_line(path)}" for name, path in benchmarks().items())


def record(name: str, arguments: list[str]) -> int:
    """Run a benchmark, show what it prints, and keep its figures for README."""
    command = [str(PYTHON), str(benchmarks()[name]), *arguments]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    figures = figures_in(lines)
    if not figures:
        print(f"run: {name} printed no figure with a bound; see bench/README.md", file=sys.stderr)
        return 1
    kept = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    kept[name] = {"command": " ".join(["./run bench", name, *arguments]), "figures": figures}
    FIGURES.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return process.returncode


def figures_in(lines: list[str]) -> list[dict[str, str]]:
    """The figures with a bound among the printed lines."""
    return [found.groupdict() for line in lines if (found := FIGURE.match(line))]


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").removeprefix('"""').splitlines()[0].removesuffix('"""')
