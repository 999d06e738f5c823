"""FactoryLM's what-if twin.

- `SKILL`: what a host serves
- learning: `read_record`, `learn`; files: `save_twin`, `load_twin`
- asking: `what_if`

Names are loaded when first used: a host that lists skills pays for no numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factorylm_twin.fitting import learn
    from factorylm_twin.model_file import load_twin, save_twin
    from factorylm_twin.server import SKILL
    from factorylm_twin.tables import read_record
    from factorylm_twin.whatif import what_if

__all__ = ["SKILL", "learn", "load_twin", "read_record", "save_twin", "what_if"]

_HOMES = {
    "SKILL": "server",
    "learn": "fitting",
    "load_twin": "model_file",
    "read_record": "tables",
    "save_twin": "model_file",
    "what_if": "whatif",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'factorylm_twin' has no attribute {name!r}")
    return getattr(import_module(f"factorylm_twin.{_HOMES[name]}"), name)
