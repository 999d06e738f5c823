"""The command line that every skill has: `factorylm-modbus --simulate`, `factorylm-s7 --plant plant.toml` …"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
from factorylm_schema import FactoryLMError, Plant, load_plant
from mcp.server import Server

from factorylm_skill.audit import AuditLog
from factorylm_skill.http import HttpOptions, http_options
from factorylm_skill.places import audit_file
from factorylm_skill.process import configure_logging, serve
from factorylm_skill.protocol import ProtocolSkill
from factorylm_skill.server import build_server
from factorylm_skill.skill import Settings, Skill
from factorylm_skill.skill_documents import document_of

DONE, FAILED, WRONG_USAGE = 0, 1, 2

Approve = Literal["person", "plan"]


@dataclass(frozen=True, kw_only=True)
class OperatorCommand:
    """What a console script does besides serving, for the operator alone: `factorylm-opcua trust URL`.

    `run` is given the arguments behind its name and returns the exit code.
    """

    name: str
    summary: str
    run: Callable[[Sequence[str]], int]


def run_skill(skill: Skill, argv: Sequence[str] | None = None, *, commands: Sequence[OperatorCommand] = ()) -> int:
    """The main of a skill's console script; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    for command in commands:
        if given[:1] == [command.name]:
            return command.run(given[1:])
    options = skill_parser(skill, commands).parse_args(given)
    configure_logging(options.log_level, options.log_format)
    return told_to_the_operator(lambda: anyio.run(_serve_skill, skill, options))


def told_to_the_operator(run: Callable[[], object]) -> int:
    """Run it; a failure is one message on stderr, not a traceback."""
    try:
        run()
    except BaseException as caught:  # noqa: BLE001 (told by kind; what is not ours is raised again)
        return _told(_single(caught))
    return DONE


def _told(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return DONE
    if isinstance(error, FactoryLMError):
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (stderr is the operator's)
        return FAILED
    if isinstance(error, BrokenPipeError):
        # whoever read our output has gone (`| head`); what is left to flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    raise error


def _single(error: BaseException) -> BaseException:
    """The one error inside the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def skill_parser(skill: Skill, commands: Sequence[OperatorCommand] = ()) -> argparse.ArgumentParser:
    """The options of one skill's server."""
    command = f"factorylm-{skill.name}"
    simulates = isinstance(skill, ProtocolSkill)
    example = f"{command} --simulate" if simulates else f"{command} --data ./data"
    parser = argparse.ArgumentParser(
        prog=command,
        description=f"{skill.title} for AI assistants: an MCP server on stdio, or on HTTP with --http.",
        epilog="\n".join([f"example: {example}", *_told_commands(command, commands)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{command} {skill.version}")
    if simulates:
        parser.add_argument("--plant", type=Path, metavar="FILE", help="the plant file (plant.toml)")
        parser.add_argument("--simulate", action="store_true", help="serve a simulated device instead of a plant")
        add_write_options(parser)
    else:
        parser.add_argument(
            "--data", type=Path, action="append", default=[], metavar="DIR", help="folder whose files may be opened"
        )
    add_serving_options(parser)
    return parser


def _told_commands(script: str, commands: Sequence[OperatorCommand]) -> list[str]:
    lines = [f"  {script} {command.name:10} {command.summary}" for command in commands]
    return ["", "commands of the operator (each has --help):", *lines] if lines else []


def add_write_options(parser: argparse.ArgumentParser) -> None:
    """The operator's part of the write gate."""
    group = parser.add_argument_group("writing (off unless allowed here)")
    group.add_argument("--allow-writes", action="store_true", help="offer the write tool; a person approves each write")
    group.add_argument(
        "--approve",
        choices=["person", "plan"],
        default="person",
        help="without elicitation: refuse (person), or accept a plan id the model confirms itself (plan)",
    )
    group.add_argument("--audit", type=Path, metavar="FILE", help="the audit log (default: in your data folder)")


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """How clients reach the server."""
    group = parser.add_argument_group("serving")
    group.add_argument("--http", metavar="HOST:PORT", help="serve streamable HTTP at /mcp instead of stdio")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="lines of NAME TOKEN; needed beyond loopback")
    group.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="host name clients may use")
    group.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve HTTPS with this certificate")
    group.add_argument("--tls-key", type=Path, metavar="FILE", help="and this key")
    group.add_argument("--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    group.add_argument("--log-format", default="text", choices=["text", "json"], help="of the log lines on stderr")


def http_from(options: argparse.Namespace) -> HttpOptions | None:
    """The HTTP options, checked; None for stdio."""
    if not options.http:
        return None
    return http_options(options.http, options.token_file, options.allow_host, options.tls_cert, options.tls_key)


def write_settings(options: argparse.Namespace) -> tuple[bool, Approve, AuditLog | None]:
    """Whether writes are offered, how they are approved, and where they are recorded."""
    if not options.allow_writes:
        return False, "person", None
    return True, options.approve, AuditLog(options.audit or audit_file())


async def _serve_skill(skill: Skill, options: argparse.Namespace) -> None:
    http = http_from(options)
    async with AsyncExitStack() as stack:
        if isinstance(skill, ProtocolSkill):
            plant = await _plant_for(skill, options, stack)
            allow, approve, audit = write_settings(options)
            settings = Settings(plant=plant, allow_writes=allow, approve=approve, audit=audit)
        else:
            settings = Settings(data=tuple(options.data))
        await serve(skill_server(skill, settings), http)


def skill_server(skill: Skill, settings: Settings) -> Server[Any]:
    """One skill as an MCP server of its own."""
    return build_server(
        [skill.open(settings)],
        name=f"factorylm-{skill.name}",
        title=f"FactoryLM {skill.title}",
        version=skill.version,
        instructions=skill.instructions,
        documents=[document_of(skill.package)],
    )


async def _plant_for(skill: ProtocolSkill, options: argparse.Namespace, stack: AsyncExitStack) -> Plant:
    if options.plant:
        return load_plant(options.plant, [skill.dialect])
    if not options.simulate:
        return Plant()
    simulation = await stack.enter_async_context(skill.simulate())
    return simulated_plant(simulation.plant_toml, skill)


def simulated_plant(plant_toml: str, skill: ProtocolSkill) -> Plant:
    """The plant that a simulation describes."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder) / "plant.toml"
        file.write_text(plant_toml, encoding="utf-8")
        return load_plant(file, [skill.dialect])
