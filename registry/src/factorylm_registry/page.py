"""The registry for people: rendered here, no script, nothing from elsewhere; every text of others is escaped."""

from importlib.resources import files
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from factorylm_registry.cursors import cursor_of, question_of
from factorylm_registry.page_home import Shelf, home_body
from factorylm_registry.page_parts import facts, shown
from factorylm_registry.page_skill import skill_body
from factorylm_registry.quality.rules import RULES
from factorylm_registry.refusals import NotListedError
from factorylm_registry.registry import Registry

_PER_PAGE = 30
_HEADERS = {
    # connect-src: Lighthouse reads robots.txt from within the page; no script of ours runs there
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
# llmstxt.org: a title, a summary, links
_FOR_MODELS = """\
# FactoryLM registry

> MCP servers ("skills") for industrial plants, each judged on its own simulator, signed and logged.

- [All skills, as JSON]({place}/v0.1/servers?version=latest): the MCP registry API v0.1; add &search=WORD
- [The API's document]({place}/openapi.json)
"""


def page_routes(registry: Registry) -> list[Route]:
    """The pages."""

    def home(request: Request) -> Response:
        question = question_of({**request.query_params, "version": "latest", "limit": str(_PER_PAGE)})
        found = registry.store.page(question)
        more = len(found) > _PER_PAGE
        shelf = Shelf(
            found=found[:_PER_PAGE],
            search=question.search,
            category=question.category,
            begins=question.after == 0,
            following=cursor_of(question.following(found[_PER_PAGE - 1].number)) if more else "",
        )
        return _page("Skills for AI assistants in plants", home_body(shelf))

    def skill(request: Request) -> Response:
        name = unquote(request.path_params["name"])
        try:
            listings = registry.store.versions(name, include_deleted=True)
        except NotListedError:
            return _missing(f"There is no skill called {name}")
        newest = next(one for one in listings if one.is_latest)
        place = str(request.base_url).rstrip("/")
        return _page(
            newest.server.get("title", name), skill_body(newest, listings, place, str(registry.signer.verifier))
        )

    def rule(request: Request) -> Response:
        found = [one for one in RULES if one.id == request.path_params["id"]]
        if not found:
            return _missing("There is no such rule")
        one = found[0]
        rows = [("Tier", one.tier.label), ("Why", one.reason), ("A breach", one.example), ("Exception", one.exception)]
        return _page(f"{one.id}: {one.title}", f'<div class="panel">{facts(rows)}</div>')

    def style(_: Request) -> Response:
        text = (files("factorylm_registry") / "page.css").read_bytes()
        return Response(text, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

    def robots(_: Request) -> Response:
        return _text("User-agent: *\nDisallow: /evidence/\nDisallow: /wheels/\nDisallow: /log/\n")

    def for_models(request: Request) -> Response:
        place = str(request.base_url).rstrip("/")
        return _text(_FOR_MODELS.format(place=place))

    return [
        Route("/", home),
        Route("/robots.txt", robots),
        Route("/llms.txt", for_models),
        Route("/skills/{name:path}", skill),
        Route("/rules/{id}", rule),
        Route("/page.css", style),
    ]


def _text(content: str) -> Response:
    return Response(content, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "public, max-age=3600"})


def _missing(title: str) -> Response:
    return _page(title, '<p class="lead">It may have another name: <a href="/">search for it</a>.</p>', status=404)


def _page(title: str, body: str, status: int = 200) -> Response:
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{shown(title)} · FactoryLM registry</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Skills for AI assistants in plants, with computed evidence of what they do">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css"></head>
<body><a class="skip" href="#main">Skip to the content</a>
<header><p class="brand"><a href="/">FactoryLM registry</a></p></header>
<main id="main"><h1>{shown(title)}</h1>
{body}</main>
<footer><p>Tiers are computed by checks on a skill's own simulator; levels say who signed.
<a href="/log/checkpoint">Head of the log</a> · <a href="/openapi.json">API</a></p>
</footer></body></html>
"""
    content = text.encode("utf-8", "replace")
    return Response(content, status_code=status, media_type="text/html; charset=utf-8", headers=_HEADERS)
