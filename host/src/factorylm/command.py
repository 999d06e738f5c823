"""The `factorylm` command line."""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType

from factorylm_skill.command import told_to_the_operator

from factorylm import audit, bundle, connect, demo, doctor, read, serve, skills

_EXAMPLES = {
    "serve": (serve, "serve installed skills to an assistant", "factorylm serve --plant plant.toml"),
    "demo": (demo, "a simulated plant, walked through by a real client", "factorylm demo"),
    "read": (read, "read tags without an assistant", "factorylm read pump1.speed --plant plant.toml --json"),
    "connect": (connect, "configure an assistant", "factorylm connect claude-desktop --plant plant.toml"),
    "doctor": (doctor, "what is installed, reachable, wrong", "factorylm doctor --plant plant.toml"),
    "audit": (audit, "verify or show the audit trail", "factorylm audit verify"),
    "skills": (skills, "the installed skills", "factorylm skills --json"),
    "bundle": (bundle, "a skill as one file that assistants install", "factorylm bundle modbus --out dist"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: done; 1: it failed, said why; 2: wrong usage."""
    options = _parser().parse_args(argv)
    module: ModuleType = _EXAMPLES[options.command][0]
    return told_to_the_operator(lambda: module.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="factorylm",
        description="Lets an AI assistant work safely with a plant.",
        epilog="example: factorylm demo",
    )
    parser.add_argument("--version", action="version", version=f"factorylm {version('factorylm')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, says, example) in _EXAMPLES.items():
        sub = commands.add_parser(name, help=says, description=says.capitalize() + ".", epilog=f"example: {example}")
        module.add_options(sub)
    return parser
