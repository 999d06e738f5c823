"""The table of skills in README.md, from the packages themselves. `./run docs` writes it; runs in .venv."""

import argparse
import sys
from importlib.metadata import entry_points

from factorylm_skill import Settings, Skill
from factorylm_skill.testing import tool_tokens

from workspace.members import ROOT, Member, members

README = ROOT / "README.md"
BEGIN, END = "<!-- skills: written by ./run docs -->\n", "<!-- end of skills -->\n"


def main() -> int:
    """Write the table into README.md; with --check, 1 when it is not current."""
    parser = argparse.ArgumentParser(prog="./run docs", description="Write what is generated in README.md anew.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something is not current")
    options = parser.parse_args()
    present = README.read_text(encoding="utf-8")
    wanted = with_table(present)
    if wanted == present:
        return 0
    if options.check:
        print("README.md: the table of skills is not current; run ./run docs", file=sys.stderr)
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


def with_table(text: str) -> str:
    """The document with the table of today's skills between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{_table()}{END}{after}"


def _table() -> str:
    rows = [_row(member, name) for member in members() for name in sorted(member.skills)]
    head = "| skill | what it does | speaks | tools | tokens |\n|---|---|---|---|---|\n"
    return head + "".join(rows)


def _row(member: Member, name: str) -> str:
    (entry,) = entry_points(group="factorylm.skills", name=name)
    skill: Skill = entry.load()
    tools = [tool.listing for tool in skill.open(Settings()).tools]
    tokens = sum(tool_tokens(tool) for tool in tools)
    speaks = ", ".join(f"`{scheme}`" for scheme in sorted(getattr(getattr(skill, "dialect", None), "schemes", ())))
    link = f"[{skill.title}]({member.folder.relative_to(ROOT).as_posix()}/README.md)"
    return f"| {link} | {member.project['description']} | {speaks or '-'} | {len(tools)} | {tokens} |\n"


if __name__ == "__main__":
    sys.exit(main())
