"""All packages are released together: one version, one licence, one spelling of a dependency."""

from workspace.members import ROOT, Member, read_toml, requirement_name

VERSION = read_toml(ROOT / "pyproject.toml")["project"]["version"]


def test_every_package_has_the_version_of_the_workspace(member: Member) -> None:
    assert member.project["version"] == VERSION


def test_a_package_asks_for_its_siblings_of_the_same_minor_version(member: Member) -> None:
    major, minor, _ = map(int, VERSION.split("."))
    expected = f">={major}.{minor},<{major}.{minor + 1}"
    siblings = {line for line in member.requirements if requirement_name(line).startswith("factorylm")}
    assert siblings == {f"{line.split('>')[0]}{expected}" for line in siblings}


def test_every_third_party_requirement_has_both_bounds(member: Member) -> None:
    loose = [line for line in member.requirements if "<" not in line or ">=" not in line]
    assert not [line for line in loose if "==" not in line]


def test_every_package_says_the_same_of_itself(member: Member) -> None:
    project = member.project
    said = {key: project.get(key) for key in ("requires-python", "license", "readme", "authors")}
    assert said == {
        "requires-python": ">=3.11",
        "license": "Apache-2.0",
        "readme": "README.md",
        "authors": [{"name": "The FactoryLM authors"}],
    }
    assert (member.folder / "src" / member.package / "py.typed").is_file()


def test_a_console_script_is_called_like_its_distribution(member: Member) -> None:
    """Clients install and run in one step: `uvx factorylm-modbus`."""
    assert set(member.project.get("scripts", {})) <= {member.name}


def test_every_package_is_a_source_of_the_workspace(all_members: dict[str, Member]) -> None:
    sources = read_toml(ROOT / "pyproject.toml")["tool"]["uv"]["sources"]
    assert set(all_members) <= set(sources)


def test_a_skill_says_the_same_of_itself_on_every_index(member: Member) -> None:
    """PyPI shows the package's description, a registry of skills the manifest's."""
    if member.folder.parent.name == "servers":
        assert member.project["description"] == read_toml(member.folder / "skill.toml")["description"]
