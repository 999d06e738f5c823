"""How the commands print: answers on stdout, progress on stderr and only on a terminal."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any


def tell(*lines: str) -> None:
    """An answer."""
    for line in lines:
        print(line)  # noqa: T201 (stdout is for answers)


def tell_json(value: Any) -> None:
    """An answer for scripts."""
    tell(json.dumps(value, indent=1, ensure_ascii=False))


def progress(line: str) -> None:
    """What is being done, for whoever waits."""
    if sys.stderr.isatty():
        print(f"{line} …", file=sys.stderr, flush=True)  # noqa: T201 (progress is for the person)


def consents(question: str, *, yes: bool) -> bool:
    """A person says yes, here or beforehand; nobody there means no."""
    if yes:
        return True
    if not sys.stdin.isatty():
        tell("nothing was changed: say --yes, or run it on a terminal")
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], about: str, example: str
) -> argparse.ArgumentParser:
    """A subcommand with its example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=about, epilog=f"example: factorylm-registry {name} {example}"
    )
    parser.set_defaults(run=run)
    return parser
