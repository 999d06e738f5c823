"""What a program costs that is started and asked as a client does: CPU until its first answer, resident memory."""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


def first_answer(*arguments: str | Path) -> None:
    """Start `python ARGUMENTS`, get the answer to initialize, end."""
    line = json.dumps(INITIALIZE) + "\n"
    done = subprocess.run([sys.executable, *arguments], input=line, capture_output=True, text=True, check=True)
    assert '"serverInfo"' in done.stdout, done.stderr


def children_cpu(run: Callable[[], object]) -> float:
    """CPU seconds of the child processes that `run` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interleaved(rounds: int, *runs: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each, measured in turns so that a busy machine troubles all alike."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, seconds in zip(runs, taken, strict=True):
            seconds.append(children_cpu(run))
    return [statistics.median(seconds) for seconds in taken]


def largest_child_mb(word: bytes = b"") -> float:
    """Resident MB of the largest process below this one, `word` in its command line."""
    return max(_resident_mb(pid) for pid in _below(os.getpid()) if word in Path(f"/proc/{pid}/cmdline").read_bytes())


def _below(pid: int) -> Sequence[int]:
    """Children of all threads of the process, and theirs in turn."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    direct = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return [*direct, *(further for child in direct for further in _below(child))]


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
