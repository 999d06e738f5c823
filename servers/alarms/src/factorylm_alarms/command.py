"""`factorylm-alarms`: alone it is the MCP server; with a subcommand it works without an assistant."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from factorylm_schema import BadRequestError, FactoryLMError, UnknownNameError

if TYPE_CHECKING:
    from factorylm_alarms.floods import Flood
    from factorylm_alarms.journal import Journal

DONE, FAILED, WRONG_USAGE = 0, 1, 2
EXAMPLES = """examples:
  factorylm-alarms --data ./journals                       serve an AI assistant (MCP on stdio)
  factorylm-alarms report journal.csv --html report.html   one honest page
  factorylm-alarms simulate journal.csv --alarm FIC101.HI --on 0 --off 30
  factorylm-alarms families journal.csv
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and (given[0] in {"--help", "-h"} or not given[0].startswith("-")):
        return _told(lambda: _run(given))
    from factorylm_alarms.server import serve_alarms

    return serve_alarms(given)


def _told(run: Callable[[], int]) -> int:
    try:
        return run()
    except FactoryLMError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  stderr is the operator's
        return FAILED
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _run(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="factorylm-alarms",
        description="Alarm journals measured by ISA-18.2 and EEMUA 191. Without a subcommand: an MCP server "
        "(factorylm-alarms [--data DIR] [--http HOST:PORT]).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="report|simulate|families|classify|propose")
    _add_report(commands.add_parser("report", help="rates, floods, bad actors, data quality: HTML and JSON"))
    _add_simulate(commands.add_parser("simulate", help="what an on- or off-delay would have done"))
    _add_families(commands.add_parser("families", help="which floods are the same thing again"))
    _add_classify(commands.add_parser("classify", help="name a flood by labelled ones, early"))
    _add_propose(commands.add_parser("propose", help="a mapping file to confirm, for an unknown format"))
    return parser


def _add_reading(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    parser.add_argument("log", nargs="+" if many else None, type=Path, metavar="LOG", help="journal file(s)")
    parser.add_argument("--mapping", type=Path, metavar="FILE", help="a confirmed mapping file (see propose)")
    parser.add_argument("--date-order", choices=["day-first", "month-first"], help="for dates like 03/04/2025")
    parser.add_argument("--keep-duplicates", action="store_true", help="count rows that are equal in every cell")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="F", help="write JSON to this file, or to stdout without a name"
    )


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-alarms report journal.csv --html report.html --json report.json"
    _add_reading(parser, many=True)
    parser.add_argument("--html", type=Path, metavar="F", help="write one self-contained offline page")
    _add_json(parser)
    parser.add_argument("--worksheet", type=Path, metavar="F", help="rationalization worksheet, .csv or .xlsx")
    parser.set_defaults(run=_report)


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-alarms simulate journal.csv --alarm FIC101.HI --on 0 --off 30"
    _add_reading(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--alarm", metavar="NAME", help="one alarm, as `report` names it")
    which.add_argument("--all", action="store_true", help="the same delays for every alarm")
    parser.add_argument("--on", type=float, default=0.0, metavar="S", help="on-delay in seconds (default 0)")
    parser.add_argument("--off", type=float, default=0.0, metavar="S", help="off-delay in seconds (default 0)")
    parser.add_argument("--tie", choices=["clear", "keep"], default="clear", help="a gap equal to the off-delay")
    _add_json(parser)
    parser.set_defaults(run=_simulate)


def _add_families(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-alarms families journal.csv --flood 12 --first 60"
    _add_reading(parser)
    parser.add_argument("--flood", type=int, metavar="N", help="name flood N early, by the floods before it")
    parser.add_argument("--first", type=float, default=120.0, metavar="S", help="by its first S seconds (default 120)")
    _add_json(parser)
    parser.set_defaults(run=_families)


def _add_classify(parser: argparse.ArgumentParser) -> None:
    parser.description = "Names the class of a flood, or says that nothing like it was seen."
    parser.epilog = "example: factorylm-alarms classify --train floods/ --flood new.csv --samples 60"
    parser.add_argument("--train", type=Path, required=True, metavar="DIR", help="one folder of flood CSVs a class")
    parser.add_argument("--flood", type=Path, required=True, metavar="FILE", help="flood CSV: alarms x samples of 0/1")
    parser.add_argument("--samples", type=int, metavar="N", help="look only at the first N samples")
    _add_json(parser)
    parser.set_defaults(run=_classify)


def _add_propose(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-alarms propose journal.csv > mapping.toml"
    parser.add_argument("log", type=Path, metavar="LOG", help="journal file")
    parser.set_defaults(run=_propose)


def _read(options: argparse.Namespace) -> "Journal":
    from factorylm_alarms.files import allowed_path
    from factorylm_alarms.journal import read_journal
    from factorylm_alarms.memory import keep_freed_memory

    keep_freed_memory()
    logs = options.log if isinstance(options.log, list) else [options.log]
    order = getattr(options, "date_order", None)
    bar = ProgressBar(sys.stderr)
    try:
        return read_journal(
            [allowed_path(log, None) for log in logs],
            mapping_file=options.mapping,
            day_first=None if order is None else order == "day-first",
            keep_duplicates=options.keep_duplicates,
            progress=bar.show,
        )
    finally:
        bar.clear()


def _report(options: argparse.Namespace) -> int:
    from factorylm_alarms.analysis import analyse
    from factorylm_alarms.report_data import report_json

    for output in (options.html, options.worksheet, None if options.json in {None, "-"} else Path(options.json)):
        if output is not None:
            check_output(output, options.log)
    journal = _read(options)
    bar = ProgressBar(sys.stderr)
    analysis = analyse(journal, step=bar.say)
    bar.clear()
    if options.json:
        _write_json(options.json, report_json(analysis))
    if options.html:
        from factorylm_alarms.page import report_page

        options.html.write_text(report_page(analysis), encoding="utf-8")
    if options.worksheet:
        from factorylm_alarms.worksheet import write_worksheet

        write_worksheet(analysis, options.worksheet)
    if options.json != "-":
        from factorylm_alarms.summary import summary_text

        print(summary_text(analysis))  # noqa: T201  the answer
    return DONE


def check_output(path: Path, journals: Sequence[Path]) -> None:
    """Before the work, not after it: the file can be written, and is none of the journals."""
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise BadRequestError(f"{path} cannot be written", hint="name a file in a folder that exists")
    if any(path.resolve() == journal.resolve() for journal in journals):
        raise BadRequestError(f"{path} is the journal itself", hint="name another file for the answer")


def _simulate(options: argparse.Namespace) -> int:
    from factorylm_alarms.delays import intervals_of, simulate

    for name in ("on", "off"):
        if not 0 <= getattr(options, name) <= 86_400:
            raise BadRequestError(f"--{name} {getattr(options, name)} is no delay", hint="give 0 to 86400 seconds")
    journal = _read(options)
    alarm = None if options.all else alarm_number(journal, options.alarm)
    effect = simulate(
        intervals_of(journal.activations, alarm),
        on_ms=round(options.on * 1000),
        off_ms=round(options.off * 1000),
        tie=options.tie,
    )
    from factorylm_alarms.summary import effect_text, simulate_json

    found = simulate_json(journal, alarm, effect, on_s=options.on, off_s=options.off, tie=options.tie)
    if options.json:
        _write_json(options.json, found)
    if options.json != "-":
        print(effect_text(found))  # noqa: T201
    return DONE


def alarm_number(journal: "Journal", name: str) -> int:
    """The alarm of this name; the nearest names are told when there is none."""
    names = [alarm.name for alarm in journal.alarms]
    if name not in names:
        raise UnknownNameError("alarm", name, names, hint="take a name from `factorylm-alarms report`")
    return names.index(name)


def _families(options: argparse.Namespace) -> int:
    from factorylm_alarms.families import families_of
    from factorylm_alarms.floods import DEFAULT, find_floods
    from factorylm_alarms.report_data import families_json, flood_json
    from factorylm_alarms.summary import families_text

    journal = _read(options)
    floods = find_floods(journal.activations.start, DEFAULT)
    if options.flood is not None:
        return _name_early(options, journal, floods)
    result = families_of(journal, floods, limit=5000) if floods else None
    found: dict[str, object] = {"floods": 0, "analysed": 0, "families": []}
    if result is not None:
        found = families_json(journal, result)
        found["flood_list"] = [flood_json(journal, flood) for flood in floods]
        found["family_of"] = {
            str(flood + 1): family + 1 for flood, family in zip(result.chosen, result.family_of, strict=True)
        }
    if options.json:
        _write_json(options.json, found)
    if options.json != "-":
        print(families_text(found))  # noqa: T201
    return DONE


def _name_early(options: argparse.Namespace, journal: "Journal", floods: "list[Flood]") -> int:
    from factorylm_alarms.early import name_early
    from factorylm_alarms.report_data import early_json
    from factorylm_alarms.summary import early_text

    if not 1 <= options.flood <= len(floods):
        raise BadRequestError(
            f"there is no flood {options.flood}", hint=f"this journal has {len(floods)}, numbered from 1"
        )
    if not 1 <= options.first <= 86_400:
        raise BadRequestError(f"--first {options.first:g} is no beginning", hint="give 1 to 86400 seconds")
    found = early_json(journal, name_early(journal, floods, options.flood - 1, within_ms=round(options.first * 1000)))
    found["first_s"] = options.first
    if options.json:
        _write_json(options.json, found)
    if options.json != "-":
        print(early_text(found))  # noqa: T201
    return DONE


def _classify(options: argparse.Namespace) -> int:
    from factorylm_alarms.classify import classify_flood, read_flood, read_labelled
    from factorylm_alarms.summary import classify_text

    if options.samples is not None and options.samples < 1:
        raise BadRequestError(f"--samples {options.samples} is too few", hint="give 1 or more")
    answer = classify_flood(read_labelled(options.train), read_flood(options.flood), samples=options.samples)
    if options.json:
        _write_json(options.json, answer)
    if options.json != "-":
        print(classify_text(answer))  # noqa: T201
    return DONE


def _propose(options: argparse.Namespace) -> int:
    from factorylm_alarms.files import allowed_path
    from factorylm_alarms.proposal import proposal_for

    print(proposal_for(allowed_path(options.log, None)))  # noqa: T201
    return DONE


def _write_json(where: str, found: object) -> None:
    text = json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False)
    if where == "-":
        print(text)  # noqa: T201
    else:
        Path(where).write_text(text + "\n", encoding="utf-8")


class ProgressBar:
    """One line on a terminal, nothing anywhere else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream if stream.isatty() else None
        self.shown = -1

    def show(self, done: int, total: int) -> None:
        """How far the reading is; packed files are longer than their size says."""
        percent = min(100, 100 * done // max(1, total))
        if self.stream is not None and percent != self.shown:
            self.shown = percent
            self.stream.write(f"\rreading {'#' * (percent // 4):25s} {percent:3d} %")
            self.stream.flush()

    def say(self, what: str) -> None:
        """What is being done."""
        if self.stream is not None:
            self.stream.write(f"\r\x1b[K{what} …")
            self.stream.flush()

    def clear(self) -> None:
        """Leave the line empty."""
        if self.stream is not None:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
