"""`factorylm-edge bundle`, `unit` and `wireguard`: what a fleet of boxes without internet needs."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from factorylm_schema import BadRequestError, Plant, load_plant

from factorylm_edge.settings import EdgeSettings, load_settings

Add = Callable[[str, str, str, Callable[[argparse.Namespace], None]], argparse.ArgumentParser]


def add_fleet(add: Add) -> None:
    """Their parsers."""
    made = add("bundle", "make a signed offline install", "factorylm-edge bundle --key factory.pem --to out", _bundle)
    made.add_argument("--to", type=Path, metavar="DIR", help="the folder to make")
    made.add_argument("--key", type=Path, metavar="FILE", help="the private key that signs it")
    made.add_argument("--new-key", type=Path, metavar="FILE", help="only make such a key, and FILE.pub for the boxes")
    made.add_argument("--lock", type=Path, default=Path("requirements.lock"), help="default requirements.lock")
    made.add_argument("--wheels", type=Path, default=Path("dist"), help="our own wheels (default dist: ./run build)")
    made.add_argument(
        "--with", dest="with_", action="append", default=[], metavar="PACKAGE", help="factorylm-modbus, …"
    )
    made.add_argument("--python", default=f"{sys.version_info.major}.{sys.version_info.minor}", help="of the boxes")
    _add_unit(made)
    unit = add("unit", "print the systemd unit", "factorylm-edge unit --plant plant.toml --config edge.toml", _unit)
    _add_unit(unit)
    wire = add(
        "wireguard", "write or check a WireGuard configuration; nothing is applied",
        "factorylm-edge wireguard --check wg0.conf", _wireguard,
    )  # fmt: skip
    wire.add_argument("--check", type=Path, metavar="FILE", help="only say what is wrong with it")
    wire.add_argument("--to", type=Path, metavar="FILE", help="the file to write")
    wire.add_argument("--address", metavar="CIDR", help="this gateway's address in the tunnel, 10.9.0.2/32")
    wire.add_argument("--peer-key", metavar="KEY", help="the other end's public key")
    wire.add_argument("--endpoint", metavar="HOST:PORT", help="where the other end is")
    wire.add_argument("--network", action="append", default=[], metavar="CIDR", help="what is reached through it")


def _add_unit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plant", type=Path, metavar="FILE", help="the plant file: its addresses may be reached")
    parser.add_argument("--config", type=Path, metavar="FILE", help="edge.toml: its targets may be reached")
    parser.add_argument("--allow", action="append", default=[], metavar="CIDR", help="more that may be reached")
    parser.add_argument("--page", default="127.0.0.1:8791", metavar="HOST:PORT", help="default 127.0.0.1:8791")


def _bundle(options: argparse.Namespace) -> None:
    from factorylm_edge.bundling import bundle, new_key

    if options.new_key:
        sys.stdout.write(f"{options.new_key} signs and stays here; {new_key(options.new_key)} goes to the boxes\n")
        return
    if not (options.to and options.key):
        raise BadRequestError("a bundle needs --to and --key", hint="--new-key FILE makes a key")
    told = bundle(
        options.to, options.lock, options.wheels, options.key,
        python=options.python, unit=_unit_text(options), with_=options.with_,
    )  # fmt: skip
    machines, folder = ", ".join(told.machines), options.to.name
    sys.stdout.write(f"{options.to}: factorylm-edge {told.version}, {told.wheels} wheels for {machines}\n")
    sys.stdout.writelines(f"  not for {why}\n" for why in told.missing.values())
    sys.stdout.write(f"on the box: python3 {folder}/install.py install {folder} --key {options.key.name}.pub\n")


def _unit(options: argparse.Namespace) -> None:
    sys.stdout.write(_unit_text(options))


def _unit_text(options: argparse.Namespace) -> str:
    from factorylm_skill.installed import installed_skills

    from factorylm_edge.unit import unit

    plant, settings = Plant(), EdgeSettings()
    if options.plant:
        plant = load_plant(options.plant, installed_skills().dialects)
        settings = load_settings(options.config, plant)
    elif options.config:
        raise BadRequestError("--config needs --plant", hint="The two are checked against each other")
    config = "/etc/factorylm/edge.toml" if options.config else ""
    return unit(plant, settings, config_path=config, page=options.page, also=options.allow)


def _wireguard(options: argparse.Namespace) -> None:
    from factorylm_edge.wireguard import check, write

    if options.check:
        if found := check(options.check):
            raise BadRequestError(f"{options.check}: {'; '.join(found)}", hint="Nothing was applied")
        sys.stdout.write(f"{options.check} is sound; nothing was applied\n")
        return
    needed: dict[str, Any] = {
        name: getattr(options, name.replace("-", "_")) for name in ("to", "address", "peer-key", "endpoint", "network")
    }
    if missing := [f"--{name}" for name, value in needed.items() if not value]:
        raise BadRequestError(f"missing: {', '.join(missing)}", hint="Or --check FILE")
    public = write(
        options.to, address=options.address, peer_key=options.peer_key, endpoint=options.endpoint,
        networks=options.network,
    )  # fmt: skip
    sys.stdout.write(f"{options.to} is written and not applied; the other end needs our public key: {public}\n")
