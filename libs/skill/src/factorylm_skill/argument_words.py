"""What is wrong with a call's arguments, in words from which a model corrects itself."""

from typing import TYPE_CHECKING

from factorylm_schema.fault_words import told
from pydantic import ValidationError

if TYPE_CHECKING:
    from factorylm_skill.tool import Tool

_MOST_FAULTS = 5


def told_arguments(tool: "Tool", error: ValidationError) -> str:
    """One sentence per fault, by argument name."""
    names = list(tool.arguments.model_fields)
    sentences = []
    for at, sentence in told(error):
        name = at[0] if at else ""
        if at and name not in names:
            sentences.append(f"{tool.name} has no argument {name[:60]!r}; {_known(names)}")
        else:
            sentences.append(f"{'.'.join(at)[:80]}: {sentence}" if at else sentence)
    more = len(sentences) - _MOST_FAULTS
    return "; ".join(sentences[:_MOST_FAULTS]) + (f"; and {more} more" if more > 0 else "")


def _known(names: list[str]) -> str:
    return f"its arguments are {', '.join(names)}" if names else "it takes none"
