"""The command: `factorylm-predictor` alone serves an assistant; with a subcommand it works without one."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from factorylm_schema.errors import FactoryLMError

from factorylm_predictor import commands
from factorylm_predictor.anomaly import METHODS

DONE, FAILED = 0, 1
_LONGEST_ERROR = 2000
Command = Callable[[argparse.Namespace], None]

_EXAMPLES = """examples:
  factorylm-predictor fit --data runs.csv --unit pump --time hours --out pumps.model
  factorylm-predictor predict --model pumps.model --data today.csv --out predictions.csv
  factorylm-predictor detect --baseline healthy.csv --data today.csv --out flags.csv
  factorylm-predictor window --lives lives.csv --costs costs.toml

Without a subcommand it is an MCP server on stdio: factorylm-predictor --data ./data"""


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Exit code 0: done, 1: it failed, 2: wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] and words[0] in {*_SUBCOMMANDS, "-h", "--help"}:
        return _without_an_assistant(words)
    from factorylm_predictor.server import serve

    return serve(words)


def _without_an_assistant(words: list[str]) -> int:
    options = _parser().parse_args(words)
    run: Command = options.run
    try:
        run(options)
    except FactoryLMError as error:
        from factorylm_skill.untrusted import told_to_the_model  # brings mcp, which no good answer needs

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
        prog="factorylm-predictor",
        description="Remaining life as an interval with its evidence, or a refusal that says what is missing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jobs = parser.add_subparsers(title="without an assistant", metavar="COMMAND", required=True)
    for name, (add, run, text) in _SUBCOMMANDS.items():
        job = jobs.add_parser(name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        job.set_defaults(run=run)
        add(job)
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-predictor fit --data runs.csv --unit pump --time hours --settings load,speed"
    _add_file(parser, "--data", "histories, each unit until its failure (CSV, CSV.gz or Parquet)")
    parser.add_argument("--unit", required=True, metavar="COL", help="column that names the machine")
    parser.add_argument("--time", required=True, metavar="COL", help="column that tells its time, in any unit")
    parser.add_argument("--settings", type=_names, default=(), metavar="A,B", help="columns that say how it is run")
    parser.add_argument("--censored", type=Path, metavar="FILE", help="histories of units that are still alive")
    parser.add_argument(
        "--out", type=Path, default=Path("predictor.model"), metavar="MODEL", help="default: %(default)s"
    )
    parser.add_argument(
        "--cap", type=_positive, metavar="TIME", help="longest life told (default: from the shortest life)"
    )
    parser.add_argument("--coverage", type=_share, default=0.9, metavar="P", help="of the interval; default: 0.9")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--replace", action="store_true", help="replace the model in --out even by a worse one")
    _add_json(parser)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-predictor predict --model pumps.model --data today.csv --out predictions.csv\n\n"
        "Columns written: unit,rul,lo,hi,refused,reason in the time column's unit (hours for timestamps).\n"
        "A life beyond the model's horizon is told as the horizon, and the reason says 'more than'."
    )
    _add_file(parser, "--model", "a model that fit wrote")
    _add_file(parser, "--data", "histories up to today, with the columns the model was trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="where the predictions go")
    parser.add_argument("--unit", metavar="COL", help="default: as in training")
    parser.add_argument("--time", metavar="COL", help="default: as in training")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write an offline HTML report per unit there")
    _add_json(parser)


def _add_detect(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-predictor detect --baseline healthy.csv --data today.csv --out flags.csv\n\n"
        "Columns written: time,score,flag,top_tags. A score above 1 is an alarm."
    )
    _add_file(parser, "--baseline", "rows of a healthy machine in time order")
    _add_file(parser, "--data", "rows to judge, in time order")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="where the flags go")
    parser.add_argument("--time", metavar="COL", help="default: a timestamp column, else the row number")
    parser.add_argument("--settings", type=_names, default=(), metavar="A,B", help="columns that say how it is run")
    parser.add_argument("--tags", type=_names, default=(), metavar="A,B", help="judge these alone; default: all")
    parser.add_argument("--method", choices=METHODS, default="auto", help="default: auto (tag charts, T² and Q)")
    parser.add_argument("--false-alarms", type=_share, default=0.01, metavar="P", help="share of rows; default: 0.01")
    parser.add_argument("--persist", type=int, default=1, metavar="ROWS", help="rows an alarm must last; default: 1")
    _add_json(parser)


def _add_window(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-predictor window --lives lives.csv --costs costs.toml\n\n"
        "costs.toml: planned = 1000, unplanned = 5000; and where wanted: lead_time = 48, age = 1200 (running time),\n"
        "running_per_day = 16, now = 2026-03-01, and [[slots]] with after = 300 or start = 2026-03-22T06:00:00Z,\n"
        "name, extra_cost (lost production), crew = true. Times are in the unit of the lives."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--lives", type=Path, metavar="CSV", help="a life per row; a column of 0/1 says which failed")
    source.add_argument("--model", type=Path, metavar="MODEL", help="plan from a remaining-life model instead")
    _add_file(parser, "--costs", "what stops cost, and when service is possible (TOML)")
    parser.add_argument("--life", metavar="COL", help="column with the lives; default: the one that fits")
    parser.add_argument("--failed", metavar="COL", help="column with 1 for failed, 0 for still running")
    parser.add_argument("--data", type=Path, metavar="CSV", help="with --model: the machine's history")
    parser.add_argument("--unit", metavar="NAME", help="with --model: the machine's name in the unit column")
    _add_json(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-predictor check --data runs.csv --unit pump --time hours"
    _add_file(parser, "--data", "histories to look at")
    parser.add_argument("--unit", required=True, metavar="COL")
    parser.add_argument("--time", required=True, metavar="COL")
    _add_json(parser)


def _add_trend(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-predictor trend --data pump.csv --time hours --tag vibration --limit 7.1"
    _add_file(parser, "--data", "rows of one machine")
    parser.add_argument("--time", required=True, metavar="COL")
    parser.add_argument("--tag", required=True, metavar="COL", help="the health indicator")
    parser.add_argument("--limit", type=_finite, required=True, help="the value that must not be reached")
    parser.add_argument("--settings", type=_names, default=(), metavar="A,B", help="columns that say how it is run")
    _add_json(parser)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: factorylm-predictor name --cases labelled.csv --label fault --model faults.model\n"
        "         factorylm-predictor name --model faults.model --data today.csv --out names.csv"
    )
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL")
    parser.add_argument("--cases", type=Path, metavar="CSV", help="labelled rows to learn from, in time order")
    parser.add_argument("--label", metavar="COL", help="with --cases: the column that names the fault")
    parser.add_argument("--tags", type=_names, default=(), metavar="A,B", help="with --cases: learn from these alone")
    parser.add_argument(
        "--derive",
        action="append",
        default=[],
        metavar="N=F(A,B)",
        help="with --cases: a physical quantity, as in power=shaft_power_w(torque,speed)",
    )
    parser.add_argument("--data", type=Path, metavar="CSV", help="rows to name")
    parser.add_argument("--out", type=Path, metavar="CSV", help="with --data: where row,fault,share,reason go")
    _add_json(parser)


def _add_example(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: factorylm-predictor example --out pumps"
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")


def _add_file(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument(name, type=Path, required=True, metavar="FILE", help=text)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _finite(text: str) -> float:
    value = float(text)
    if not abs(value) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


_SUBCOMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Command, str]] = {
    "fit": (_add_fit, commands.fit, "learn remaining life from histories that ran to failure"),
    "predict": (_add_predict, commands.predict, "remaining life of every unit at its last row"),
    "detect": (_add_detect, commands.detect, "judge rows against a healthy baseline"),
    "window": (_add_window, commands.window, "the cheapest times to service"),
    "check": (_add_check, commands.check, "what is wrong with a data file, in plain words"),
    "trend": (_add_trend, commands.trend, "time until a health indicator reaches its limit"),
    "name": (_add_name, commands.name, "learn from labelled faults, or name new ones"),
    "example": (_add_example, commands.example, "write simulated pump data to try all this on"),
}
