"""`check`: one skill rule by rule, or many as a table; and the page of a rule."""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factorylm_registry.quality import RULES, Judgement, Outcome, Rule, Tier, judge_all
from factorylm_registry.refusals import BadQuestionError
from factorylm_registry.registry import now
from factorylm_registry.telling import command, progress, tell, tell_json

_MARKS = {Outcome.PASSED: "ok    ", Outcome.FAILED: "wrong ", Outcome.EXEMPT: "exempt"}


def add_commands(commands: Any) -> None:
    """Its options."""
    check = command(commands, "check", _check, "judge skills by the quality scale", "factorylm-pumpcare")
    check.add_argument("paths", type=Path, nargs="*", metavar="PATH|WHEEL", help="several are shown as a table")
    check.add_argument("--rule", metavar="ID", help="show a rule's page instead: its reason, an example, its exception")
    check.add_argument("--at-least", choices=[tier.label for tier in Tier], default="bronze", help="else exit 1")
    check.add_argument("--json", action="store_true", help="one judgement, or a list of several")
    installer_options(check)


def installer_options(parser: argparse.ArgumentParser) -> None:
    """Where wheels come from."""
    parser.add_argument("--find-links", type=Path, action="append", default=[], metavar="DIR", help="wheels to use")
    parser.add_argument("--offline", action="store_true", help="use these wheels alone, no index")


def _check(options: argparse.Namespace) -> int:
    if options.rule:
        tell(*rule_page(options.rule))
        return 0
    if not options.paths:
        raise BadQuestionError("nothing to check", hint="Name a skill's folder or a wheel, or --rule ID")
    found = judge_all(options.paths, now(), sources=options.find_links, offline=options.offline, progress=progress)
    alone = found[0] if len(found) == 1 else None
    if options.json:
        tell_json(alone.wire() if alone else [one.wire() for one in found])
    else:
        tell(*(judgement_lines(alone) if alone else table_lines([one.wire() for one in found])))
    wanted = next(tier for tier in Tier if tier.label == options.at_least)
    return int(any(one.tier is None or one.tier < wanted for one in found))


def rule_page(rule_id: str) -> list[str]:
    """One rule's page."""
    rule = rule_of(rule_id)
    lines = [f"{rule.id} ({rule.tier.label}): {rule.title}", f"Why:       {rule.reason}"]
    return [*lines, f"Breach:    {rule.example}", f"Exception: {rule.exception}"]


def rule_of(rule_id: str) -> Rule:
    """The rule of that id."""
    for rule in RULES:
        if rule.id == rule_id.upper():
            return rule
    raise BadQuestionError(f"there is no rule {rule_id!r}", hint=f"The rules are {', '.join(one.id for one in RULES)}")


def judgement_lines(found: Judgement) -> list[str]:
    """Rule by rule."""
    lines = []
    for one in found.rulings:
        lines.append(f"{_MARKS[one.outcome]} {one.rule.id} {one.rule.tier.label:8} {one.rule.title}")
        if one.detail:
            lines.append(f"       {one.detail}")
    figures = "  ".join(f"{name} {figure:g}" for name, figure in found.figures.items())
    tier = found.tier.label if found.tier else "not even bronze"
    return [*lines, figures, f"{found.name} {found.version}: {tier}"]


def table_lines(judged: Sequence[dict[str, Any]]) -> list[str]:
    """A Markdown table of judgements as `check --json` writes them, aligned for a terminal."""
    rows = [_HEAD, *map(_row, judged)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


_HEAD = ("skill", "tier", "tools", "tokens", "start", "MB", "keeps it from the next tier")


def _row(judged: dict[str, Any]) -> tuple[str, ...]:
    """`start` is CPU time against importing the MCP SDK alone."""
    figures = judged["figures"]
    return (
        judged["skill"],
        judged["tier"],
        f"{figures['tools']:g}",
        f"{figures['tool_tokens']:g}",
        f"{figures['start_ratio']:.1f} ×",
        f"{figures['memory_mb']:.0f}",
        _missing(judged["rules"]) or "-",
    )


def _missing(rules: Sequence[dict[str, Any]]) -> str:
    """The failed rules of the lowest tier that has any."""
    failed = [one for one in rules if one["outcome"] == Outcome.FAILED]
    lowest = [one for one in failed if one["tier"] == failed[0]["tier"]]
    return "; ".join(f"{one['id']} {textwrap.shorten(one['detail'], 70, placeholder=' …')}" for one in lowest)
