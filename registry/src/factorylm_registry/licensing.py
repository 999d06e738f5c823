"""The commands around licences: a publisher grants and revokes, a user keeps them and decides about counting."""

import argparse
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from factorylm_skill.places import home

from factorylm_registry.account_options import DEFAULT_KEY, account_of, account_options
from factorylm_registry.licences import Entitlement, Terms, issue_licence, licence_id
from factorylm_registry.names import is_well_formed
from factorylm_registry.refusals import BadQuestionError, NotListedError
from factorylm_registry.registry import now
from factorylm_registry.signatures import signer_in
from factorylm_registry.sources import HttpSource
from factorylm_registry.telling import command, tell, tell_json
from factorylm_registry.usage import BATCH, MOST_AT_ONCE, Meter


def add_commands(commands: Any) -> None:
    """Their options."""
    licence = command(
        commands, "licence", _licence, "grant a licence", 'com.example/pumpcare --for "Plant 7" --domain …'
    )
    licence.add_argument("name", metavar="NAME")
    licence.add_argument("--for", dest="holder", required=True, metavar="WHO", help="who may use it")
    licence.add_argument("--days", type=int, default=365, help="how long (default 365)")
    licence.add_argument("--grace", type=int, default=14, metavar="DAYS", help="how long it works on (default 14)")
    licence.add_argument("--entitle", action="append", default=[], metavar="KEY=VALUE", help="what it includes")
    licence.add_argument(
        "--domain", required=True, help="the domain that proves your namespace, or your key's own name"
    )
    licence.add_argument("--key", type=Path, default=DEFAULT_KEY, metavar="FILE")
    revoke = command(commands, "revoke", _revoke, "withdraw a licence", "com.example/pumpcare ID --reason unpaid …")
    revoke.add_argument("name", metavar="NAME")
    revoke.add_argument("licence", metavar="ID|FILE")
    revoke.add_argument("--reason", required=True, help="for whoever reads the log")
    account_options(revoke)
    usage = command(commands, "usage", _usage, "count use, with consent alone", "allow com.example/pumpcare")
    usage.add_argument("action", choices=list(_ACTIONS), help="allow, forbid; count; show what waits; send it")
    usage.add_argument("name", metavar="NAME")
    usage.add_argument("--unit", default="calls", help="what is counted (default calls)")
    usage.add_argument("--number", type=int, default=1, metavar="N", help="how many (default 1)")
    usage.add_argument("--to", default="", metavar="URL", help="the registry, to send it to")


def kept_licence(name: str) -> str:
    """The licence that was kept for a skill, or nothing."""
    file = _file(name)
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def keep_licence(name: str, text: str) -> None:
    """For upgrades, for the skill itself and for counting."""
    file = _file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.strip() + "\n", encoding="utf-8")


def _file(name: str) -> Path:
    if name.count("/") != 1 or not all(map(is_well_formed, name.split("/"))):
        raise BadQuestionError(f"{name[:80]!r} is not a server's name", hint="For example com.example/pumpcare")
    return home() / "licences" / f"{name.replace('/', '__')}.licence"


def _licence(options: argparse.Namespace) -> int:
    _file(options.name)
    if options.days < 1 or options.grace < 0:
        raise BadQuestionError("a licence lasts a day at least", hint="--days from 1 on, --grace from 0 on")
    begin = now()
    terms = Terms(
        skill=options.name,
        holder=options.holder,
        begin=begin,
        until=begin + timedelta(days=options.days),
        grace=timedelta(days=options.grace),
        entitlements=dict(map(_entitlement, options.entitle)),
    )
    tell(issue_licence(terms, signer_in(options.key, options.domain)))
    return 0


def _entitlement(text: str) -> tuple[str, Entitlement]:
    """`tags=500` is a number, `export=true` a decision, anything else a text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadQuestionError(f"{text!r} is not KEY=VALUE", hint="For example --entitle tags=500")
    if value in ("true", "false"):
        return key, value == "true"
    return key, int(value) if value.isascii() and value.isdigit() else value


def _revoke(options: argparse.Namespace) -> int:
    file = Path(options.licence)
    known = licence_id(file.read_text(encoding="utf-8")) if file.is_file() else options.licence
    path = f"/v0.1/servers/{quote(options.name, safe='')}/licences/revoked"
    account_of(options).change("POST", path, {"licence": known, "reason": options.reason})
    tell(f"{known} is revoked; installed copies see it in the next signed evidence they are given")
    return 0


def _usage(options: argparse.Namespace) -> int:
    _file(options.name)
    _ACTIONS[options.action](Meter(home() / "usage"), options)
    return 0


def _allow(meter: Meter, options: argparse.Namespace) -> None:
    text = kept_licence(options.name)
    if not text:
        raise NotListedError(f"no licence of {options.name} is kept here", hint="install it with --licence FILE first")
    meter.allow(options.name, licence_id(text), now())
    tell(f"counting {options.name} is allowed; `usage show` tells what was counted, `usage forbid` ends it")


def _forbid(meter: Meter, options: argparse.Namespace) -> None:
    tell(f"counting {options.name} has ended; {meter.forbid(options.name)} events were erased unsent")


def _count(meter: Meter, options: argparse.Namespace) -> None:
    noted = meter.count(options.name, options.unit, options.number, now())
    tell("counted" if noted else "nothing was counted: nobody allowed it")


def _show(meter: Meter, options: argparse.Namespace) -> None:
    tell_json(meter.waiting(options.name))


def _send(meter: Meter, options: argparse.Namespace) -> None:
    if not options.to:
        raise BadQuestionError("nobody to send it to", hint="Say --to URL")
    sent = 0
    while events := meter.waiting(options.name)[:MOST_AT_ONCE]:
        path = f"/v0.1/servers/{quote(options.name, safe='')}/usage"
        answer = HttpSource(options.to).call(
            "POST", path, json.dumps(events).encode(), kept_licence(options.name), content_type=BATCH
        )
        meter.sent(options.name, events)
        sent += int(json.loads(answer)["accepted"])
    tell(f"{sent} events were sent")


_ACTIONS = {"allow": _allow, "forbid": _forbid, "count": _count, "show": _show, "send": _send}
