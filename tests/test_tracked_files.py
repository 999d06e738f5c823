"""What git keeps is source: no product of a run, no address of somebody's index, no path on somebody's machine."""

import re
import subprocess
from pathlib import Path

import pytest

from workspace.members import ROOT

PRODUCTS = re.compile(
    r"""(^|/)(build|dist|node_modules|__pycache__|\.venv|\.cache|\.coverage)(/|$)
    |\.(db|sqlite3?|sqlite-wal|db-wal|db-shm|wal|log|pyc|whl|egg-info|mcpb|joblib|pickle|pkl|parquet|duckdb|orig|rej|swp)$
    |(^|/)(uv\.lock|core|nohup\.out)$""",
    re.VERBOSE,
)
LARGEST = 1_000_000
# An index is somebody's own, whoever runs it: only hosts that cannot exist are named, as examples.
HOSTS = re.compile(
    r"\b(?:index-url|extra-index-url|find-links|registry)\s*[=:]\s*[\"']?https?://(?P<host>[\w.-]+)"
    r"|https?://(?P<simple>[\w.-]+)(?::\d+)?/(?:[\w./-]+/)?simple/",
)
# Folders that are on one machine only.
SOMEWHERE = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|work|workspaces?)/[\w.-]+|\.\./shared/")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def test_no_product_of_a_run_is_tracked() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    assert not [name for name in names if PRODUCTS.search(name)]
    assert not [path for path in tracked() if path.stat().st_size > LARGEST]
    assert not [path for path in tracked() if path.read_bytes()[:16] == b"SQLite format 3\0"]


def test_no_text_names_a_package_index_of_somebodys_own() -> None:
    named = [
        f"{name}: {host}"
        for name, text in texts()
        for found in HOSTS.finditer(text)
        if not (host := found["host"] or found["simple"]).endswith((".example", ".example.com", ".plant"))
    ]
    assert not named


def test_no_text_leads_to_a_folder_of_one_machine() -> None:
    led = [
        f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}"
        for name, text in texts()
        for found in SOMEWHERE.finditer(text)
    ]
    assert not led


@pytest.mark.parametrize("name", ["router/router.db", "a/b.sqlite", "build/x.json", "edge/run.log", "uv.lock"])
def test_what_a_run_leaves_behind_is_recognised(name: str) -> None:
    assert PRODUCTS.search(name)
