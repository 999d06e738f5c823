"""Where FactoryLM keeps its own files; FACTORYLM_HOME moves them all."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """The user's data folder for FactoryLM; not made before something is kept there."""
    if given := os.environ.get("FACTORYLM_HOME"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "FactoryLM"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "FactoryLM"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "factorylm"


def audit_file() -> Path:
    """The audit trail all servers of this user share."""
    return home() / "audit.jsonl"
