"""`factorylm skills`: what is installed, what it offers, what it costs an assistant."""

import argparse
import json
from typing import Any

from factorylm_schema import Plant
from factorylm_skill import Settings, Skill

from factorylm.installed import installed_skills
from factorylm.printing import print_json, print_line, print_table


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(options: argparse.Namespace) -> None:
    """List them."""
    found = installed_skills()
    rows = [_row(skill) for skill in found.skills.values()]
    if options.json:
        print_json({"skills": rows, "broken": found.broken})
        return
    if rows:
        print_table(["skill", "version", "tools", "bytes", "speaks"], [list(row.values())[:5] for row in rows])
    else:
        print_line("no skill is installed; for example: pip install factorylm-modbus")
    for name, reason in found.broken.items():
        print_line(f"{name} is installed but broken: {reason}")


def _row(skill: Skill) -> dict[str, Any]:
    tools = [tool.listing for tool in skill.open(Settings(plant=Plant())).tools]
    definitions = [[tool.name, tool.description, tool.input_schema] for tool in tools]
    schemes = sorted(getattr(getattr(skill, "dialect", None), "schemes", ()))
    return {
        "skill": skill.name,
        "version": skill.version,
        "tools": len(tools),
        "bytes": len(json.dumps(definitions, separators=(",", ":"))),
        "speaks": ", ".join(schemes) or "-",
        "names": [tool.name for tool in tools],
    }
