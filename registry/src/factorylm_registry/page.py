"""The registry for people: rendered here, no script, nothing from elsewhere; every text of others is escaped."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote, unquote, urlencode

from factorylm_skill.untrusted import told_to_the_model
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from factorylm_registry.cursors import cursor_of, question_of
from factorylm_registry.listing import Listing, Status
from factorylm_registry.quality.rules import RULES
from factorylm_registry.refusals import NotListedError
from factorylm_registry.registry import Registry

CATEGORIES = ("plc", "protocol", "alarms", "maintenance", "simulation", "energy", "quality", "logistics")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def page_routes(registry: Registry) -> list[Route]:
    """The pages."""

    def home(request: Request) -> Response:
        question = question_of({**request.query_params, "version": "latest", "limit": "30"})
        found = registry.store.page(question)
        more = cursor_of(question.following(found[29].number)) if len(found) > question.limit else ""
        return _page("Skills", _home(found[:30], question.search, question.category, more))

    def skill(request: Request) -> Response:
        name = unquote(request.path_params["name"])
        listings = registry.store.versions(name, include_deleted=True)
        shown = next(one for one in listings if one.is_latest)
        return _page(shown.server.get("title", name), _skill(shown, listings, str(registry.signer.verifier)))

    def rule(request: Request) -> Response:
        found = [one for one in RULES if one.id == request.path_params["id"]]
        if not found:
            raise NotListedError("there is no such rule")
        one = found[0]
        rows = [("Tier", one.tier.label), ("Why", one.reason), ("A breach", one.example), ("Exception", one.exception)]
        return _page(f"{one.id}: {one.title}", _facts(rows))

    def style(_: Request) -> Response:
        text = (files("factorylm_registry") / "page.css").read_bytes()
        return Response(text, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

    return [
        Route("/", home),
        Route("/skills/{name:path}", skill),
        Route("/rules/{id}", rule),
        Route("/page.css", style),
    ]


def _page(title: str, body: str) -> Response:
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{_shown(title)} · FactoryLM registry</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Skills for AI assistants in plants, with computed evidence of what they do">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css"></head>
<body><a class="skip" href="#main">Skip to the skills</a>
<header><p class="brand"><a href="/">FactoryLM registry</a></p></header>
<main id="main"><h1>{_shown(title)}</h1>
{body}</main>
<footer><p>Tiers are computed by checks on a simulator; levels say who signed. <a href="/log/checkpoint">Log</a></p>
</footer></body></html>
"""
    return Response(text.encode("utf-8", "replace"), media_type="text/html; charset=utf-8", headers=_HEADERS)


def _home(found: Sequence[Listing], search: str, category: str, more: str) -> str:
    links = " ".join(
        f'<li><a href="/?{urlencode({"category": one})}"{_current(one == category)}>{one}</a></li>'
        for one in CATEGORIES
    )
    cards = "".join(map(_card, found)) or "<li>Nothing fits. Try a shorter word.</li>"
    following = f'<p><a rel="next" href="/?cursor={more}">More skills</a></p>' if more else ""
    return f"""<form role="search" action="/"><label for="search">Search</label>
<input id="search" name="search" type="search" maxlength="100" value="{escape(search)}"><button>Find</button></form>
<nav aria-label="Categories"><ul class="row">{links}</ul></nav>
<ul class="cards">{cards}</ul>{following}"""


def _current(here: bool) -> str:
    return ' aria-current="page"' if here else ""


def _card(one: Listing) -> str:
    check = one.ours.get("check", {})
    badge = f"{check.get('tier', 'not checked')}, {one.ours.get('level', 'unsigned')}"
    return f"""<li><h2><a href="/skills/{quote(one.name)}">{_shown(one.server.get("title", one.name))}</a></h2>
<p>{_shown(one.server["description"])}</p><p class="soft">{_shown(one.name)} {_shown(one.version)} · {_shown(badge)}</p>
</li>"""


def _skill(one: Listing, listings: Sequence[Listing], key: str) -> str:
    ours, check = one.ours, one.ours.get("check", {})
    figures = check.get("figures", {})
    writes = "only with --allow-writes, each approved by a person" if ours.get("safety") == "gated-writes" else "none"
    rows = [
        ("Name", one.name),
        ("Version", one.version),
        ("Status", f"{one.status} {one.status_message}".strip()),
        ("Trust level", ours.get("level", "unsigned")),
        ("Tier", f"{check.get('tier', 'not checked')}, judged {str(check.get('at', 'never'))[:10]}"),
        ("Published by", str(ours.get("publisher", "")).split("+")[0] or "unsigned"),
        ("Network", ", ".join(map(str, ours.get("schemes", []))) or "none of its own"),
        ("Writes", writes),
        ("Tools", figures.get("tools", "unknown")),
        ("Tokens in each request", figures.get("tool_tokens", "unknown")),
        ("Memory, MB", figures.get("memory_mb", "unknown")),
    ]
    install = f"factorylm-registry install {one.name} --from ADDRESS --key {key}"
    warning = (
        "" if one.status is Status.ACTIVE else f'<p class="warning">{one.status}: {_shown(one.status_message)}</p>'
    )
    return f"""{warning}<p>{_shown(one.server["description"])}</p>{_facts(rows)}
<h2>Install</h2><pre tabindex="0"><code>{escape(install)}</code></pre>
<h2>Evidence</h2>{_evidence(check)}<p><a href="/evidence/{quote(one.name, safe="")}/versions/{quote(one.version)}">
Log entries, proofs and signatures</a></p>
<h2>Versions</h2><ul>{"".join(map(_version, listings))}</ul>"""


def _evidence(check: dict[str, Any]) -> str:
    """Which rules hold; exemptions with their reasons."""
    if not check:
        return "<p>This version was not checked.</p>"
    failed, exempt = set(check.get("failed", [])), check.get("exempt", {})
    rows = []
    for rule in RULES:
        outcome = "failed" if rule.id in failed else f"exempt: {exempt[rule.id]}" if rule.id in exempt else "passed"
        link = f'<a href="/rules/{rule.id}">{rule.id}</a>'
        rows.append(f"<tr><td>{link}</td><td>{_shown(rule.title)}</td><td>{_shown(outcome)}</td></tr>")
    head = '<tr><th scope="col">Rule</th><th scope="col">What it demands</th><th scope="col">Outcome</th></tr>'
    return f'<div class="wide" tabindex="0" role="region" aria-label="Rules"><table>{head}{"".join(rows)}</table></div>'


def _version(one: Listing) -> str:
    return f"<li>{_shown(one.version)}, {one.published_at[:10]}, {one.status} {_shown(one.status_message)}</li>"


def _facts(rows: Sequence[tuple[str, object]]) -> str:
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{_shown(str(value))}</dd>" for name, value in rows) + "</dl>"


def _shown(text: object) -> str:
    """Data of others: hidden characters made visible, cut, escaped."""
    return escape(told_to_the_model(str(text), 300))
