"""Every skill's SKILL.md passes the official validator of Agent Skills."""

import shutil
from pathlib import Path

from skills_ref import read_properties, validate

from workspace.members import Member


def test_the_official_validator_accepts_the_skill_document(skill: Member, tmp_path: Path) -> None:
    document = skill.folder / "src" / skill.package / "SKILL.md"
    folder = tmp_path / "skill"
    folder.mkdir()
    shutil.copy(document, folder)
    named = folder.rename(tmp_path / read_properties(folder).name)  # the validator wants the folder called like it
    assert validate(named) == []
    assert read_properties(named).name.removeprefix("factorylm-").split("-")[0] in skill.skills
