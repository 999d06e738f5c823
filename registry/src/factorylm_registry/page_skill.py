"""The page of one skill: how to install it, what it costs and may do, and the evidence."""

from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from factorylm_registry.listing import Listing, Status
from factorylm_registry.page_parts import badges, facts, shown
from factorylm_registry.quality.rules import RULES

_MARKS = {"passed": "✓", "failed": "✗", "exempt": "~"}
_PRICES = {
    "free": "free",
    "subscription": "subscription: installing needs the publisher's licence",
    "custom": "on request: contact the publisher",
}


def skill_body(one: Listing, listings: Sequence[Listing], place: str, key: str) -> str:
    """Everything below the title; `place` and `key` are this registry's."""
    check = one.ours.get("check", {})
    warning = "" if one.status is Status.ACTIVE else f'<p class="warning">{one.status}: {shown(one.status_message)}</p>'
    return f"""{warning}<p class="lead">{shown(one.server["description"])}</p><p>{badges(one.ours, one.status)}</p>
<div class="columns"><div>
<h2>Install</h2>{_install(one, place, key)}
{_tools(check)}
<h2>Evidence</h2>{_evidence(check)}
<p><a href="/evidence/{quote(one.name, safe="")}/versions/{quote(one.version)}">
Log entries, proofs and signatures</a></p>
</div><aside class="panel"><h2>At a glance</h2>{facts(_facts(one))}
<h2>Versions</h2><ul>{"".join(map(_version, listings))}</ul></aside></div>"""


def _install(one: Listing, place: str, key: str) -> str:
    command = f"factorylm-registry install {one.name} --from {place} --key {key}"
    note = '<p class="soft">It verifies signatures, log and hashes, shows a plan, and asks.</p>'
    if one.ours.get("listing", "free") == "subscription":
        command += " --licence FILE"
    if "wheel" not in one.ours:
        note = '<p class="soft">This version is unsigned: the registry lists it and does not install it.</p>'
        command = f"factorylm-registry show {one.name} --from {place} --key {key}"
    return f'<pre tabindex="0"><code>{escape(command)}</code></pre>{note}'


def _facts(one: Listing) -> list[tuple[str, object]]:
    ours, check = one.ours, one.ours.get("check", {})
    figures = check.get("figures", {})
    review = str(ours.get("review", {}).get("reviewer", "")).split("+")[0]
    rows: list[tuple[str, object]] = [
        ("Name", one.name),
        ("Version", one.version),
        ("Price", _PRICES.get(str(ours.get("listing", "free")), "unknown")),
        ("Published by", str(ours.get("publisher", "")).split("+")[0] or "unsigned"),
        *([("Reviewed by", review)] if review else []),
        ("Judged", f"{str(check['at'])[:10]} by {check.get('by', 'its publisher')}" if check.get("at") else "never"),
        ("Network", ", ".join(map(str, ours.get("schemes", []))) or "none of its own"),
        ("Writes", "only with --allow-writes, each approved by a person" if _writes(ours) else "none"),
        ("Categories", ", ".join(map(str, ours.get("categories", []))) or "none"),
    ]
    known = [("Tokens in each request", "tool_tokens"), ("Memory, MB", "memory_mb"), ("Packages", "distributions")]
    return [*rows, *((label, f"{figures[name]:g}") for label, name in known if _is_number(figures.get(name)))]


def _writes(ours: dict[str, Any]) -> bool:
    return ours.get("safety") == "gated-writes"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _tools(check: dict[str, Any]) -> str:
    """What an assistant is offered, and what each costs it."""
    costs = check.get("tool_costs", {})
    if not costs:
        return ""
    rows = "".join(
        f"<tr><td><code>{shown(name)}</code></td><td>{shown(cost)}</td></tr>" for name, cost in costs.items()
    )
    head = '<tr><th scope="col">Tool</th><th scope="col">Tokens</th></tr>'
    return f"<h2>Tools</h2><table>{head}{rows}</table>"


def _evidence(check: dict[str, Any]) -> str:
    """Which rules hold; exemptions with their reasons."""
    if not check:
        return "<p>This version was not checked.</p>"
    failed, exempt = set(check.get("failed", [])), check.get("exempt", {})
    rows = []
    for rule in RULES:
        outcome = "failed" if rule.id in failed else "exempt" if rule.id in exempt else "passed"
        told = f"exempt: {exempt[rule.id]}" if outcome == "exempt" else outcome
        link = f'<a href="/rules/{rule.id}">{rule.id}</a>'
        mark = f'<span class="{outcome}"><span aria-hidden="true">{_MARKS[outcome]}</span> {shown(told)}</span>'
        rows.append(f"<tr><td>{link}</td><td>{rule.tier.label}</td><td>{shown(rule.title)}</td><td>{mark}</td></tr>")
    columns = ("Rule", "Tier", "What it demands", "Outcome")
    head = "".join(f'<th scope="col">{one}</th>' for one in columns)
    held = len(RULES) - len(failed) - len(exempt)
    return f"""<p>{held} of {len(RULES)} rules hold.</p>
<div class="wide" tabindex="0" role="region" aria-label="Rules"><table><tr>{head}</tr>{"".join(rows)}</table></div>"""


def _version(one: Listing) -> str:
    return f"<li>{shown(one.version)}, {one.published_at[:10]}, {one.status} {shown(one.status_message)}</li>"
