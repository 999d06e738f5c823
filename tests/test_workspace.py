"""How ./run sets itself up on other people's machines."""

import subprocess
import sys

import pytest

from workspace.bench import figures_in
from workspace.environment import LOCK, _locked_block
from workspace.members import ROOT, requirement_name
from workspace.pip_settings import uv_environment

LISTING = r"""
:env:.cert='/etc/ssl/plant.pem'
global.cert='/etc/ssl/system.pem'
global.extra-index-url='https://mirror.plant/a/simple https://mirror.plant/b/simple'
global.find-links='/srv/wheels\n/srv/more'
global.index-url='https://mirror.plant/simple'
install.index-url='https://other.plant/simple'
freeze.all='1'
"""


def test_the_users_pip_configuration_reaches_uv() -> None:
    assert uv_environment(LISTING, {}) == {
        "SSL_CERT_FILE": "/etc/ssl/plant.pem",
        "UV_DEFAULT_INDEX": "https://other.plant/simple",
        "UV_FIND_LINKS": "/srv/wheels,/srv/more",
        "UV_INDEX": "https://mirror.plant/a/simple https://mirror.plant/b/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_what_the_user_told_uv_itself_stays() -> None:
    added = uv_environment(LISTING, {"UV_DEFAULT_INDEX": "https://mine/simple", "SSL_CERT_FILE": "/mine.pem"})
    assert added.keys() == {"UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_STRATEGY"}


def test_no_index_is_a_switch() -> None:
    assert uv_environment("global.no-index='true'", {})["UV_NO_INDEX"] == "true"
    assert "UV_NO_INDEX" not in uv_environment("global.no-index='false'", {})


def test_uv_itself_comes_from_the_lock_with_its_hashes() -> None:
    block = _locked_block("uv")
    assert block.startswith("uv==")
    assert block.count("--hash=sha256:") > 10
    assert block in LOCK.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "name"),
    [("pydantic>=2.12,<3", "pydantic"), ("Psycopg[binary]>=3", "psycopg"), ("a.b_c ; python_version>'3'", "a-b-c")],
)
def test_a_requirement_is_known_by_its_normal_name(line: str, name: str) -> None:
    assert requirement_name(line) == name


def test_a_figure_with_its_bound_is_read_from_what_a_benchmark_prints() -> None:
    printed = ["tokens of the tool list     613.00   at most 1200   kept    o200k\n", "repeat: ./run bench skill\n"]
    assert figures_in(printed) == [
        {"what": "tokens of the tool list", "measured": "613.00", "bound": "at most 1200", "verdict": "kept"}
    ]


def test_an_unknown_command_is_refused_with_the_right_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workspace", "tset"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "no command 'tset'" in done.stderr
    assert "test" in done.stderr


def test_help_names_every_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workspace", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for command in ("bench", "build", "conformance", "demo", "docs", "lint", "lock", "setup", "test"):
        assert f"\n  {command} " in done.stdout
