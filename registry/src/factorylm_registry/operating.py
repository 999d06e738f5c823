"""The commands of a registry's operator: serve, index, export, judge, log."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
from factorylm_skill.command import DONE

from factorylm_registry.lookups import Internet
from factorylm_registry.oidc import Issuer
from factorylm_registry.quality import judge, summary_of
from factorylm_registry.refusals import BadQuestionError, UntrustedError
from factorylm_registry.registry import Registry, now, open_registry
from factorylm_registry.signatures import verifier_from
from factorylm_registry.static_index import write_bundle, write_index
from factorylm_registry.telling import command, progress, tell


def add_commands(commands: Any) -> None:
    """Their options."""
    serve = command(
        commands, "serve", _serve, "serve the registry over HTTP", "--data ./registry --http 127.0.0.1:8780"
    )
    serve.add_argument("--http", default="127.0.0.1:8780", metavar="HOST:PORT")
    serve.add_argument("--per-second", type=float, default=50.0, help="requests for each client address; 0: no limit")
    serve.add_argument("--inside", action="store_true", help="domains may resolve to private addresses")
    serve.add_argument("--name-server", action="append", default=[], metavar="ADDRESS", help="ask this one for DNS")
    serve.add_argument("--oidc", action="append", default=[], metavar="ISSUER", help="believe its workflows; github")
    index = command(commands, "index", _index, "write the registry as static files", "--data ./registry ./public")
    index.add_argument("folder", type=Path, metavar="DIR")
    export = command(
        commands, "export", _export, "write a signed offline bundle", "com.example/pumpcare --out skills.zip"
    )
    export.add_argument("names", nargs="+", metavar="NAME")
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    export.add_argument("--dependencies", type=Path, metavar="DIR", help="wheels to carry along")
    again = command(commands, "judge", _judge, "judge a listed wheel here; its level becomes verified", "NAME VERSION")
    again.add_argument("name", metavar="NAME")
    again.add_argument("version", metavar="VERSION")
    again.add_argument("--find-links", type=Path, action="append", default=[], metavar="DIR")
    accept = command(
        commands, "accept", _accept, "take a review; the level becomes reviewed", "review.json --reviewer KEY"
    )
    accept.add_argument("review", type=Path, metavar="FILE", help="what `review` printed")
    accept.add_argument("--reviewer", required=True, metavar="KEY", help="the key of the reviewer you trust")
    log = command(commands, "log", _log, "verify the whole log", "--data ./registry")
    for one in (serve, index, export, again, accept, log):
        one.add_argument("--data", type=Path, default=Path("registry"), metavar="DIR", help="the registry's data")
        one.add_argument("--database", default="", metavar="URL", help="postgresql://… instead of SQLite")
        one.add_argument("--name-of-log", default="factorylm.registry", metavar="NAME", help="the name in its key")


def _opened(options: argparse.Namespace) -> Registry:
    servers = tuple((one, 53) for one in getattr(options, "name_server", []))
    looks = Internet(name_servers=servers, inside=getattr(options, "inside", False))
    issuers = tuple(Issuer() if one == "github" else Issuer(one) for one in getattr(options, "oidc", []))
    return open_registry(options.data, looks, name=options.name_of_log, database=options.database, issuers=issuers)


def _serve(options: argparse.Namespace) -> int:
    from factorylm_skill.http import HttpOptions, serve_app

    from factorylm_registry.api import ServiceOptions, registry_app

    registry = _opened(options)
    host, _, port = options.http.rpartition(":")
    tell(f"http://{options.http}", f"key: {registry.signer.verifier}")
    app = registry_app(registry, ServiceOptions(per_second=options.per_second))
    anyio.run(serve_app, app, HttpOptions(host=host.strip("[]"), port=int(port)))
    return DONE


def _index(options: argparse.Namespace) -> int:
    count = write_index(_opened(options), options.folder, progress=_every_thousand)
    tell(f"{options.folder} holds {count} versions")
    return DONE


def _every_thousand(count: int) -> None:
    if count % 1000 == 0:
        progress(f"{count} versions")


def _export(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        count = write_bundle(_opened(options), options.out, options.names, options.dependencies, Path(scratch))
    tell(f"{options.out} holds {count} versions, signed")
    return DONE


def _judge(options: argparse.Namespace) -> int:
    registry = _opened(options)
    listing = registry.store.version(options.name, options.version)
    wheel = registry.wheels.get(listing.ours.get("wheel", {}).get("sha256", ""))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / wheel.filename
        file.write_bytes(wheel.content)
        found = judge(file, now(), sources=options.find_links, progress=progress)
    if found.tools != listing.ours["tools"]:
        raise UntrustedError("its tools are not those that its publisher signed", hint="Ask the publisher; yank it")
    level = "verified" if found.tier else listing.ours["level"]
    check = {**summary_of(found.wire()), "by": registry.signer.name}
    registry.store.annotate(
        listing.name, listing.version, {"check": check, "level": level}, now(), registry.signer.name
    )
    tell(f"{listing.name} {listing.version}: tier {check['tier']}, level {level}")
    return DONE


def _accept(options: argparse.Namespace) -> int:
    try:
        given = json.loads(options.review.read_text(encoding="utf-8"))
        name, version, review = given["name"], given["version"], given["statement"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadQuestionError(f"{options.review} is not a review", hint="`review` prints one") from error
    reviewer = verifier_from(options.reviewer)
    _opened(options).accept_review(name, version, review, reviewer)
    tell(f"{name} {version}: level reviewed, by {reviewer.name}")
    return DONE


def _log(options: argparse.Namespace) -> int:
    registry = _opened(options)
    broken = registry.log.verify()
    if broken is not None:
        raise UntrustedError(f"entry {broken} of the log was altered", hint="Restore the database from a backup")
    tell(f"{registry.store.log_size()} entries, every one as it was logged")
    return DONE
