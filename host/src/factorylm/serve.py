"""`factorylm serve`: any installed skills in one process, on stdio or streamable HTTP."""

import argparse
import logging
from collections.abc import Sequence, Set
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from factorylm_schema import Plant, load_plant
from factorylm_skill import ApprovalDesk, CallRecord, Settings, Skill
from factorylm_skill.call_record import Observer
from factorylm_skill.command import add_serving_options, add_write_options, http_from, write_settings
from factorylm_skill.http import HttpOptions
from factorylm_skill.process import configure_logging, serve

from factorylm.console.board import Board
from factorylm.console.serving import add_console_options, console_options, serve_console
from factorylm.host import Host, ToolChoice, open_host
from factorylm.installed import InstalledSkills, installed_skills
from factorylm.plant_watch import Outcome, PlantWatch
from factorylm.simulated import simulated
from factorylm.standstill import Standstill

if TYPE_CHECKING:
    from starlette.routing import Route

logger = logging.getLogger("factorylm")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("skills", nargs="*", metavar="SKILL", help="installed skills to serve (default: all)")
    add_plant_options(parser)
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="DIR", help="folder skills may read")
    group = parser.add_argument_group("what is offered")
    only = "offer only these tools; a name or a pattern such as 'modbus_*', as often as needed"
    group.add_argument("--tool", action="append", default=[], metavar="NAME", help=only)
    never = "never offer these tools, also when --tool names them"
    group.add_argument("--no-tool", action="append", default=[], metavar="NAME", help=never)
    group.add_argument("--read-only", action="store_true", help="never offer a write tool, whatever else is said")
    add_write_options(parser)
    add_serving_options(parser)
    add_console_options(parser)


def add_plant_options(parser: argparse.ArgumentParser) -> None:
    """Which plant to speak to."""
    parser.add_argument("--plant", type=Path, metavar="FILE", help="the plant file (plant.toml)")
    parser.add_argument("--simulate", action="store_true", help="simulated devices instead of a plant")


def run(options: argparse.Namespace) -> None:
    """Serve until the client goes or a signal comes."""
    configure_logging(options.log_level, options.log_format)
    anyio.run(_serve, options)


async def _serve(options: argparse.Namespace) -> None:
    http, console = http_from(options), console_options(options)
    found = installed_skills()
    skills = found.chosen(options.skills)
    async with AsyncExitStack() as stack:
        plant = await plant_of(options, found, stack, skills)
        settings, board = operators_choice(options, plant)
        choice = ToolChoice(only=options.tool, never=options.no_tool)
        host = open_host(skills, settings, version=version("factorylm"), choice=choice)
        tell_what_is_missing(board, host, found)
        board.show(host.opened.values())
        async with anyio.create_task_group() as group:
            group.start_soon(Standstill().run)
            if options.plant:
                group.start_soon(watch(options.plant, found, host, board).run)
            if console:
                group.start_soon(serve_console, board, console)
            await serve(host.server(observer(board)), http, _routes(board, http))
            group.cancel_scope.cancel()


def _routes(board: Board, http: HttpOptions | None) -> "list[Route]":
    if http is None:
        return []
    from factorylm.console.app import metrics_route
    from factorylm.guard import Guard

    return [metrics_route(board, Guard.of(http))]


def operators_choice(options: argparse.Namespace, plant: Plant) -> tuple[Settings, Board]:
    """The settings the skills get, and the board the console shows."""
    allow, approve, audit = write_settings(options)
    allow = allow and not options.read_only
    board = Board(plant=plant, devices=[], audit=audit if allow else None)
    if allow and options.console is not None:
        board.desk = ApprovalDesk(clock=lambda: datetime.now(UTC), changed=board.requests_changed)
    settings = Settings(
        plant=plant, allow_writes=allow, approve=approve, audit=audit, desk=board.desk, data=tuple(options.data)
    )
    return settings, board


def observer(board: Board) -> Observer:
    """What is done with the record of each call: shown, counted, logged; arguments stay out of the log."""

    def called(record: CallRecord) -> None:
        board.called(record)
        told = {"tool": record.tool, "outcome": record.outcome, "seconds": round(record.seconds, 4)}
        asks = {"principal": record.principal, "client": record.client, "answered": record.answered}
        logger.info("%s: %s", record.tool, record.outcome, extra={**told, **asks})

    return called


def watch(path: Path, found: InstalledSkills, host: Host, board: Board) -> PlantWatch:
    """Takes an edited plant file over while the host runs, and says so in the log, on the page and in the trail."""

    async def take_over(plant: Plant) -> None:
        await host.replant(plant)
        board.replant(plant)

    def told(outcome: Outcome, text: str) -> None:
        logger.warning("%s", text)
        board.noticed(f"plant {outcome}", text, bad=outcome == "refused")
        board.metrics.plant_changed(outcome)
        if board.audit:
            board.audit.append(f"plant {outcome}", reason=text)

    return PlantWatch(
        path=path, load=lambda: load_plant(path, found.dialects), take_over=take_over, told=told, plant=board.plant
    )


def tell_what_is_missing(board: Board, host: Host, found: InstalledSkills) -> None:
    """A skill that was left out is said at once, not when somebody misses it."""
    for name, reason in {**found.broken, **host.failed}.items():
        if name in found.broken:
            logger.warning("the skill %s is installed but broken: %s", name, reason)
        board.noticed("skill left out", f"{name}: {reason}", bad=True)


async def plant_of(
    options: argparse.Namespace,
    found: InstalledSkills,
    stack: AsyncExitStack,
    skills: Sequence[Skill] | None = None,
    devices: Set[str] | None = None,
) -> Plant:
    """The plant file, or the simulators of `skills` (all) that may have `devices` (all) as one plant.

    They stop with `stack`.
    """
    if options.plant:
        return load_plant(options.plant, found.dialects)
    if not options.simulate:
        return Plant()
    wanted = [skill for skill in found.protocols if skills is None or skill in skills]
    return await simulated(wanted, stack, devices)
