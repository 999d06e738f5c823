"""The bill of materials of a release, as CycloneDX 1.6: our packages and what they bring. Runs in .venv."""

import json
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from workspace.members import ROOT, members, read_toml, requirement_name
from workspace.needs import all_needs, direct_needs


def bill_of_materials() -> dict[str, Any]:
    """Every distribution that any of our packages needs to run, extras included, and who needs whom."""
    names = sorted(
        name
        for name in all_needs(line for member in members() for line in [member.name, *member.requirements])
        if _is_installed(name)
    )
    references = {name: _reference(name) for name in names}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "factorylm",
                "version": read_toml(ROOT / "pyproject.toml")["project"]["version"],
            }
        },
        "components": [_component(name, references[name]) for name in names],
        "dependencies": [
            {
                "ref": references[name],
                "dependsOn": sorted(references[need] for need in direct_needs(name) & references.keys()),
            }
            for name in names
        ],
    }


def _is_installed(name: str) -> bool:
    try:
        metadata(name)
    except PackageNotFoundError:
        return False
    return True


def _reference(name: str) -> str:
    return f"pkg:pypi/{requirement_name(name)}@{metadata(name)['Version']}"


def _component(name: str, reference: str) -> dict[str, Any]:
    described = metadata(name)
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference,
        "name": described["Name"],
        "version": described["Version"],
        "purl": reference,
    }
    if "License-Expression" in described:
        component["licenses"] = [{"expression": described["License-Expression"]}]
    elif classifiers := _licence_names(described.get_all("Classifier") or []):
        component["licenses"] = [{"license": {"name": found}} for found in classifiers]
    return component


def _licence_names(classifiers: list[str]) -> list[str]:
    return [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(bill_of_materials(), indent=1) + "\n", encoding="utf-8")
