"""Programs that pip cannot bring are installed where that is allowed, otherwise named; CI does without none."""

import pytest

from workspace import debian
from workspace.debian import Program, ensure_programs
from workspace.environment import SetupError

MISSING = Program("no-such-program", "no-such-package", frozenset())
PYTHON = Program("python3", "python3", frozenset())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What apt-get would have been asked for, on a machine where it may not install."""
    packages: list[str] = []

    def refuse(package: str) -> bool:
        packages.append(package)
        return False

    monkeypatch.setattr(debian, "install_debian", refuse)
    return packages


def test_a_missing_program_is_named(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert ensure_programs([MISSING, PYTHON]) == [PYTHON]
    assert asked == ["no-such-package"]
    said = capsys.readouterr().err
    assert "left out" in said
    assert "no-such-program" in said


def test_continuous_integration_fails_without_a_program(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SetupError, match="no-such-program"):
        ensure_programs([MISSING])
    assert asked == ["no-such-package"]
