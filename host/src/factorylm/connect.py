"""`factorylm connect CLIENT`: the exact change to an assistant's configuration, shown first, made when told."""

import argparse
import difflib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factorylm_schema import BadRequestError

from factorylm.printing import print_json, print_line

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Client:
    """Where a client keeps its servers: the file, the key in it, and what it calls a stdio server."""

    title: str
    file: Callable[[], Path | None]
    key: str = "mcpServers"
    extra: tuple[tuple[str, str], ...] = ()
    restart: str = ""


def _claude_desktop() -> Path:
    if sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support" / "Claude"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA", Path.home())) / "Claude"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "Claude"
    return folder / "claude_desktop_config.json"


CLIENTS = {
    "claude-desktop": Client(title="Claude Desktop", file=_claude_desktop, restart="Restart Claude Desktop."),
    "claude-code": Client(title="Claude Code", file=lambda: Path(".mcp.json"), restart="Start claude in this folder."),
    "vscode": Client(
        title="VS Code",
        file=lambda: Path(".vscode") / "mcp.json",
        key="servers",
        extra=(("type", "stdio"),),
        restart="Open this folder in VS Code.",
    ),
    "cursor": Client(title="Cursor", file=lambda: Path.home() / ".cursor" / "mcp.json", restart="Restart Cursor."),
    "openclaw": Client(title="OpenClaw", file=lambda: None),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    parser.add_argument("client", choices=sorted(CLIENTS))
    parser.add_argument("--plant", type=Path, metavar="FILE", help="the plant file (without it: simulated devices)")
    parser.add_argument("--skill", action="append", default=[], metavar="SKILL", help="serve only these skills")
    parser.add_argument("--allow-writes", action="store_true", help="offer the write tools; a person approves each")
    parser.add_argument("--name", default="factorylm", help="the server's name in the configuration")
    parser.add_argument("--file", type=Path, help="the configuration file (default: where the client looks)")
    parser.add_argument("--write", action="store_true", help="make the change; without it, it is only shown")
    parser.add_argument("--json", action="store_true", help="print the server entry alone")


def run(options: argparse.Namespace) -> None:
    """Show the change; make it with --write."""
    client = CLIENTS[options.client]
    entry = {**dict(client.extra), **server_entry(options)}
    if options.json:
        print_json(entry)
        return
    file = options.file or client.file()
    if file is None:
        _tell_command(client, options.name, entry)
        return
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    after = changed(before, client.key, options.name, entry, str(file))
    _show(before, after, file)
    if before == after:
        print_line("nothing to change")
    elif options.write:
        _write(file, before, after)
        print_line(f"written. {client.restart}")
    else:
        print_line("not written; add --write to make this change")


def server_entry(options: argparse.Namespace) -> Entry:
    """How the client starts the host: this very Python, so that no PATH is needed."""
    plant = ["--plant", str(options.plant.resolve())] if options.plant else ["--simulate"]
    writes = ["--allow-writes"] if options.allow_writes else []
    return {"command": sys.executable, "args": ["-m", "factorylm", "serve", *options.skill, *plant, *writes]}


def changed(before: str, key: str, name: str, entry: Entry, file: str) -> str:
    """`before` with our entry in it; everything else stays. Refuses what it cannot read or does not own."""
    try:
        document = json.loads(before) if before.strip() else {}
    except ValueError as error:
        wanted = json.dumps({key: {name: entry}}, indent=2)
        raise BadRequestError(f"{file} is not plain JSON ({error})", hint=f"Add this yourself: {wanted}") from error
    if not isinstance(document, dict) or not isinstance(document.setdefault(key, {}), dict):
        raise BadRequestError(f"{file} holds something else than an object under {key!r}", hint="Correct it first")
    present = document[key].get(name)
    if present is not None and not _is_ours(present):
        raise BadRequestError(f"{file} already has another server called {name!r}", hint="Choose another with --name")
    if present == entry:
        return before
    document[key][name] = entry
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _is_ours(entry: Any) -> bool:
    arguments = entry.get("args") if isinstance(entry, dict) else None
    return isinstance(arguments, list) and arguments[:3] == ["-m", "factorylm", "serve"]


def _show(before: str, after: str, file: Path) -> None:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(file), str(file), lineterm="")
    for line in lines:
        print_line(line)


def _write(file: Path, before: str, after: str) -> None:
    """The old file stays beside the new one; the change is whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if before:
        file.with_name(file.name + ".before-factorylm").write_text(before, encoding="utf-8")
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(after, encoding="utf-8")
    fresh.replace(file)


def _tell_command(client: Client, name: str, entry: Entry) -> None:
    print_line(f"{client.title} keeps its servers itself; run:")
    print_line(f"openclaw mcp set {name} '{json.dumps(entry)}'")
