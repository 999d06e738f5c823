"""The first page: search, what to browse by, and the skills that fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, urlencode

from factorylm_registry.listing import Listing
from factorylm_registry.page_parts import badges, shown
from factorylm_registry.taxonomy import GROUPS, Group


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What is shown, and what was asked for."""

    found: Sequence[Listing]
    search: str
    category: str
    begins: bool
    following: str


def home_body(shelf: Shelf) -> str:
    """Everything below the title."""
    cards = "".join(map(_card, shelf.found))
    skills = f'<ul class="cards">{cards}</ul>' if cards else _nothing(shelf)
    more = f'<p><a class="more" rel="next" href="/?cursor={shelf.following}">More skills</a></p>'
    value = escape(shelf.search)
    return f"""<p class="lead">What a skill does is computed on its own simulator, signed and logged.</p>
<form role="search" action="/"><label for="search">Search</label>
<input id="search" name="search" type="search" maxlength="100" value="{value}"><button>Find</button></form>
{_browse(shelf.category)}
{_asked(shelf)}{skills}{more if shelf.following else ""}"""


def _browse(category: str) -> str:
    """Open where a category is chosen, so that it shows which."""
    groups = "".join(_group(group, category) for group in GROUPS)
    opened = " open" if category else ""
    return f"""<details class="browse"{opened}><summary>Browse by protocol, asset or supply-chain area</summary>
<nav aria-label="Categories"><div class="groups">{groups}</div></nav></details>"""


def _group(group: Group, category: str) -> str:
    links = "".join(
        f'<li><a href="/?{urlencode({"category": one})}"{_current(one == category)}>{one}</a></li>'
        for one in group.categories
    )
    return f"<div><h2>{group.title}</h2><ul>{links}</ul></div>"


def _current(here: bool) -> str:
    return ' aria-current="page"' if here else ""


def _asked(shelf: Shelf) -> str:
    """What the list is a part of, with the way back."""
    told = [f"“{shown(shelf.search)}”"] if shelf.search else []
    told += [f"category {shown(shelf.category)}"] if shelf.category else []
    if not told:
        return ""
    count = f"{len(shelf.found)}{' or more' if shelf.following or not shelf.begins else ''}"
    noun = "skill" if count == "1" else "skills"
    return f'<p class="soft">{count} {noun} for {", ".join(told)} · <a href="/">Show all</a></p>'


def _nothing(shelf: Shelf) -> str:
    if shelf.search or shelf.category:
        return """<div class="panel empty"><p><strong>Nothing fits.</strong></p>
<p>Search finds parts of names, titles and descriptions: try a shorter word, or browse the categories.</p></div>"""
    return """<div class="panel empty"><p><strong>No skill is listed yet.</strong></p>
<p>The first one is a command away:</p><pre tabindex="0"><code>factorylm-registry new pumpcare</code></pre></div>"""


def _card(one: Listing) -> str:
    tokens = one.ours.get("check", {}).get("figures", {}).get("tool_tokens")
    cost = f" · {tokens:g} tokens" if isinstance(tokens, int | float) else ""
    return f"""<li><h2><a href="/skills/{quote(one.name)}">{shown(one.server.get("title", one.name))}</a></h2>
<p>{shown(one.server["description"])}</p>
<p>{badges(one.ours, one.status)}</p><p class="soft">{shown(one.name)} {shown(one.version)}{cost}</p></li>"""
