"""The `factorylm-edge` command line."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from factorylm_schema import BadRequestError, Device, Plant, load_plant
from factorylm_skill.command import told_to_the_operator
from factorylm_skill.process import configure_logging

from factorylm_edge.fleet_command import add_fleet

_RUN = "collect a plant into a history"
_EXPORT = "write a history as CSV or Parquet"
_IMPORT = "take a CSV of the past into a history"
_SITE = "take what gateways put on a bus into one history"
_SERVE = "serve the history to an assistant (MCP)"
DEFAULT_DATA = Path("factorylm-data")


def main() -> None:
    """Exit code 0: done; 1: it failed, said why; 2: wrong usage."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """One command; options alone serve the history, as every skill's command does."""
    if argv[:1] in (["--data"], ["--http"]):
        argv = ["serve", *argv]
    if argv[:1] == ["serve"]:
        from factorylm_skill import run_skill

        from factorylm_edge.server import SKILL

        return run_skill(SKILL, argv[1:])
    options = _parser().parse_args(argv)
    configure_logging(options.log_level)
    return told_to_the_operator(lambda: options.does(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="factorylm-edge",
        description="The edge gateway: collects a plant, keeps its history, hands it on.",
        epilog="example: factorylm-edge run --plant plant.toml --data ./history",
    )
    parser.add_argument("--version", action="version", version=f"factorylm-edge {version('factorylm-edge')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(_command(commands, "run", _RUN, "factorylm-edge run --plant plant.toml --data ./history", _collect))
    _add_export(_command(commands, "export", _EXPORT, "factorylm-edge export --to history.csv --hours 24", _export))
    _add_import(_command(commands, "import", _IMPORT, "factorylm-edge import past.csv --data ./history", _import))
    _add_site(
        _command(commands, "site", _SITE, "factorylm-edge site --bus nats://10.0.0.2 --store postgresql://…", _site)
    )
    add_fleet(partial(_command, commands))
    _command(commands, "serve", _SERVE, "factorylm-edge serve --data ./history", _collect)
    return parser


def _command(
    commands: Any, name: str, says: str, example: str, does: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=says, description=f"{says.capitalize()}.", epilog=f"example: {example}"
    )
    parser.add_argument("--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    parser.set_defaults(does=does)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plant", type=Path, metavar="FILE", help="the plant file (plant.toml)")
    parser.add_argument("--simulate", action="store_true", help="every installed protocol's simulator as the plant")
    parser.add_argument("--config", type=Path, metavar="FILE", help="edge.toml: paces, retention, what leaves")
    _add_data(parser)
    parser.add_argument("--bus", metavar="URL", help="also put every batch on nats://HOST:PORT")
    parser.add_argument("--store", metavar="URL", help="also put every batch into postgresql://…")
    parser.add_argument("--page", metavar="HOST:PORT", help="serve the operator's page and metrics there")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="lines of NAME TOKEN; needed beyond loopback")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="host name for the page")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long (default: run on)")
    parser.add_argument("--json", action="store_true", help="print the final status as JSON")


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="FILE.csv or FILE.parquet")
    parser.add_argument("--tag", action="append", default=[], metavar="PATTERN", help="only these (default: all)")
    parser.add_argument("--events", action="store_true", help="alarm events instead of values (CSV)")
    parser.add_argument("--hours", type=float, default=24.0, help="how far back (default 24)")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="columns tag, time, value and maybe quality")
    _add_data(parser)
    parser.add_argument("--zone", default="", metavar="ZONE", help="of times that name none, for example Europe/Berlin")
    parser.add_argument("--json", action="store_true", help="print what became of the rows as JSON")


def _add_site(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bus", required=True, metavar="URL", help="nats://HOST:PORT")
    parser.add_argument("--store", required=True, metavar="URL", help="postgresql://…, or a folder")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help=f"the history's folder (default {DEFAULT_DATA})"
    )


def _collect(options: argparse.Namespace) -> None:
    asyncio.run(_ended_by_signal(_run_gateway(options)))


async def _ended_by_signal(work: Any) -> None:
    """SIGTERM and SIGINT end the work properly: what was collected is committed."""
    task = asyncio.ensure_future(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise


async def _run_gateway(options: argparse.Namespace) -> None:
    from factorylm_edge.data_folder import DataFolder
    from factorylm_edge.gateway import Gateway, run_for
    from factorylm_edge.page import serve_page
    from factorylm_edge.rescue import open_history

    async with AsyncExitStack() as stack:
        plant, skills = await _plant_of(options, stack)
        settings = _settings_of(options, plant)
        folder = stack.enter_context(DataFolder(options.data))
        history = open_history(folder)
        stack.callback(history.close)
        gateway = Gateway(plant, skills, settings, history, plant_file=options.plant)
        tags = sum(len(device.tags) for device in plant.devices.values())
        sys.stderr.write(f"collecting {tags} tags of {len(plant.devices)} devices into {folder}\n")
        page = await stack.enter_async_context(serve_page(gateway, options))
        if page:
            sys.stderr.write(f"page: {page}\n")
        try:
            await run_for(gateway, options.seconds)
        finally:
            _tell(gateway.status(), as_json=options.json)


def _tell(status: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(status, ensure_ascii=False) + "\n")
        return
    sys.stdout.write(f"kept {status['kept']:,} samples, lost {status['lost']:,}\n")
    for device in status["devices"]:
        said = device["problem"] or f"{device['samples']:,} samples of {device['tags']} tags"
        sys.stdout.write(f"  {device['name']}: {said}\n")


async def _plant_of(options: argparse.Namespace, stack: AsyncExitStack) -> tuple[Plant, list[Any]]:
    from factorylm_skill.command import simulated_plant
    from factorylm_skill.installed import installed_skills

    found = installed_skills()
    if options.plant:
        return load_plant(options.plant, found.dialects), found.protocols
    if not options.simulate:
        raise BadRequestError("nothing to collect", hint="Give --plant FILE, or --simulate for simulated devices")
    devices = {}
    for skill in found.protocols:
        simulation = await stack.enter_async_context(skill.simulate())
        for device in simulated_plant(simulation.plant_toml, skill).devices.values():
            renamed = _renamed(device, f"{skill.name}_{device.name}")
            devices[renamed.name] = renamed
    return Plant(name="Simulated plant", devices=devices), found.protocols


def _renamed(device: Device, name: str) -> Device:
    """Every simulator has a pump1."""
    tags = {key: tag.model_copy(update={"device": name}) for key, tag in device.tags.items()}
    return device.model_copy(update={"name": name, "tags": tags})


def _settings_of(options: argparse.Namespace, plant: Plant) -> Any:
    """edge.toml, and what the command line adds to it."""
    from factorylm_edge.settings import Forward, load_settings

    settings = load_settings(options.config, plant)
    more = []
    for option, url, schemes in (("--bus", options.bus, ("nats",)), ("--store", options.store, ("postgresql",))):
        if url and url.partition("://")[0] not in schemes:
            raise BadRequestError(f"{option} {url!r} is not an address it knows", hint=f"It takes {schemes[0]}://…")
        if url:
            more.append(Forward(to=url, tags=["*"]))
    return settings.model_copy(update={"forward": [*settings.forward, *more]})


def _export(options: argparse.Namespace) -> None:
    from factorylm_edge.exporting import export, export_events

    if options.events:
        sys.stdout.write(f"{export_events(options.data, options.to, options.hours):,} events in {options.to}\n")
        return
    told = export(options.data, options.to, options.tag or ["*"], options.hours)
    sys.stdout.write(f"{told.samples:,} samples of {told.tags} tags in {options.to}\n")


def _import(options: argparse.Namespace) -> None:
    from factorylm_edge.importing import import_csv

    told = import_csv(options.data, options.file, zone=options.zone)
    if options.json:
        sys.stdout.write(json.dumps(asdict(told), ensure_ascii=False) + "\n")
        return
    sys.stdout.write(
        f"kept {told.kept:,} samples of {told.tags} tags, {told.repeated:,} were there, {told.rejected:,} rejected\n"
    )
    sys.stdout.writelines(f"  {fault}\n" for fault in told.faults)


def _site(options: argparse.Namespace) -> None:
    asyncio.run(_ended_by_signal(_run_site(options)))


async def _run_site(options: argparse.Namespace) -> None:
    from factorylm_edge.history import History
    from factorylm_edge.nats_bus import NatsBus
    from factorylm_edge.postgres_history import PostgresHistory
    from factorylm_edge.rescue import open_history
    from factorylm_edge.site import SiteStore

    history: History
    if options.store.startswith("postgresql://"):
        history = PostgresHistory(options.store)
    else:
        history = open_history(Path(options.store))
    bus = NatsBus(options.bus)
    store = SiteStore(bus, history)
    try:
        await store.join()
        await store.run()
    finally:
        await bus.close()
        history.close()
