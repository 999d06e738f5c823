"""A printed figure with its bound, and the command line that prints them."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Figure:
    """One ratio or count; without a bound it is for information."""

    what: str
    measured: float
    least: float | None = None
    most: float | None = None
    of: str = ""

    @property
    def kept(self) -> bool:
        """Within its bound."""
        return (self.least is None or self.measured >= self.least) and (self.most is None or self.measured <= self.most)

    @property
    def line(self) -> str:
        """As `./run bench record` reads it."""
        if self.least is None and self.most is None:
            told = "for information"
        else:
            bound = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
            told = f"{bound:14} {'kept' if self.kept else 'BROKEN'}"
        return f"{self.what:82} {self.measured:8.2f}   {told:23} {self.of}".rstrip()


def report(doc: str | None, measured: Callable[[int], Iterable[Figure]], *, rounds: int = 7) -> int:
    """The benchmark's command: each figure as it is ready; 1 where a bound is broken."""
    name = Path(sys.argv[0]).stem.replace("_", "-")
    first, _, rest = (doc or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog=f"./run bench {name}",
        description=first,
        epilog=f"example: ./run bench {name} --rounds 9\n{rest}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="interleaved rounds; the median counts (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if options.rounds < _FEWEST_ROUNDS:
        parser.error(f"--rounds is at least {_FEWEST_ROUNDS}: a median of fewer says little")
    kept = True
    for figure in measured(options.rounds):
        kept &= figure.kept
        print(json.dumps({**asdict(figure), "kept": figure.kept}) if options.json else figure.line, flush=True)
    print(f"repeat: ./run bench {name} --rounds {options.rounds}", file=sys.stderr)
    return int(not kept)
