"""Remaining life, alarms and service decisions on public data, beside a constant, the clock and an oracle.

    ./run bench predictor --data DIR             every figure, in about four minutes
    ./run bench predictor --data DIR --seeds 5   trainings averaged over seeds
    ./run bench predictor --only wear            simulated bearing wear alone: needs no data

Protocol: hyper-parameters were fixed by cross-validation on training units; a test file is read once, for the figures
printed here. Every number comes from public or simulated data.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

# Before numpy: BLAS and OpenMP threads spin against each other on a busy machine
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from predictor_sets.figures import Figures
from predictor_sets.plants import chemical_plant, milling_machine, streaming, water_rig
from predictor_sets.turbofan import cross_validation, decisions, inference, refusals, remaining_life
from predictor_sets.wear import wear

PARTS: dict[str, Callable[[Path, Path], Figures]] = {
    "refusals": refusals,
    "cross_validation": cross_validation,
    "decisions": decisions,
    "skab": water_rig,
    "tep": chemical_plant,
    "ai4i": milling_machine,
    "inference": inference,
}
NEED_NO_DATA = ("streaming", "wear")
ALL = ("remaining_life", *PARTS, *NEED_NO_DATA)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures of the parts asked for; 1 where a bound is broken."""
    options = parser().parse_args(argv)
    wanted = options.only.split(",") if options.only else list(ALL)
    if unknown := sorted(set(wanted) - set(ALL)):
        parser().error(f"unknown parts: {', '.join(unknown)}; they are {', '.join(ALL)}")
    if options.data is None and set(wanted) - set(NEED_NO_DATA):
        if options.only:
            parser().error("--data DIR is needed for these parts")
        wanted = list(NEED_NO_DATA)
        print("without --data DIR only: " + ", ".join(wanted), file=sys.stderr)
    found: Figures = []
    with tempfile.TemporaryDirectory() as folder:
        for part in wanted:
            print(f"… {part}", file=sys.stderr)
            found += measured(part, options, Path(folder))
    show(found, as_json=options.json)
    return int(not all(line.kept for line in found))


def measured(part: str, options: argparse.Namespace, folder: Path) -> Figures:
    """The figures of one part."""
    if part == "remaining_life":
        return remaining_life(options.data, folder, options.seeds)
    if part == "streaming":
        return streaming()
    if part == "wear":
        return wear(options.export or folder / "none", folder)
    return PARTS[part](options.data, folder)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="bench predictor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--data", type=Path, metavar="DIR", help="folder with cmapss, skab, tep, ai4i")
    made.add_argument("--seeds", type=int, default=1, help="trainings averaged on FD001 and FD003; default: 1")
    made.add_argument("--only", metavar="PART,PART", help=f"of: {', '.join(ALL)}")
    made.add_argument("--export", type=Path, metavar="DIR", help="a plant's export for the part wear, instead of pumps")
    made.add_argument("--json", action="store_true")
    return made


def show(found: Figures, *, as_json: bool) -> None:
    """A table for people, or JSON."""
    if as_json:
        print(json.dumps([vars(f) for f in found], indent=2))
        return
    print(*found, sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
