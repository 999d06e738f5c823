"""FactoryLM's alarm analyzer: journals of any size, measured, related and explained.

- `SKILL`: what a host serves; `main`: the console script
- for scripts: `read_journal`, `analyse`, `report_json`, `report_page`

Everything is imported when it is first asked for: serving needs no numpy to start, reporting no server.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factorylm_alarms.analysis import analyse
    from factorylm_alarms.journal import read_journal
    from factorylm_alarms.page import report_page
    from factorylm_alarms.report_data import report_json
    from factorylm_alarms.server import SKILL, main

__all__ = ["SKILL", "analyse", "main", "read_journal", "report_json", "report_page"]

_LAZY = {
    "SKILL": "factorylm_alarms.server",
    "main": "factorylm_alarms.server",
    "analyse": "factorylm_alarms.analysis",
    "read_journal": "factorylm_alarms.journal",
    "report_json": "factorylm_alarms.report_data",
    "report_page": "factorylm_alarms.page",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
