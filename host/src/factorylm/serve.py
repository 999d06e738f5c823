"""`factorylm serve`: any installed skills in one process, on stdio or streamable HTTP."""

import argparse
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import anyio
from factorylm_schema import Device, Plant, load_plant
from factorylm_skill import ApprovalDesk, Settings, Skill
from factorylm_skill.command import add_serving_options, add_write_options, http_from, simulated_plant, write_settings
from factorylm_skill.process import configure_logging, serve

from factorylm.console.board import Board
from factorylm.console.serving import add_console_options, console_options, serve_console
from factorylm.host import open_host
from factorylm.installed import InstalledSkills, installed_skills


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("skills", nargs="*", metavar="SKILL", help="installed skills to serve (default: all)")
    add_plant_options(parser)
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="DIR", help="folder skills may read")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME", help="offer only these tools")
    parser.add_argument("--read-only", action="store_true", help="never offer a write tool, whatever else is said")
    add_write_options(parser)
    add_serving_options(parser)
    add_console_options(parser)


def add_plant_options(parser: argparse.ArgumentParser) -> None:
    """Which plant to speak to."""
    parser.add_argument("--plant", type=Path, metavar="FILE", help="the plant file (plant.toml)")
    parser.add_argument("--simulate", action="store_true", help="simulated devices instead of a plant")


def run(options: argparse.Namespace) -> None:
    """Serve until the client goes or a signal comes."""
    configure_logging(options.log_level)
    anyio.run(_serve, options)


async def _serve(options: argparse.Namespace) -> None:
    http = http_from(options)
    console = console_options(options)
    found = installed_skills()
    skills = found.chosen(options.skills)
    async with AsyncExitStack() as stack:
        plant = await plant_of(options, found, stack, skills)
        settings, board = operators_choice(options, plant)
        host = open_host(skills, settings, version=version("factorylm"), only_tools=options.tool)
        if console is None:
            await serve(host.server(), http)
            return
        board.devices.extend(skill.devices for skill in host.opened.values() if skill.devices)
        async with anyio.create_task_group() as group:
            group.start_soon(serve_console, board, console)
            await serve(host.server(board.called), http)
            group.cancel_scope.cancel()


def operators_choice(options: argparse.Namespace, plant: Plant) -> tuple[Settings, Board]:
    """The settings the skills get, and the board the console shows."""
    allow, approve, audit = write_settings(options)
    allow = allow and not options.read_only
    board = Board(plant=plant, devices=[], audit=audit)
    if allow and options.console is not None:
        board.desk = ApprovalDesk(clock=lambda: datetime.now(UTC), changed=board.requests_changed)
    settings = Settings(
        plant=plant, allow_writes=allow, approve=approve, audit=audit, desk=board.desk, data=tuple(options.data)
    )
    return settings, board


async def plant_of(
    options: argparse.Namespace, found: InstalledSkills, stack: AsyncExitStack, served: Sequence[Skill] | None = None
) -> Plant:
    """The plant file, or the simulators of the skills (default: all) as one plant; they stop with `stack`."""
    if options.plant:
        return load_plant(options.plant, found.dialects)
    if not options.simulate:
        return Plant()
    devices: dict[str, Device] = {}
    chosen = [skill for skill in found.protocols if served is None or skill in served]
    for skill in sorted(chosen, key=lambda skill: skill.name != _OWN_SKILL):
        simulation = await stack.enter_async_context(skill.simulate())
        for device in simulated_plant(simulation.plant_toml, skill).devices.values():
            apart = _called(device, f"{skill.name}_{device.name}") if device.name in devices else device
            devices[apart.name] = apart
    return Plant(name="Simulated plant", devices=devices)


# What is installed with the host: its simulated pump keeps the plain name, whatever else is installed.
_OWN_SKILL = "modbus"


def _called(device: Device, name: str) -> Device:
    """The device under another name: every skill's simulator calls its pump the same."""
    tags = {key: tag.model_copy(update={"device": name}) for key, tag in device.tags.items()}
    return device.model_copy(update={"name": name, "tags": tags})
