"""The commands of whoever uses skills: search, show, install, upgrade, remove."""

import argparse
from pathlib import Path
from typing import Any

from factorylm_skill.places import home
from factorylm_skill.untrusted import told_to_the_model

from factorylm_registry.installing import LEVELS, Place, Plan, newer_than_installed, plan_install, python_in, to_json
from factorylm_registry.licensing import keep_licence, kept_licence
from factorylm_registry.listing import OUR_META
from factorylm_registry.refusals import UntrustedError
from factorylm_registry.registry import now
from factorylm_registry.remembering import Heads
from factorylm_registry.reviewing import review_of
from factorylm_registry.signatures import signer_in, verifier_from
from factorylm_registry.sources import Source, open_source
from factorylm_registry.telling import command, consents, tell, tell_json
from factorylm_registry.verification import Verified, verify_listing, verify_wheel

_SIGNED = ("statement", "review")


def add_commands(commands: Any) -> None:
    """Their options."""
    search = command(commands, "search", _search, "find skills", "pump --from http://127.0.0.1:8780 --key KEY")
    search.add_argument("text", nargs="?", default="")
    show = command(commands, "show", _show, "verify and show one skill", "com.example/pumpcare --from URL --key KEY")
    install = command(
        commands, "install", _install, "verify, plan, install", "com.example/pumpcare --from skills.zip --key KEY"
    )
    install.add_argument("--level", choices=LEVELS[1:], default="community", help="the least trust you ask for")
    upgrade = command(commands, "upgrade", _upgrade, "bring installed skills up to date", "--from URL --key KEY")
    install.add_argument("--licence", type=Path, metavar="FILE", help="of a subscription; it is kept for upgrades")
    review = command(
        commands, "review", _review, "sign what you found", "com.example/pumpcare 0.1.0 --as jane@example.com …"
    )
    review.add_argument("--as", dest="reviewer", required=True, metavar="NAME", help="your name in your key")
    review.add_argument("--reviewer-key", type=Path, default=Path("factorylm-reviewer.key"), metavar="FILE")
    review.add_argument("--says", required=True, metavar="TEXT", help="what you looked at, and what you found")
    remove = command(commands, "remove", _remove, "uninstall a skill", "com.example/pumpcare")
    for one in (show, install, review, remove):
        one.add_argument("name", metavar="NAME")
    for one in (show, install, review):
        one.add_argument("version", nargs="?", default="latest", metavar="VERSION")
    for one in (search, show, install, review, upgrade):
        one.add_argument("--from", dest="source", required=True, metavar="PLACE", help="address, folder or bundle")
        one.add_argument("--key", required=True, metavar="KEY", help="the registry's public key, or a file with it")
        one.add_argument("--json", action="store_true")
    for one in (show, install, review, upgrade):
        one.add_argument("--older", action="store_true", help="take a copy that is older than what was seen before")
    for one in (install, upgrade, remove):
        one.add_argument("--into", default="", metavar="VENV", help="the environment (default: this one)")
    for one in (install, upgrade):
        one.add_argument("--yes", action="store_true", help="do it without asking")
        one.add_argument("--find-links", type=Path, action="append", default=[], metavar="DIR", help="wheels to use")


def _opened(options: argparse.Namespace) -> Any:
    return open_source(options.source, _key(options))


def _key(options: argparse.Namespace) -> Any:
    given = Path(options.key)
    return verifier_from(given.read_text(encoding="utf-8") if given.is_file() else options.key)


def _search(options: argparse.Namespace) -> int:
    with _opened(options) as source:
        found = source.search(options.text)
    if options.json:
        tell_json(found)
        return 0
    for entry in found:
        ours, server = entry["_meta"].get(OUR_META, {}), entry["server"]
        tier = ours.get("check", {}).get("tier", "")
        tell(
            f"{server['name']} {server['version']}  {tier}  {ours.get('level', '')}  {_harmless(server['description'])}"
        )
    if not found:
        tell(f"nothing fits {options.text!r}")
    return 0


def _show(options: argparse.Namespace) -> int:
    with _opened(options) as source:
        listing = verify_listing(source.evidence(options.name, options.version), _key(options))
        remembered = _remembered(listing, source, options)
    if options.json:
        verified = [*listing.said, remembered]
        tell_json({"server": listing.server, "listing": listing.ours, "verified": verified})
        return 0
    tell(f"{listing.name} {listing.version} ({listing.status})", _harmless(listing.server["description"]))
    tell(*(f"  {key}: {_harmless(str(value))}" for key, value in listing.ours.items() if key not in _SIGNED))
    tell(*(f"  verified: {sentence}" for sentence in (*listing.said, remembered)))
    return 0


def _install(options: argparse.Namespace) -> int:
    with _opened(options) as source:
        licence = options.licence.read_text(encoding="utf-8") if options.licence else kept_licence(options.name)
        plan = plan_install(
            source, _key(options), options.name, options.version, options.level, licence=licence, at=now()
        )
        code = _carry_out([plan], source, options)
    if code == 0 and plan.licence:
        keep_licence(plan.name, licence)
    return code


def _upgrade(options: argparse.Namespace) -> int:
    with _opened(options) as source:
        plans = newer_than_installed(Place(python_in(options.into)), source, _key(options), kept_licence, now())
        if not plans:
            tell("everything is up to date")
            return 0
        return _carry_out(plans, source, options)


def _carry_out(plans: list[Plan], source: Source, options: argparse.Namespace) -> int:
    remembered = [_remembered(plan.listing, source, options) for plan in plans]
    if not options.json:
        tell(*(line for plan in plans for line in plan.lines()))
        tell(f"  verified: {remembered[-1]}")
    if not consents("Install this?", yes=options.yes):
        return 1
    place = Place(python_in(options.into))
    for plan in plans:
        place.install(plan, [*source.wheel_folders, *options.find_links], offline=bool(source.wheel_folders))
    tell_json([to_json(plan) for plan in plans]) if options.json else tell("installed")
    return 0


def _remembered(listing: Verified, source: Source, options: argparse.Namespace) -> str:
    """Refuses a log that is not the continuation of what this user saw."""
    heads = Heads(home() / "registry-heads.json")
    return heads.accept(listing.checkpoint, _key(options), source, now(), older=options.older)


def _review(options: argparse.Namespace) -> int:
    reviewer = signer_in(options.reviewer_key, options.reviewer)
    with _opened(options) as source:
        evidence = source.evidence(options.name, options.version)
        listing = verify_listing(evidence, _key(options))
        if "wheel" not in listing.ours:
            raise UntrustedError(f"{listing.name} {listing.version} is unsigned: there is no wheel to review")
        wheel = source.wheel(listing.ours["wheel"]["sha256"], listing.ours["wheel"]["filename"])
        verify_wheel(listing, evidence, wheel, _key(options))
    signed = {"reviewer": str(reviewer.verifier), "name": listing.name, "version": listing.version}
    tell_json({**signed, "statement": review_of(listing, options.says, reviewer)})
    return 0


def _remove(options: argparse.Namespace) -> int:
    gone = Place(python_in(options.into)).remove(options.name)
    tell(f"{gone.name} {gone.version} was removed")
    return 0


def _harmless(text: str) -> str:
    return told_to_the_model(text, 120)
