"""FactoryLM's edge gateway: collect a plant, keep its history, hand it on.

- `SKILL`: the history as a skill for assistants
- histories: `SqliteHistory`, `PostgresHistory` behind `History`; `Sample`, `Window`, `Retention`
- collecting: `Gateway`, `EdgeSettings`; the past: `export`, `import_samples`, `import_csv`

Everything is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factorylm_edge.exporting import export
    from factorylm_edge.gateway import Gateway
    from factorylm_edge.history import History, Retention, TagRecord
    from factorylm_edge.importing import Imported, import_csv, import_samples
    from factorylm_edge.postgres_history import PostgresHistory
    from factorylm_edge.sample import Sample
    from factorylm_edge.server import SKILL
    from factorylm_edge.settings import EdgeSettings
    from factorylm_edge.sqlite_history import SqliteHistory
    from factorylm_edge.windows import Window

__all__ = [
    "SKILL",
    "EdgeSettings",
    "Gateway",
    "History",
    "Imported",
    "PostgresHistory",
    "Retention",
    "Sample",
    "SqliteHistory",
    "TagRecord",
    "Window",
    "export",
    "import_csv",
    "import_samples",
]

_LAZY = {
    "SKILL": "server",
    "EdgeSettings": "settings",
    "Gateway": "gateway",
    "History": "history",
    "Imported": "importing",
    "PostgresHistory": "postgres_history",
    "Retention": "history",
    "Sample": "sample",
    "SqliteHistory": "sqlite_history",
    "TagRecord": "history",
    "Window": "windows",
    "export": "exporting",
    "import_csv": "importing",
    "import_samples": "importing",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"factorylm_edge.{_LAZY[name]}"), name)
