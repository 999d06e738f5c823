"""Our own skills are judged like a partner's: each wheel in an empty environment, at silver or better."""

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import pytest
from factorylm_registry.checking import table_lines
from factorylm_registry.quality import judge_all
from factorylm_registry.registry import now

from workspace.environment import LOCK, uv_settings
from workspace.members import ROOT, Member, members

CACHE = ROOT / ".cache" / "judgements"


@pytest.fixture(scope="session")
def judgements(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By distribution; one that reached silver is kept as long as nothing that it depends on changes."""
    found = {member.name: wheels / _filename(member, wheels) for member in members() if member.skills}
    kept = {name: CACHE / f"{_fingerprint(wheel, wheels)}.json" for name, wheel in found.items()}
    missing = [name for name in found if not kept[name].is_file()]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**uv_settings(), "UV_CONSTRAINT": str(LOCK)}.items():
            environment.setenv(name, value)
        judged = dict(zip(missing, judge_all([found[name] for name in missing], now(), sources=[wheels]), strict=True))
    CACHE.mkdir(parents=True, exist_ok=True)
    for name, one in judged.items():
        if one.tier is not None and one.tier.label != "bronze":
            kept[name].write_text(json.dumps(one.wire()), encoding="utf-8")
    known = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in kept.items() if file.is_file()}
    return {**known, **{name: one.wire() for name, one in judged.items()}}


def _filename(member: Member, wheels: Path) -> str:
    return next(wheels.glob(f"{member.package}-*.whl")).name


def _fingerprint(wheel: Path, wheels: Path) -> str:
    """The skill, what it stands on, the judge, the versions of everybody else, and the interpreter."""
    stands_on = [*wheels.glob("factorylm_schema-*.whl"), *wheels.glob("factorylm_skill-*.whl")]
    judge = wheels.glob("factorylm_registry-*.whl")
    parts = [file.read_bytes() for file in (wheel, *stands_on, *judge, LOCK)]
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    return hashlib.sha256(" ".join([*digests, platform.python_version()]).encode()).hexdigest()


def test_the_wheel_of_a_skill_is_silver_or_better(skill: Member, judgements: dict[str, dict[str, Any]]) -> None:
    found = judgements[skill.name]
    assert found["tier"] in ("silver", "gold", "platinum"), "\n".join(table_lines([found]))
