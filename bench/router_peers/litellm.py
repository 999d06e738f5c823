"""LiteLLM's proxy in an environment of its own, outside this project's; made on first use where it installs."""

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "1.109.1"
CACHE = Path(__file__).parents[2] / ".cache" / "bench" / f"litellm-{VERSION}"
# Two of its pins lag behind what some indexes have.
OVERRIDES = "litellm-proxy-extras\ncertifi\n"


def litellm_program() -> tuple[str | None, str]:
    """The command, or None and why it is not there."""
    found = shutil.which("litellm") or shutil.which("litellm", path=str(CACHE / "bin"))
    if found:
        return found, ""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(CACHE)], check=True, capture_output=True)
    overrides = CACHE / "overrides.txt"
    overrides.write_text(OVERRIDES)
    python = str(CACHE / "bin" / "python")
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, "--overrides", str(overrides)]
    done = subprocess.run(
        [*uv, f"litellm[proxy]=={VERSION}"], capture_output=True, text=True, check=False, env=settings()
    )
    program = shutil.which("litellm", path=str(CACHE / "bin"))
    if done.returncode or not program:
        shutil.rmtree(CACHE, ignore_errors=True)
        return None, (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return program, ""


def settings() -> dict[str, str]:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from workspace.environment import uv_settings

    return uv_settings()
