"""Programs that pip cannot bring are installed where that is allowed, otherwise named; CI does without none."""

import pytest

from workspace import debian
from workspace.debian import Program, ensure_programs
from workspace.environment import SetupError


@pytest.fixture
def one_missing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A program of the kit that this machine does not have; returns what was asked to be installed."""
    asked: list[str] = []

    def refuse(package: str) -> bool:
        asked.append(package)
        return False

    missing = Program("no-such-program", "no-such-package", frozenset({"factorylm-skill"}))
    unused = Program("not-asked-for", "not-asked-for", frozenset({"a-package-that-is-not-here"}))
    monkeypatch.setattr(debian, "PROGRAMS", (missing, unused))
    monkeypatch.setattr(debian, "install_debian", refuse)
    return asked


def test_a_missing_program_is_named(
    one_missing: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    ensure_programs()
    assert one_missing == ["no-such-package"]
    assert "left out" in (said := capsys.readouterr().err)
    assert "no-such-program" in said


def test_continuous_integration_fails_without_a_program(
    one_missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SetupError, match="no-such-program"):
        ensure_programs()
    assert one_missing == ["no-such-package"]
