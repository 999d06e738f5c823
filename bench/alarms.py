"""The alarm analyzer measured: speed against DuckDB, delays against a replay, families and classes against labels.

Each line is a ratio or a count against a peer or a truth in the same run, with the command that repeats it.
The labelled floods (`--data DIR`, with `alma_afc/tep.tar.gz` and `alma_afc/fcc.tar.gz`: one CSV of 0 and 1 a flood in
one folder a class) are those of the ALMA-AFC benchmark of G. Manca and others; without them those parts are left out.
"""

import argparse
import io
import multiprocessing
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from factorylm_alarms.floods import Flood
from factorylm_alarms.journal import Journal

SCAN = """
import duckdb, sys
db = duckdb.connect()
log = sys.argv[1].replace("'", "''")
columns = [row[0] for row in db.execute(f"DESCRIBE SELECT * FROM read_csv('{log}')").fetchall()]
db.execute("SELECT " + ", ".join(f'max("{c}")' for c in columns) + f" FROM read_csv('{log}')").fetchall()
"""
YEAR_ROWS = 10_000_000
REPORT = "import sys; from factorylm_alarms.command import main; sys.exit(main(sys.argv[1:]))"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bench alarms", description=__doc__, epilog="example: ./run bench alarms speed --events 1000000"
    )
    parser.add_argument("part", nargs="?", choices=sorted(PARTS), help="one part only (default: all)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the labelled floods")
    parser.add_argument("--events", type=int, default=10_000_000, help="rows of the generated journal")
    parser.add_argument("--log", type=Path, help="a journal to measure instead of a generated one")
    parser.add_argument("--rounds", type=int, default=3, help="measure this often, take the best of each side")
    parser.add_argument("--cases", type=int, default=10_000, help="random cases of the delay replay")
    options = parser.parse_args(argv)
    kept = [PARTS[name](options) for name in ([options.part] if options.part else PARTS)]
    return int(not all(kept))


def line(what: str, measured: float, word: str, bound: float, beside: str = "") -> bool:
    """Print one promised figure and what stands beside it."""
    kept = measured >= bound if word == "at least" else measured <= bound
    verdict = f"{word} {bound:<6g} {'kept' if kept else 'BROKEN':7} {beside}"
    print(f"{what:62} {measured:8.3f}   {verdict}".rstrip(), flush=True)
    return kept


def speed(options: argparse.Namespace) -> bool:
    """CPU time and memory of the whole report against DuckDB reading every column."""
    with tempfile.TemporaryDirectory() as folder:
        log = options.log or journal_by_another_process(Path(folder) / "journal.csv", options.events)
        page, data = Path(folder) / "report.html", Path(folder) / "report.json"
        report, scan = [], []
        for _ in range(options.rounds):
            scan.append(measured([sys.executable, "-c", SCAN, str(log)]))
            wanted = ["report", str(log), "--html", str(page), "--json", str(data)]
            report.append(measured([sys.executable, "-c", REPORT, *wanted]))
        (scan_s, scan_mb), (report_s, report_mb) = min(scan), min(report)
        sizes = f"journal {log.stat().st_size / 1e6:.0f} MB, page {page.stat().st_size / 1e3:.0f} kB"
        print(f"  {sizes}, memory of DuckDB {scan_mb:.0f} MB")
        beside = f"CPU {report_s:.1f} s / {scan_s:.1f} s"
        return all(
            [
                line("whole report / DuckDB scanning all columns", report_s / scan_s, "at most", 2, beside),
                line("its peak memory, GB", report_mb / 1000, "at most", 1.5),
            ]
        )


def measured(command: list[str]) -> tuple[float, float]:
    """(CPU seconds, peak MB) of a process of its own."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[2][:40]} … failed with {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def journal_by_another_process(path: Path, events: int) -> Path:
    """A process begins with its parent's memory as its own peak (Linux), so the one that measures stays small."""
    writing = multiprocessing.get_context("spawn").Process(target=write_journal, args=(path, events))
    writing.start()
    writing.join()
    if writing.exitcode:
        raise SystemExit("the journal could not be written")
    return path


def write_journal(path: Path, events: int) -> Path:
    """Years of a plant, 10 million rows each: 2,000 alarms, a third of the activations in floods, 2 % of returns lost.

    Written a year at a time, so that a journal of any length needs the memory of one.
    """
    priority = ["LOW", "HIGH", "LOW", "LOW", "CRITICAL"]
    tails = [
        f",FIC{a // 4:04d},{'HI LO HIHI LOLO'.split()[a % 4]},{event},{priority[a % 5]},UNIT-{a % 4 + 1},"
        f"FIC{a // 4:04d} PROCESS DEVIATION ALARM\n"
        for a in range(2000)
        for event in ("ACT", "RTN", "ACK")
    ]
    begins_ms = 20_089 * 86_400_000
    with path.open("w", encoding="utf-8") as file:
        file.write("ts,source,condition,event,priority,area,message\n")
        for year, first in enumerate(range(0, events, YEAR_ROWS), start=1):
            when_ms, keys = year_of_rows(year, min(YEAR_ROWS, events - first))
            when_ms += begins_ms
            begins_ms = int(when_ms[-1])
            for at in range(0, len(keys), 200_000):
                part = slice(at, at + 200_000)
                stamps = np.datetime_as_string(when_ms[part].astype("datetime64[ms]"), unit="ms")
                file.writelines(
                    stamp.replace("T", " ") + tails[key]
                    for stamp, key in zip(stamps.tolist(), keys[part].tolist(), strict=True)
                )
    return path


def year_of_rows(seed: int, events: int) -> tuple[np.ndarray, np.ndarray]:
    """(milliseconds since the year began, 3 x alarm + what happened) of each row, in order of time."""
    rng = np.random.default_rng(seed)
    count = events * 34 // 100
    alarm = np.minimum(rng.zipf(1.3, count), 2000) - 1
    begin = np.sort(rng.uniform(0, 31_536_000 * events / YEAR_ROWS, count))
    flood = rng.random(count) < 0.35
    begin[flood] = rng.choice(begin, max(1, count // 2000))[rng.integers(0, max(1, count // 2000), flood.sum())]
    begin[flood] += rng.exponential(900, flood.sum())
    lasts, acks = rng.lognormal(4, 2, count), rng.exponential(120, count)
    kept = rng.random(count) > 0.02
    when = np.concatenate((begin, (begin + lasts)[kept], begin + acks))
    who = np.concatenate((alarm, alarm[kept], alarm))
    what = np.repeat([0, 1, 2], [count, int(kept.sum()), count])
    order = np.argsort(when, kind="stable")[:events]
    return (when[order] * 1000).astype(np.int64), (who * 3 + what)[order]


def delays(options: argparse.Namespace) -> bool:
    """The simulation of on- and off-delays against a sampled signal behind two timers."""
    from factorylm_alarms.delays import FOREVER, Intervals, simulate

    rng, differ = random.Random(5), 0
    for _ in range(options.cases):
        edges = [0]
        for _ in range(2 * rng.randint(1, 9)):
            edges.append(edges[-1] + rng.randint(1, 12))
        spans, on, off = list(zip(edges[::2], edges[1::2], strict=False)), rng.randint(0, 10), rng.randint(0, 10)
        start, end = (np.array(side, np.int64) for side in zip(*spans, strict=True))
        gap = np.concatenate(([FOREVER], start[1:] - end[:-1]))
        intervals = Intervals(
            alarm=np.zeros(len(spans), np.int32),
            start=start,
            duration=end - start,
            gap=gap,
            closed=np.ones(len(spans), bool),
            order=np.arange(len(spans)),
        )
        differ += simulate(intervals, on_ms=on, off_ms=off).after != replayed(spans, on, off)
    return line(f"delays: differences from a replay, {options.cases} random cases", differ, "at most", 0)


def replayed(spans: list[tuple[int, int]], on: int, off: int) -> int:
    """Annunciations of a signal sampled once a second."""
    active = np.zeros(spans[-1][1] + on + off + 2, bool)
    for begin, end in spans:
        active[begin:end] = True
    shown, active_for, normal_for, count = False, 0, 0, 0
    for now in active.tolist():
        active_for, normal_for = (active_for + 1, 0) if now else (0, normal_for + 1)
        if shown and not now and normal_for >= off:
            shown = False
        if not shown and now and active_for >= max(on, 1):
            shown, count = True, count + 1
    return count


def families(options: argparse.Namespace) -> bool:
    """Families: time for 1,000 floods of 100 alarms, losses of the bound, agreement with the labels."""
    from factorylm_alarms.alignment import sequence_of, similar_pairs, similarities
    from factorylm_alarms.communities import group_by_neighbours
    from factorylm_alarms.families import distances, families_of, related

    journal, floods = many_floods(1000, 100)
    before = time.process_time()
    found = families_of(journal, floods, limit=1000)
    spent = time.process_time() - before
    kept = [line("families of 1,000 floods x 100 alarms, CPU s", spent, "at most", 2, f"{len(found.families)} of 20")]
    part = [
        sequence_of(journal.activations.alarm[f.first : f.last], journal.activations.start[f.first : f.last])
        for f in floods
    ]
    alarms = len(journal.alarms)
    before = time.process_time()
    alike = similar_pairs(part, alarms, 0.5)
    fast = time.process_time() - before
    before = time.process_time()
    exact = sum(int((similarities(part[i], part[i + 1 :], alarms) >= 0.5).sum()) for i in range(300))
    slow = time.process_time() - before
    bounded = sum(first < 300 for first, *_ in alike)
    beside = f"{exact} pairs of 300 floods with later ones; CPU {fast:.1f} s for all, {slow:.1f} s without the bound"
    kept.append(line("pairs of similarity 0.5 lost by the bound", exact - bounded, "at most", 0, beside))
    for name in labelled_names(options.data):
        labels, matrices = labelled(options.data, name)
        active = np.stack(matrices).astype(np.float32)
        shares = np.concatenate([piece.mean(axis=1) for piece in np.array_split(active, 10, axis=1)], axis=1)
        groups = group_by_neighbours(distances(shares), related(active.any(axis=1)))
        agreement = adjusted_rand(labels, groups)
        beside = f"{len(labels)} floods, {groups.max() + 1} families, {len(set(labels))} classes"
        target = {"tep": 0.65, "fcc": 0.75}[name]
        kept.append(line(f"families of {name}: adjusted Rand index", agreement, "at least", target, beside))
    return all(kept)


def many_floods(count: int, length: int) -> tuple[Journal, list[Flood]]:
    """A journal of floods that follow 20 scripts, with swaps, gaps and strangers."""
    from factorylm_alarms.floods import find_floods
    from factorylm_alarms.journal import read_journal

    rng = random.Random(2)
    scripts = [rng.sample(range(400), length) for _ in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "floods.csv"
        lines = ["time,source,event\n"]
        for number in range(count):
            script = [a if rng.random() > 0.15 else rng.randrange(400) for a in scripts[number % 20]]
            at = 1_740_787_200 + number * 7200
            for alarm in script:
                at += rng.uniform(0.5, 8)
                lines.append(f"{np.datetime64(int(at * 1000), 'ms')},T{alarm},ACT\n")
        path.write_text("".join(lines))
        journal = read_journal([path])
    return journal, find_floods(journal.activations.start, "sliding>=10")


def classes(options: argparse.Namespace) -> bool:
    """Naming floods early and telling unseen classes. No setting is chosen here; none reads a flood it is judged on."""
    kept = []
    for name, samples, accuracy in (("tep", 60, 0.95), ("fcc", 12, 0.98), ("tep", 300, None), ("fcc", 60, None)):
        if name not in labelled_names(options.data):
            continue
        labels, matrices = labelled(options.data, name)
        features = features_seen(matrices, samples)
        drawn = [named_right(features, labels, draw) for draw in range(FOLD_DRAWS)]
        areas = unseen_areas(features, labels)
        worst = min(areas, key=lambda left_out: areas[left_out])
        beside = f"{min(drawn):.3f} to {max(drawn):.3f} over {FOLD_DRAWS} draws of 5 folds"
        figures = (
            f"{name}, {samples} samples",
            float(np.mean(drawn)),
            float(np.mean(list(areas.values()))),
            areas[worst],
        )
        if accuracy is None:
            print("  {}: named right {:.3f}, unseen classes AUROC {:.3f}, worst {:.3f}".format(*figures))
            continue
        kept += [
            line(f"{figures[0]}: share named right", figures[1], "at least", accuracy, beside),
            line(f"{figures[0]}: unseen classes, mean AUROC", figures[2], "at least", 0.90),
            line(f"{figures[0]}: unseen classes, worst AUROC", figures[3], "at least", 0.70, worst),
        ]
    return all(kept)


FOLD_DRAWS = 3


def features_seen(matrices: list[np.ndarray], samples: int) -> np.ndarray:
    """What the first samples of each flood show."""
    from factorylm_alarms.classify import features_of

    features = features_of([matrix[:samples] for matrix in matrices])
    return features[:, features.std(axis=0) > 0]


def named_right(features: np.ndarray, labels: np.ndarray, draw: int) -> float:
    """Share of floods named right by models that have not seen them."""
    from factorylm_alarms.classify import fit, judge

    fold, right = np.random.default_rng(draw).permutation(len(labels)) % 5, 0
    for part in range(5):
        model = fit(features[fold != part], labels[fold != part])
        chance, _ = judge(model, features[fold == part])
        right += int((np.array(model.names)[chance.argmax(axis=1)] == labels[fold == part]).sum())
    return right / len(labels)


def unseen_areas(features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """For each class left out: how well novelty tells its floods from floods of known classes held out as well."""
    from factorylm_alarms.classify import fit, judge

    fold, areas = np.random.default_rng(0).permutation(len(labels)) % 5, {}
    for left_out in sorted(set(labels)):
        known = (labels != left_out) & (fold != 0)
        asked = (labels == left_out) | (fold == 0)
        _, novelty = judge(fit(features[known], labels[known]), features[asked])
        areas[str(left_out)] = area_under_curve(novelty, labels[asked] == left_out)
    return areas


def labelled_names(data: Path | None) -> list[str]:
    """Which labelled sets are there."""
    found = [name for name in ("tep", "fcc") if data and (data / "alma_afc" / f"{name}.tar.gz").is_file()]
    if not found:
        print("labelled floods: left out, give --data DIR")
    return found


def labelled(data: Path, name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    labels, matrices = [], []
    with tarfile.open(data / "alma_afc" / f"{name}.tar.gz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".csv"):
                raw = archive.extractfile(member)
                assert raw is not None
                cells = np.loadtxt(io.BytesIO(raw.read()), delimiter=",", skiprows=1, dtype=np.uint8)
                matrices.append(cells)
                labels.append(member.name.split("/")[1])
    return np.array(labels), matrices


def adjusted_rand(one: np.ndarray, other: np.ndarray) -> float:
    """Hubert and Arabie 1985."""
    table = np.unique(np.stack((np.unique(one, return_inverse=True)[1], other)), axis=1, return_counts=True)[1]
    pairs = lambda counts: float((counts * (counts - 1) / 2).sum())  # noqa: E731
    a, b = (pairs(np.unique(side, return_counts=True)[1]) for side in (one, other))
    expected = a * b / pairs(np.array([len(one)]))
    return (pairs(table) - expected) / ((a + b) / 2 - expected)


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of (positive, negative) pairs in the right order, ties counted half."""
    above = (scores[positive][:, None] > scores[~positive]).mean()
    return float(above + (scores[positive][:, None] == scores[~positive]).mean() / 2)


PARTS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "speed": speed,
    "delays": delays,
    "families": families,
    "classes": classes,
}

if __name__ == "__main__":
    sys.exit(main())
