"""The options of `factorylm demo --export`: how long, which seed, which faults when."""

import argparse
import re
import sys
from pathlib import Path

from factorylm_schema import BadRequestError

from factorylm.demo_plant.export import Story, export
from factorylm.demo_plant.faults import FAULTS, PlantFault
from factorylm.printing import print_line

_WHEN = re.compile(r"(?P<name>[a-z_]+)(?:@(?P<begin>[\d.]+)(?:-(?P<end>[\d.]+))?)?")


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """What goes with --export."""
    group = parser.add_argument_group("writing history instead (seeded, with the truth)")
    group.add_argument("--export", type=Path, metavar="DIR", help="write history.csv, alarms.csv and truth.json there")
    group.add_argument("--days", type=float, default=3.0, help="how much history (default 3)")
    group.add_argument("--seed", type=int, default=1, help="equal seeds write equal files (default 1)")
    group.add_argument("--step", type=int, default=10, metavar="S", help="seconds between rows (default 10)")
    group.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[@H[-H]]",
        help=f"a fault from hour H to hour H; one of {', '.join(FAULTS)}",
    )
    group.add_argument("--bearings", type=int, default=0, metavar="N", help="also N pumps run to bearing failure")


def run_export(options: argparse.Namespace) -> None:
    """Write the files, with a progress bar on a terminal."""
    if options.days <= 0 or options.step < 1:
        raise BadRequestError("--days and --step must be positive", hint="For example: --days 3 --step 10")
    story = Story(
        days=options.days,
        seed=options.seed,
        step_s=options.step,
        faults=tuple(fault_of(text) for text in options.fault),
        bearings=options.bearings,
    )
    truth = export(options.export, story, _bar)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    for file in sorted(options.export.iterdir()):
        print_line(f"{file}  {file.stat().st_size:,} bytes")
    print_line(f"{len(truth['faults'])} faults and {len(truth['moves'])} set-point moves stand in truth.json")


def fault_of(text: str) -> PlantFault:
    """`fouling`, `fouling@12`, `chattering_limit@3-5` (hours)."""
    found = _WHEN.fullmatch(text)
    if not found or found["name"] not in FAULTS:
        known = ", ".join(FAULTS)
        raise BadRequestError(f"{text!r} is not NAME[@HOUR[-HOUR]]", hint=f"The faults are {known}")
    begin = float(found["begin"]) if found["begin"] else 0.0
    return PlantFault(name=found["name"], begin_h=begin, end_h=float(found["end"]) if found["end"] else None)


def _bar(share: float) -> None:
    if sys.stderr.isatty():
        done = round(share * 40)
        sys.stderr.write(f"\r[{'#' * done}{' ' * (40 - done)}] {share:4.0%}")
        sys.stderr.flush()
