"""A call's arguments, checked; what is wrong is said in words from which a model corrects itself."""

from collections.abc import Mapping
from typing import Any, TypeVar

from factorylm_schema import BadRequestError
from factorylm_schema.fault_words import told
from pydantic import BaseModel, ValidationError

_M = TypeVar("_M", bound=BaseModel)

_MOST_FAULTS = 5


def checked(model: type[_M], tool: str, given: Mapping[str, Any]) -> _M:
    """The arguments as the tool's model; raises BadRequestError that names what is wrong and what exists."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise BadRequestError(_sentences(error, tool, list(model.model_fields))) from error


def _sentences(error: ValidationError, tool: str, names: list[str]) -> str:
    sentences = []
    for at, sentence in told(error):
        if at and at[0] not in names:
            known = f"its arguments are {', '.join(names)}" if names else "it takes none"
            sentences.append(f"{tool} has no argument {at[0][:60]!r}; {known}")
        else:
            sentences.append(f"{'.'.join(at)[:80]}: {sentence}" if at else sentence)
    more = len(sentences) - _MOST_FAULTS
    return "; ".join(sentences[:_MOST_FAULTS]) + (f"; and {more} more" if more > 0 else "")
