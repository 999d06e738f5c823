"""What a release brings along is written down."""

from importlib.metadata import version

from workspace.members import Member
from workspace.sbom import bill_of_materials


def test_the_bill_of_materials_names_every_package_and_what_it_needs(all_members: dict[str, Member]) -> None:
    bill = bill_of_materials()
    names = {component["name"] for component in bill["components"]}
    assert set(all_members) <= names
    assert {"mcp", "pydantic", "pydantic_core"} <= names
    assert not names & {"pytest-xdist", "ruff", "mypy"}


def test_the_bill_of_materials_says_who_needs_whom_and_under_which_licence() -> None:
    bill = bill_of_materials()
    schema = f"pkg:pypi/factorylm-schema@{version('factorylm-schema')}"
    pydantic = f"pkg:pypi/pydantic@{version('pydantic')}"
    (row,) = [row for row in bill["dependencies"] if row["ref"] == schema]
    assert row["dependsOn"] == [pydantic]
    (component,) = [component for component in bill["components"] if component["bom-ref"] == schema]
    assert component["licenses"] == [{"expression": "Apache-2.0"}]
