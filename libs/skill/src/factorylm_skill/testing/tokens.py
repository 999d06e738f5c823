"""What text costs a model, counted with o200k (other tokenizers differ by 10-20 %)."""

import json
from functools import cache
from typing import Any

import mcp_types as types
from factorylm_schema import MissingPartError


def count_tokens(text: str) -> int:
    """Tokens of `text`."""
    return len(_tokenizer().encode(text))


def tool_tokens(tool: types.Tool) -> int:
    """What a tool costs in every request: name, description and input schema."""
    definition = [tool.name, tool.description or "", tool.input_schema]
    return count_tokens(json.dumps(definition, separators=(",", ":"), ensure_ascii=False))


@cache
def _tokenizer() -> Any:
    try:
        import splintr
    except ImportError as error:
        raise MissingPartError("counting tokens needs splintr-rs", hint="Install factorylm-skill[testing]") from error
    return splintr.Tokenizer.from_pretrained("o200k_base")
