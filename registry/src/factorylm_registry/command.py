"""`factorylm-registry`: a command for authors, for operators of a registry, and for whoever installs skills."""

import argparse
import sys
from collections.abc import Sequence

from factorylm_skill.command import DONE, told_to_the_operator

from factorylm_registry import authors, checking, licensing, managing, operating, using

_EXAMPLES = """\
examples:
  factorylm-registry new pumpcare --namespace com.example     a skill that passes from the first minute
  factorylm-registry check factorylm-pumpcare                 its tier, rule by rule
  factorylm-registry serve --data ./registry                  a registry on this machine
  factorylm-registry install com.example/pumpcare --from http://127.0.0.1:8780 --key KEY
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; 0 done, 1 it failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="factorylm-registry",
        description="A marketplace for skills that computes trust instead of claiming it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version="factorylm-registry 0.1.0")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for part in (authors, checking, managing, licensing, operating, using):
        part.add_commands(commands)
    options = parser.parse_args(argv)
    outcome: list[int] = []
    code = told_to_the_operator(lambda: outcome.append(options.run(options)))
    return code if code != DONE or not outcome else outcome[0]


if __name__ == "__main__":
    sys.exit(main())
