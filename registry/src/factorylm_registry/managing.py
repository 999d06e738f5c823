"""The commands of a namespace's owner: who holds keys for it, and what became of them."""

import argparse
import json
from typing import Any
from urllib.parse import quote

from factorylm_registry.account_options import account_of, account_options
from factorylm_registry.accounts import Role
from factorylm_registry.sources import HttpSource
from factorylm_registry.telling import command, tell, tell_json


def add_commands(commands: Any) -> None:
    """Their options."""
    add = command(
        commands, "add-key", _add, "let another key act for a namespace", "com.example KEY --role publisher …"
    )
    add.add_argument(
        "--role",
        choices=[Role.OWNER, Role.PUBLISHER, Role.EDITOR],
        default=Role.PUBLISHER,
        help="owner > publisher > editor",
    )
    retire = command(
        commands, "retire-key", _retire, "a key proves nothing from now on", "com.example KEY --reason lost …"
    )
    retire.add_argument("--reason", required=True, help="for whoever reads the log")
    audit = command(commands, "audit", _audit, "who changed what in a namespace", "com.example --from URL")
    for one in (add, retire, audit):
        one.add_argument("namespace", metavar="NAMESPACE")
    for one in (add, retire):
        one.add_argument("holder", metavar="KEY", help="the line NAME+HASH+KEY that `key` prints")
        account_options(one)
    audit.add_argument("--from", dest="source", required=True, metavar="URL")
    audit.add_argument("--json", action="store_true")


def _add(options: argparse.Namespace) -> int:
    asked = {"key": options.holder, "role": str(options.role)}
    return _told(account_of(options).change("POST", f"/v0.1/namespaces/{quote(options.namespace)}/keys", asked))


def _retire(options: argparse.Namespace) -> int:
    asked = {"key": options.holder, "reason": options.reason}
    return _told(account_of(options).change("POST", f"/v0.1/namespaces/{quote(options.namespace)}/keys/retire", asked))


def _told(answer: dict[str, Any]) -> int:
    for one in answer["keys"]:
        state = f"retired {one['until'][:10]}" if one["until"] else f"in use since {one['since'][:10]}"
        tell(f"{one['role']:9} {state:23} {one['key']}")
    return 0


def _audit(options: argparse.Namespace) -> int:
    found = json.loads(HttpSource(options.source).call("GET", f"/v0.1/namespaces/{quote(options.namespace)}/audit"))
    if options.json:
        tell_json(found["entries"])
        return 0
    for one in found["entries"]:
        about = " ".join(
            str(one[key]) for key in ("name", "version", "key", "role", "licence", "reason") if one.get(key)
        )
        tell(f"{one['index']:6} {one['time'][:19]}Z {one['by']}: {one['event']} {about}")
    return 0
