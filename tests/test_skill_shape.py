"""You know where a thing is before you open the folder: every protocol skill has the same files."""

import pytest

from workspace.members import Member, members

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
