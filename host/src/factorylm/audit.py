"""`factorylm audit verify|show`: is the trail intact, and what does it say."""

import argparse
from pathlib import Path

from factorylm_schema import AuditError
from factorylm_skill import AuditLog, told_to_the_model
from factorylm_skill.places import audit_file

from factorylm.printing import print_json, print_line, print_table

_COLUMNS = ["n", "time", "event", "tag", "value", "before", "after", "principal", "client", "asked_because", "reason"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("action", choices=["verify", "show"])
    parser.add_argument("--audit", type=Path, metavar="FILE", help="the audit log (default: in your data folder)")
    parser.add_argument("--tag", default="", help="show: only this tag")
    parser.add_argument("--last", type=int, default=50, metavar="N", help="show: at most the last N lines (default 50)")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(options: argparse.Namespace) -> None:
    """Verify or show; a broken trail is an error that names the line."""
    log = AuditLog(options.audit or audit_file())
    if options.action == "verify":
        _verify(log, as_json=options.json)
    else:
        _show(log, options)


def _verify(log: AuditLog, *, as_json: bool) -> None:
    found = log.verify()
    if as_json:
        print_json({"file": str(log.path), "intact": found.intact, "lines": found.lines, "line": found.line})
    if not found.intact:
        raise AuditError(
            f"{log.path}: line {found.line} {found.message}",
            hint="Keep the file as evidence, find out who changed it, and start a new one with --audit",
        )
    if not as_json:
        print_line(f"{log.path}: {found.lines} lines, the chain is intact")


def _show(log: AuditLog, options: argparse.Namespace) -> None:
    entries = [e for e in log.entries() if options.tag in ("", e.get("tag"))][-options.last :]
    if options.json:
        print_json(entries)
    elif not entries:
        print_line(f"{log.path}: nothing recorded{f' for {options.tag}' if options.tag else ''}")
    else:
        used = [c for c in _COLUMNS if any(c in e for e in entries)]
        print_table(used, [[_shown(e.get(c)) for c in used] for e in entries])


def _shown(value: object) -> object:
    return told_to_the_model(value) if isinstance(value, str) else value
