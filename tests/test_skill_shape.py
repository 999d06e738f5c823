"""You know where a thing is before you open a folder: protocol skills have the same files, each folder has its line."""

import subprocess

import pytest

from workspace.members import ROOT, Member, members

MODULES = {
    "__init__", "__main__", "address", "diagnosis", "dialect", "driver", "endpoint", "plan", "pump_station", "server",
    "session", "simulated_process", "simulator", "values",
}  # fmt: skip
TESTS = {
    "address",
    "contract",
    "diagnosis",
    "library_bugs",
    "plan",
    "plant_file",
    "reading",
    "simulator",
    "values",
    "writing",
}
PROTOCOLS = [each for each in members() if each.skills and (each.folder / "src" / each.package / "driver.py").is_file()]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=[each.name for each in PROTOCOLS])
def test_a_protocol_skill_has_the_files_of_its_siblings(protocol: Member) -> None:
    modules = {path.stem for path in (protocol.folder / "src" / protocol.package).glob("*.py")}
    tests = {path.stem.removeprefix("test_") for path in (protocol.folder / "tests").glob("test_*.py")}
    assert modules >= MODULES
    assert tests >= TESTS


def test_the_architecture_says_what_is_in_every_folder() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {name.split("/")[0] for name in listed.splitlines() if "/" in name}
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.partition("## The folders")[2]
    assert not [folder for folder in sorted(folders) if f"`{folder}/`" not in table]
