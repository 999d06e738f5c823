"""requirements.lock is complete, hashed and free of addresses, so that a mirror or an air gap can serve it."""

import re
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.version import Version

from workspace.environment import LOCK
from workspace.members import Member, requirement_name, third_party

TEXT = LOCK.read_text(encoding="utf-8")
PINS = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+?)(?: ;[^\\]*)?(?: \\)?$", re.MULTILINE)
NOT_LOCKED = {"pip", "setuptools", "factorylm-workspace"}  # the interpreter's own


def pinned() -> dict[str, set[Version]]:
    """Versions by distribution; a distribution has several where Python versions need different ones."""
    found: dict[str, set[Version]] = {}
    for name, version in PINS.findall(TEXT):
        found.setdefault(requirement_name(name), set()).add(Version(version))
    return found


def test_everything_installed_is_locked_in_that_version(all_members: dict[str, Member]) -> None:
    own = {requirement_name(name) for name in all_members} | NOT_LOCKED
    installed = {requirement_name(found.name): Version(found.version) for found in distributions()}
    locked = pinned()
    strangers = {name: str(version) for name, version in installed.items() if version not in locked.get(name, ())}
    assert not {name: version for name, version in strangers.items() if name not in own}


def test_everything_declared_is_locked_within_its_bounds() -> None:
    locked = pinned()
    for line in third_party():
        requirement = Requirement(line)
        versions = locked.get(requirement_name(requirement.name), set())
        assert versions, f"{line}: not in {LOCK.name}; run ./run lock"
        assert all(version in requirement.specifier for version in versions), line


def test_every_pin_has_hashes() -> None:
    blocks = re.split(r"\n(?=\S)", TEXT.strip())
    assert [block for block in blocks if block.count("--hash=sha256:") == 0] == []
    assert len(blocks) == sum(len(versions) for versions in pinned().values())


def test_the_lock_names_no_index_and_no_file() -> None:
    assert not [line for line in TEXT.splitlines() if "://" in line or line.startswith(("-i", "--index", "-f", "-e"))]
