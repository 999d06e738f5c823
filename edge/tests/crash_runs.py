"""Kills a writing gateway at seeded moments and looks at what is left: crash_runs.py FOLDER RUNS SEED.

Prints one JSON object: how many runs, batches acknowledged and found, and every fault. One process that forks, since
fifty fresh interpreters would take a minute.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from factorylm_edge.history import Retention
from factorylm_edge.outbox import OutboxTable
from factorylm_edge.rescue import open_history
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import Outbox

TAGS = 8
BEGIN_US = 1_767_225_600 * SECOND


def write_until_killed(folder: Path, first: int, told: int) -> None:
    history = open_history(folder)
    history.forwarded = True
    for number in range(first, first + 10_000):
        time_us = BEGIN_US + number * SECOND
        history.append([Sample(f"d.t{at}", time_us, number * 1.5) for at in range(TAGS)])
        os.write(told, number.to_bytes(4, "big"))
        if number % 3 == 0:
            history.compact(everything=True)
        if number % 7 == 0:
            history.retain(Retention(), time_us)


def one_run(folder: Path, first: int, rng: random.Random) -> int:
    """Returns the number of the last batch that was acknowledged."""
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        try:
            write_until_killed(folder, first, told)
        finally:
            os._exit(1)
    os.close(told)
    acknowledged = first - 1
    for _ in range(rng.randint(0, 12)):
        acknowledged = int.from_bytes(os.read(heard, 4), "big")
    until = time.monotonic() + rng.uniform(0, 0.006)
    while time.monotonic() < until:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(heard, 4):
        acknowledged = int.from_bytes(more, "big")
    os.close(heard)
    return acknowledged


def faults_after(folder: Path, acknowledged: int) -> tuple[int, list[str]]:
    """The last batch that is there, and what is wrong: lost, doubled or torn batches, in the history or the outbox."""
    history = open_history(folder)
    faults = [f"set aside: {path.name}" for path in folder.glob("*.damaged-*")]
    columns = []
    for at in range(TAGS):
        samples = history.read(f"d.t{at}", BEGIN_US, BEGIN_US * 2).samples
        columns.append([(sample.time_us - BEGIN_US) // SECOND for sample in samples])
        faults += [f"wrong value at {s}" for s in samples if s.value != (s.time_us - BEGIN_US) // SECOND * 1.5]
    last = columns[0][-1] if columns[0] else -1
    if any(column != list(range(last + 1)) for column in columns):
        faults.append(f"lost, doubled or torn: {columns}")
    if last < acknowledged:
        faults.append(f"acknowledged {acknowledged}, found {last}")
    outbox = OutboxTable(history, Outbox())
    waiting = [samples[0].time_us for _, samples in outbox.next("nobody", 1 << 30)]
    if waiting != [BEGIN_US + number * SECOND for number in range(last + 1)]:
        faults.append(f"the outbox differs: {len(waiting)} of {last + 1}")
    history.close()
    return last, faults


def main(folder: Path, runs: int, seed: int) -> None:
    rng = random.Random(seed)
    history = open_history(folder)
    OutboxTable(history, Outbox()).begin(["nobody"])
    history.close()
    last, faults, acknowledged = -1, [], -1
    for _ in range(runs):
        acknowledged = one_run(folder, last + 1, rng)
        last, found = faults_after(folder, acknowledged)
        faults += found
    print(json.dumps({"runs": runs, "acknowledged": acknowledged + 1, "found": last + 1, "faults": faults}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
