"""The command: `factorylm-twin` alone serves an assistant; with a subcommand it works without one."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from factorylm_schema.errors import FactoryLMError

DONE, FAILED = 0, 1
_LONGEST_ERROR = 2000

_EXAMPLES = """examples:
  factorylm-twin fit --data history.csv --inputs speed,valve --outputs flow --time time --out pump.twin
  factorylm-twin simulate --model pump.twin --data today.csv --out predicted.csv
  factorylm-twin whatif --model pump.twin --change speed=+10%

Without a subcommand it is an MCP server on stdio: factorylm-twin --data ./data"""


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Exit code 0: done (a refusal is an answer), 1: it failed, 2: wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] and words[0] in {*_SUBCOMMANDS, "-h", "--help"}:
        return _without_an_assistant(words)
    from factorylm_twin.server import serve

    return serve(words)


def _without_an_assistant(words: list[str]) -> int:
    options = _parser().parse_args(words)
    from factorylm_twin import commands

    run: Callable[[argparse.Namespace], None] = getattr(commands, options.job)
    try:
        run(options)
    except FactoryLMError as error:
        from factorylm_skill.untrusted import told_to_the_model

        shown = told_to_the_model(str(error), _LONGEST_ERROR)  # names from files reach the terminal here
        print(f"error: {shown}", file=sys.stderr)  # noqa: T201 (stderr is the operator's)
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="factorylm-twin",
        description="Learns how a machine answers its inputs; says what a change would do, with a band or a refusal.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jobs = parser.add_subparsers(title="without an assistant", metavar="COMMAND", required=True)
    for name, (add, text) in _SUBCOMMANDS.items():
        job = jobs.add_parser(name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        job.set_defaults(job=name)
        add(job)
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-twin fit --data history.csv --inputs u --outputs y --time t --out plant.twin\n\n"
        "Exit code 0 also when the grade is 'refuse': the reason is printed and kept in the model."
    )
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="history (CSV, CSV.gz)")
    parser.add_argument("--inputs", type=_names, required=True, metavar="A,B", help="columns that are moved")
    parser.add_argument("--outputs", type=_names, required=True, metavar="Y,Z", help="columns that answer")
    parser.add_argument("--time", default="", metavar="COL", help="numbers or timestamps; default: the row number")
    parser.add_argument("--mode", default="", metavar="COL", help="auto or manual, when a controller moves an input")
    parser.add_argument("--setpoint", default="", metavar="COL", help="the controller's set-point")
    parser.add_argument("--template", default="", choices=_TEMPLATES, help="use this grey box and no other model")
    parser.add_argument("--rises", type=_names, default=(), metavar="A", help="inputs that can only raise the outputs")
    parser.add_argument("--falls", type=_names, default=(), metavar="B", help="inputs that can only lower the outputs")
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL", help="where the model goes")
    parser.add_argument("--report", type=Path, metavar="HTML", help="also write an offline page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the model card as JSON ('-': print it)")


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-twin simulate --model plant.twin --data today.csv --out predicted.csv\n\n"
        "Columns written: row (from 0), each output, <output>_lo, <output>_hi (90 % band). The run starts from the\n"
        "first rows whose outputs are given, at most 50 when all are; those rows come back as they are."
    )
    _add_model(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="inputs of all rows, first outputs")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="where the simulation goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary as JSON ('-': print it)")


def _add_whatif(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-twin whatif --model plant.twin --change u=+10% --json answer.json\n\n"
        "u=+10% and u=-0.5 move it from where it is, u=7 sets it (u==-7 for a negative value), u=7@600 sets it 600\n"
        "time units later; the changes together are a schedule."
    )
    _add_model(parser)
    parser.add_argument("--change", action="append", required=True, metavar="A=+10%%", help="repeat for several inputs")
    parser.add_argument("--from", dest="past", type=Path, metavar="CSV", help="start from its last rows, not the fit's")
    parser.add_argument(
        "--limit", action="append", default=[], type=_limit, metavar="Y=LOW:HIGH", help="say when it is crossed"
    )
    parser.add_argument("--over", type=float, default=0.0, metavar="TIME", help="also totals over it (power: energy)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the answer as JSON ('-': print it)")
    parser.add_argument("--report", type=Path, metavar="HTML", help="also write an offline page")


def _add_best(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-twin best --model plant.twin --output power --aim min --limit flow=40:\n\n"
        "Limits of outputs are kept with their band; no place outside what was seen is proposed."
    )
    _add_model(parser)
    parser.add_argument("--output", required=True, metavar="Y", help="what should be best")
    parser.add_argument(
        "--aim", type=_aim, required=True, metavar="max|min|NUMBER", help="the most, the least, or this"
    )
    parser.add_argument("--inputs", type=_names, default=(), metavar="A,B", help="what may be moved; default: all")
    parser.add_argument("--limit", action="append", default=[], type=_limit, metavar="Y=LOW:HIGH", help="keep it")
    parser.add_argument("--from", dest="past", type=Path, metavar="CSV", help="start from its last rows, not the fit's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the answer as JSON ('-': print it)")


def _add_refit(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-twin refit --model plant.twin --data this_week.csv\n\n"
        "Both twins run free over the newest quarter of the rows; the old one stays unless the new one is better by a\n"
        "tenth in every output."
    )
    _add_model(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="newer history with the same columns")
    parser.add_argument("--template", default="", choices=_TEMPLATES, help="use this grey box and no other model")
    parser.add_argument(
        "--out", type=Path, metavar="MODEL", help="where a better model goes; default: in the old one's place"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the comparison as JSON ('-': print it)")


def _add_watch(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-twin watch --model plant.twin --data history.csv --every 60\n\n"
        "Reads the growing file again, runs the twin beside its newest rows, and prints a line whenever an output\n"
        "departs from its twin or comes back."
    )
    _add_model(parser)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="CSV", help="history that a collector goes on writing"
    )
    parser.add_argument(
        "--rows", type=int, default=600, metavar="N", help="newest rows to look at; default: %(default)s"
    )
    parser.add_argument(
        "--every", type=float, default=60.0, metavar="S", help="seconds between looks; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help="end after so many looks; default: never")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL", help="a model that fit wrote")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} names no column, or one twice")
    return names


def _aim(text: str) -> str | float:
    if text in {"max", "min"}:
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of max, min or a number") from None


def _limit(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.rpartition("=")
    low, colon, high = ends.partition(":")
    try:
        limits = (float(low or "-inf"), float(high or "inf"))
    except ValueError:
        colon = ""
        limits = (0.0, 0.0)
    if not name or not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not written as Y=LOW:HIGH")
    return name, limits


_TEMPLATES = ("tanks", "pump", "fan", "exchanger", "motor", "conveyor")
_SUBCOMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "fit": (_add_fit, "learn a twin from history, and grade it by its free run"),
    "simulate": (_add_simulate, "run the twin free over given inputs"),
    "whatif": (_add_whatif, "what a change of inputs, or a schedule of them, would do"),
    "best": (_add_best, "which place of the inputs is best, inside limits and what was seen"),
    "watch": (_add_watch, "run the twin beside its plant, on a history that grows"),
    "refit": (_add_refit, "learn again, and replace the twin only by a better one"),
}
