"""The commands of a skill's author beside `check`: new, document, publish, deprecate, yank."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from factorylm_registry.account_options import DEFAULT_KEY, account_of, account_options
from factorylm_registry.checking import installer_options
from factorylm_registry.documents import documents_of
from factorylm_registry.publishers import key_record
from factorylm_registry.quality import judge
from factorylm_registry.quality.environment import build_wheel
from factorylm_registry.quality.judging import manifest_of
from factorylm_registry.refusals import BadQuestionError
from factorylm_registry.registry import now
from factorylm_registry.scaffold import new_skill
from factorylm_registry.signatures import signer_in
from factorylm_registry.telling import command, progress, tell, tell_json
from factorylm_registry.wheels import Wheel, wheel_in


def add_commands(commands: Any) -> None:
    """Their options."""
    new = command(commands, "new", _new, "write a new skill's folder", "pumpcare --namespace com.example")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--namespace", default="com.example", help="your domain reversed (default com.example)")
    new.add_argument("--into", type=Path, default=Path(), metavar="DIR")
    document = command(
        commands, "document", _document, "write the listing's documents", "factorylm-pumpcare --write out"
    )
    document.add_argument("path", type=Path, metavar="PATH|WHEEL")
    document.add_argument("--name", default="", help="the server's name, where the README has no mcp-name line")
    document.add_argument("--write", type=Path, metavar="DIR", help="write the files instead of printing them")
    key = command(commands, "key", _key, "show the line that proves your domain", "--domain example.com --key my.key")
    publish = command(
        commands,
        "publish",
        _publish,
        "check, sign and list a skill",
        "factorylm-pumpcare --to URL --domain example.com",
    )
    publish.add_argument("path", type=Path, metavar="PATH|WHEEL")
    publish.add_argument("--check", type=Path, metavar="FILE", help="what `check --json` said of this wheel")
    installer_options(publish)
    deprecate = command(commands, "deprecate", _deprecate, "warn of a version", "com.example/pumpcare 0.1.0 --reason …")
    yank = command(commands, "yank", _yank, "withdraw a version", "com.example/pumpcare 0.1.0 --reason …")
    for one in (deprecate, yank):
        one.add_argument("name", metavar="NAME")
        one.add_argument("version", metavar="VERSION", nargs="?", default="", help="all versions, when left out")
        one.add_argument("--reason", required=True, help="for whoever has it installed")
        one.add_argument("--replacement", default="", metavar="NAME", help="what to use instead")
    key.add_argument("--domain", required=True, help="the domain that proves your namespace, or your key's own name")
    key.add_argument("--key", type=Path, default=DEFAULT_KEY, metavar="FILE")
    for one in (publish, deprecate, yank):
        account_options(one)


def _new(options: argparse.Namespace) -> int:
    folder = new_skill(options.name, options.namespace, options.into)
    tell(f"{folder} is ready", f"next: factorylm-registry check {folder}")
    return 0


def _document(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        wheel, folder = _wheel(options.path, Path(scratch))
        made = documents_of(wheel, options.name, folder)
    if options.write is None:
        tell_json(made)
        return 0
    options.write.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (options.write / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        tell(str(options.write / name))
    return 0


def _key(options: argparse.Namespace) -> int:
    verifier = signer_in(options.key, options.domain).verifier
    tell(key_record(verifier.key), f"show it as a TXT record of {options.domain},")
    tell(f"or as https://{options.domain}/.well-known/mcp-registry-auth")
    tell(f"or let the owner of a namespace add it: {verifier}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    account = account_of(options)
    account.service.call("GET", "/v0.1/ping")  # a wrong address is told before the long check
    with tempfile.TemporaryDirectory() as scratch:
        wheel, _ = _wheel(options.path, Path(scratch))
        file = Path(scratch) / wheel.filename
        file.write_bytes(wheel.content)
        manifest, trouble = manifest_of(wheel, None, Path(scratch))
        if manifest is None:
            raise BadQuestionError(trouble, hint="What is listed must be in what is installed: rule G06")
        if options.check:
            found = json.loads(options.check.read_text(encoding="utf-8"))
        else:
            found = judge(file, now(), sources=options.find_links, offline=options.offline, progress=progress).wire()
        listed = account.publish(wheel, manifest, found)
    tell(f"{listed['server']['name']} {listed['server']['version']} is listed: tier {found['tier']}")
    return 0


def _deprecate(options: argparse.Namespace) -> int:
    return _status(options, "deprecated")


def _yank(options: argparse.Namespace) -> int:
    return _status(options, "deleted")


def _status(options: argparse.Namespace, status: str) -> int:
    instead = f"; use {options.replacement}" if options.replacement else ""
    account_of(options).set_status(options.name, options.version, status, f"{options.reason}{instead}")
    tell(f"{options.name} {options.version or '(all versions)'} is {status}")
    return 0


def _wheel(path: Path, scratch: Path) -> tuple[Wheel, Path | None]:
    if path.is_dir():
        return wheel_in(build_wheel(path, scratch / "built")), path
    if not path.is_file():
        raise BadQuestionError(f"there is no {path}", hint="Name a skill's folder or a wheel")
    return wheel_in(path), None
