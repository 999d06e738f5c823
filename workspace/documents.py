"""What a machine knows is written by it: README's table of skills, ARCHITECTURE's picture. Runs in .venv."""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from factorylm_registry.checking import table_lines
from factorylm_schema import load_manifest
from factorylm_skill import Settings, Skill
from factorylm_skill.testing import tool_tokens

from workspace.bench import FIGURES
from workspace.imports import layer, siblings_of
from workspace.members import ROOT, Member, members

# A benchmark called like a package, or like it and more (`router-speed`), is shown on that package's page, the others
# on the project's.
PAGES = {
    member.folder.name: page.relative_to(ROOT).as_posix()
    for member in members()
    if "<!-- figures: written" in (page := member.folder / "README.md").read_text(encoding="utf-8")
}


def main() -> int:
    """Write the generated parts; with --check, 1 when one is not current."""
    parser = argparse.ArgumentParser(prog="./run docs", description="Write the generated parts of documents anew.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something is not current")
    options = parser.parse_args()
    stale = [name for name in GENERATED if not _is_current(name)]
    for name in stale:
        if options.check:
            print(f"{name}: the generated part is not current; run ./run docs", file=sys.stderr)
        else:
            (ROOT / name).write_text(current_text(name), encoding="utf-8")
    return int(options.check and bool(stale))


def _is_current(document: str) -> bool:
    return (ROOT / document).read_text(encoding="utf-8") == current_text(document)


def current_text(document: str) -> str:
    """The document with its generated parts as they should be."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for mark, generate in GENERATED[document].items():
        text = _with_part(text, document, mark, generate)
    return text


def _with_part(text: str, document: str, mark: str, generate: Callable[[], str]) -> str:
    begin, end = f"<!-- {mark}: written by ./run docs -->\n", f"<!-- end of {mark} -->\n"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{document} lacks the marks {begin.strip()} and {end.strip()}")
    return f"{before}{begin}{generate()}{end}{after}"


def _skills() -> str:
    rows = [_skill_row(member, name) for member in members() for name in sorted(member.skills)]
    return "| skill | what it does | speaks | tools | tokens |\n|---|---|---|---|---|\n" + "".join(rows)


def _skill_row(member: Member, name: str) -> str:
    (entry,) = entry_points(group="factorylm.skills", name=name)
    skill: Skill = entry.load()
    tools = [tool.listing for tool in skill.open(Settings()).tools]
    tokens = sum(tool_tokens(tool) for tool in tools)
    speaks = ", ".join(f"`{scheme}`" for scheme in sorted(getattr(getattr(skill, "dialect", None), "schemes", ())))
    link = f"[{skill.title}]({member.folder.relative_to(ROOT).as_posix()}/README.md)"
    what = load_manifest(member.folder / "skill.toml").description
    return f"| {link} | {what} | {speaks or '-'} | {len(tools)} | {tokens} |\n"


def _imports() -> str:
    """A picture of the imports, each arrow once: what is reached through another package is not drawn again."""
    everybody = members()
    direct = {member.name: siblings_of(member, everybody) for member in everybody}
    lines = ["```mermaid", "flowchart TD"]
    highest_first = sorted(everybody, key=lambda member: (-layer(member), member.name))
    lines += [
        f'    {member.package}["{member.name}<br/>{member.folder.relative_to(ROOT).as_posix()}"]'
        for member in highest_first
    ]
    for name, below in sorted(direct.items()):
        drawn = below - {further for near in below for further in _reached(near, direct)}
        lines += [f"    {_node(name)} --> {_node(other)}" for other in sorted(drawn)]
    return "\n".join([*lines, "```", ""])


def _node(name: str) -> str:
    return name.replace("-", "_")


def _reached(name: str, direct: dict[str, set[str]]) -> set[str]:
    return direct[name] | {further for near in direct[name] for further in _reached(near, direct)}


def _figures(page: str) -> str:
    """What `./run bench record` kept of the benchmarks of a page, one row a figure."""
    kept = _kept()
    benches = [name for name in kept if PAGES.get(name.partition("-")[0], "README.md") == page]
    rows = [_figure_row(row, kept[name]["command"]) for name in benches for row in kept[name]["figures"]]
    return "| what | measured | bound | again with |\n|---|---|---|---|\n" + "".join(rows)


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    return kept


def _figure_row(row: dict[str, str], command: str) -> str:
    verdict = ", **not kept**" if row["verdict"] == "BROKEN" else ""
    return f"| {row['what']} | {row['measured']} | {row['bound']}{verdict} | `{command}` |\n"


def _judgements() -> str:
    """What `./run bench registry-skills --keep` found of our own skills."""
    judged = json.loads((ROOT / "registry" / "judgements.json").read_text(encoding="utf-8"))
    return "\n".join([*table_lines(judged), "", f"Judged on {judged[0]['judged_at'][:10]}.", ""])


GENERATED: dict[str, dict[str, Callable[[], str]]] = {
    "ARCHITECTURE.md": {"imports": _imports},
    "README.md": {"skills": _skills, "figures": partial(_figures, "README.md")},
    **{page: {"figures": partial(_figures, page)} for page in PAGES.values()},
}
GENERATED["registry/README.md"]["judgements"] = _judgements

if __name__ == "__main__":
    sys.exit(main())
