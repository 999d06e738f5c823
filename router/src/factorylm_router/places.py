"""Where the router keeps what must outlive it: the folder that the configuration names, or the user's own."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from factorylm_router.config import ServerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Nothing is made before something is kept there. `state` is an address that `open_state` takes."""

    state: str
    journal: Path
    spool: Path

    @classmethod
    def of(cls, server: ServerConfig, config_file: Path) -> Self:
        """Relative paths start at the file that names them, never where somebody happened to stand."""
        folder = config_file.parent / server.data if server.data else home() / "router"
        scheme, _, name = server.state.partition(":")
        if scheme != "sqlite" or not name:
            return cls(state=server.state, journal=folder / "router", spool=folder / "router.spool")
        ledger = folder / name.removeprefix("//")
        return cls(state=f"sqlite:{ledger}", journal=ledger, spool=folder / "router.spool")


def home() -> Path:
    """The user's data folder for FactoryLM, the same that the skills use."""
    if given := os.environ.get("FACTORYLM_HOME"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "FactoryLM"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "FactoryLM"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "factorylm"
