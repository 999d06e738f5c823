"""One promised figure a line, and what a process of its own has used."""

import os
import resource
import sys
from pathlib import Path

EDGE = str(Path(__file__).parent.parent / "edge.py")
SEED = 20260101
BEGIN_US = 1_767_225_600_000_000


def figure(what: str, measured: float, kind: str, bound: float) -> bool:
    """Print it; True where the bound is kept."""
    kept = measured <= bound if kind == "most" else measured >= bound
    print(f"{what:66}  {measured:10.2f}   at {kind} {bound:g}   {'kept' if kept else 'BROKEN'}", flush=True)
    return kept


def process(name: str, *arguments: str) -> list[str]:
    """The command of a process that a part starts."""
    return [sys.executable, EDGE, "--as", name, *arguments]


def peak_mb(pid: int | None = None) -> float:
    """Most memory that was resident. VmHWM, because ru_maxrss begins with that of the process which forked (Linux)."""
    status = Path(f"/proc/{pid or os.getpid()}/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
