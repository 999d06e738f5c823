"""`factorylm bundle SKILL`: one file that assistants install with a double click (MCPB, manifest 0.4, type uv)."""

import argparse
import hashlib
import json
import zipfile
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from factorylm_schema import BadRequestError
from factorylm_skill import ProtocolSkill, Settings, Skill
from factorylm_skill.skill_documents import document_of

from factorylm.installed import GROUP, installed_skills
from factorylm.printing import print_json, print_line

# the client asks its user for these and puts the answers into the environment
_PLANT = {
    "type": "file",
    "title": "Plant file",
    "description": "plant.toml with your devices and tags. Leave it empty to try the simulated device.",
    "required": False,
    "default": "",
}
_WRITES = {
    "type": "boolean",
    "title": "Offer writing",
    "description": "Only tags with write limits in the plant file, and a person approves each write.",
    "required": False,
    "default": False,
}
_DATA = {
    "type": "directory",
    "title": "Data folder",
    "description": "The folder whose files may be opened.",
    "required": True,
}

_ENTRY = '''\
"""Starts {distribution} as the user of this bundle configured it."""

import os
import sys

from {module} import {name}
from factorylm_skill import run_skill


def given(variable: str) -> str:
    """What the user entered; clients leave the placeholder where nothing was."""
    value = os.environ.get(variable, "")
    return "" if value.startswith("${{") else value


{arguments}
sys.exit(run_skill({name}, arguments))
'''
_DEVICE_ARGUMENTS = """\
plant = given("FACTORYLM_PLANT")
arguments = ["--plant", plant] if plant else ["--simulate"]
if given("FACTORYLM_ALLOW_WRITES") == "true":
    arguments.append("--allow-writes")
"""
_DATA_ARGUMENTS = """\
folder = given("FACTORYLM_DATA")
arguments = ["--data", folder] if folder else []
"""
_PYPROJECT = """\
[project]
name = "{distribution}-bundle"
version = "{version}"
requires-python = ">=3.11"
dependencies = ["{distribution}=={version}"]

[tool.uv]
package = false
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("skill", metavar="SKILL", help="an installed skill")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to put it (default: here)")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(options: argparse.Namespace) -> None:
    """Write the bundle and say what it is."""
    [skill] = installed_skills().chosen([options.skill])
    file = options.out / f"{_distribution(skill)}-{skill.version}.mcpb"
    content = bundle(skill)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        write_zip(file, content)
    except OSError as error:
        raise BadRequestError(f"{file} cannot be written: {error.strerror}", hint="Name a folder with --out") from error
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if options.json:
        print_json({"file": str(file), "sha256": digest, "bytes": file.stat().st_size, "contains": sorted(content)})
    else:
        print_line(f"{file}: {file.stat().st_size:,} bytes, sha256 {digest}")
        print_line("Open it with Claude Desktop, or check it with: mcpb info FILE")


def bundle(skill: Skill) -> dict[str, str]:
    """The bundle's files. The packages themselves come from the user's index when uv first runs it."""
    point = _point(skill)
    names = {"distribution": _distribution(skill), "version": skill.version}
    arguments = _DEVICE_ARGUMENTS if isinstance(skill, ProtocolSkill) else _DATA_ARGUMENTS
    entry = _ENTRY.format(**names, module=point.module, name=point.attr, arguments=arguments)
    return {
        "manifest.json": json.dumps(manifest(skill), indent=2, ensure_ascii=False) + "\n",
        "pyproject.toml": _PYPROJECT.format(**names),
        "src/server.py": entry,
        "SKILL.md": document_of(skill.package).text,
    }


def manifest(skill: Skill) -> dict[str, Any]:
    """manifest.json: what the client shows, asks its user, and starts."""
    described = _point(skill).dist
    about = described.metadata.json if described else {}
    tools = [tool.listing for tool in skill.open(Settings()).tools]
    asked = {"plant": _PLANT, "allow_writes": _WRITES} if isinstance(skill, ProtocolSkill) else {"data": _DATA}
    return {
        "manifest_version": "0.4",
        "name": _distribution(skill),
        "display_name": f"FactoryLM {skill.title}",
        "version": skill.version,
        "description": str(about.get("summary", skill.title)),
        "author": {"name": str(about.get("author", "The authors"))},
        "license": str(about.get("license_expression", "")),
        "server": {
            "type": "uv",
            "entry_point": "src/server.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "src/server.py"],
                "env": {f"FACTORYLM_{key.upper()}": f"${{user_config.{key}}}" for key in asked},
            },
        },
        "tools": [{"name": tool.name, "description": tool.description or ""} for tool in tools],
        # writing adds one more
        "tools_generated": isinstance(skill, ProtocolSkill),
        "compatibility": {"platforms": ["darwin", "linux", "win32"], "runtimes": {"python": ">=3.11"}},
        "user_config": asked,
    }


def write_zip(file: Path, content: dict[str, str]) -> None:
    """The same content makes the same bytes, so that a digest says something."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(content.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode())


def _point(skill: Skill) -> EntryPoint:
    [point] = entry_points(group=GROUP, name=skill.name)
    return point


def _distribution(skill: Skill) -> str:
    """The installed package that brings the skill."""
    dist = _point(skill).dist
    return str(dist.name) if dist else f"factorylm-{skill.name}"
