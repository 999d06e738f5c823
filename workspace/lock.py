"""requirements.lock: every third-party distribution for every platform, pinned, hashed, without an index."""

import subprocess

from workspace.environment import LOCK, PYTHON, SCRIPTS, SetupError, prepare_uv, say, uv_settings
from workspace.members import ROOT, third_party

# A lock holds the hashes of all platforms' files; a local directory of wheels knows only its own platform's.
LOCAL_SOURCES = ("UV_INDEX", "UV_FIND_LINKS")


def make_lock(*, upgrade: bool) -> None:
    """Resolve what all members declare; versions already locked stay unless `upgrade`."""
    prepare_uv()
    settings = {name: value for name, value in uv_settings().items() if name not in LOCAL_SOURCES}
    command = [
        *(str(SCRIPTS / "uv"), "pip", "compile", "-", "--output-file", str(LOCK), "--quiet"),
        *("--python", str(PYTHON), "--python-version", "3.11", "--universal", "--generate-hashes"),
        *(
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--no-header",
            "--no-annotate",
            "--no-strip-markers",
        ),
        *(("--upgrade",) if upgrade else ()),
    ]
    wanted = "\n".join(third_party())
    done = subprocess.run(command, cwd=ROOT, env=settings, input=wanted, text=True, check=False)
    if done.returncode != 0:
        raise SetupError("the requirements of the members do not fit together (reason above)")
    count = sum(1 for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line)
    say(f"{LOCK.name}: {count} distributions")
