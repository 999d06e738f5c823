"""What the commands print for people: plain tables and JSON, on any terminal."""

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_line(text: str = "") -> None:
    """One line on stdout; what the terminal cannot show is replaced, never an error."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def print_json(value: Any) -> None:
    """Indented JSON, as it is."""
    print_line(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], indent: str = "", between: tuple[int, str] | None = None
) -> None:
    """Aligned columns; numbers to the right; `between` is a line of its own after so many rows."""
    texts = [list(columns), *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    right = [all(isinstance(row[i], int | float) for row in rows) and bool(rows) for i in range(len(columns))]
    for at, row in enumerate(texts):
        if between and at == between[0] + 1:
            print_line(indent + between[1])
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        print_line(indent + "  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
