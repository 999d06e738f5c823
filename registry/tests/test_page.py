"""The page in a real browser: without JavaScript, with hostile texts, on a phone, in the dark; axe finds nothing."""

import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from workspace.lighthouse import best_of_three

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
EVIL = "<script>document.title='hacked'</script>\u202e"
CHECK = {
    "tier": "silver",
    "at": "2026-03-01",
    "failed": ["G04"],
    "exempt": {"G03": "one page of registers"},
    "figures": {"tools": 1, "tool_tokens": 120, "memory_mb": 80},
    "tool_costs": {"evil_read": 120},
}


@pytest.fixture(autouse=True)
def _browser_here():
    if CHROMIUM is None and os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail("this run must have Chromium, and there is none")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")


@pytest.fixture
def address(registry, release, serve):
    for number in range(34):
        registry.store.publish(release(f"com.example/n{number:02}-pump", title=f"Pump {number}"))
    ours = {"level": "community", "check": CHECK, "categories": ["plc"], "publisher": "example.com+x", "wheel": {}}
    registry.store.publish(release("com.example/evil", title=EVIL, description=EVIL, ours=ours))
    with serve(registry) as served:
        yield served


@asynccontextmanager
async def browser_page(**options):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield await browser.new_page(**options)
        await browser.close()


async def test_a_person_finds_a_skill_without_javascript(address):
    async with browser_page(java_script_enabled=False) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(address)
        assert await page.locator(".cards > li").count() == 30
        await page.get_by_role("link", name="More skills").click()
        assert await page.locator(".cards > li").count() == 5
        await page.get_by_label("Search").fill("n07")
        await page.get_by_role("button", name="Find").click()
        await page.get_by_role("link", name="Pump 7", exact=True).click()
        assert "factorylm-registry show com.example/n07-pump --from" in await page.locator("pre").inner_text()
        assert "unsigned: the registry lists it and does not install it" in await page.locator("main").inner_text()
        assert all(url.startswith(address) for url in asked), "everything comes from the registry itself"


async def test_a_category_shows_its_skills_and_the_evidence_leads_to_the_rule(address):
    async with browser_page(java_script_enabled=False) as page:
        await page.goto(address)
        await page.get_by_text("Browse by protocol").click()
        await page.get_by_role("link", name="plc", exact=True).click()
        assert "1 skill for category plc" in await page.locator("main").inner_text()
        await page.locator(".cards a").click()
        assert "factorylm-registry install com.example/evil --from" in await page.locator("pre").inner_text()
        assert "evil_read" in await page.locator("table").first.inner_text()
        assert "exempt: one page of registers" in await page.locator("table").last.inner_text()
        await page.get_by_role("link", name="G04").click()
        assert await page.locator("h1").inner_text() == "G04: It starts and rests lightly"


async def test_nothing_found_says_what_to_try_and_leads_back(address):
    async with browser_page(java_script_enabled=False) as page:
        await page.goto(f"{address}/?search=xyzzy")
        assert "Nothing fits." in await page.locator("main").inner_text()
        await page.get_by_role("link", name="Show all").click()
        assert await page.locator(".cards > li").count() == 30


def test_an_empty_registry_says_how_to_begin(client):
    assert "factorylm-registry new pumpcare" in client.get("/").text


def test_the_page_has_at_least_95_of_100_in_every_category_of_lighthouse(address, tmp_path):
    for path in ("/", "/skills/com.example/evil"):
        scores = best_of_three(address + path, CHROMIUM, tmp_path / "report.json")
        assert scores.lowest >= 95, (path, scores)


async def test_hostile_texts_are_shown_inert(address):
    async with browser_page() as page:
        await page.goto(f"{address}/skills/com.example/evil")
        assert await page.locator("h1").inner_text() == "<script>document.title='hacked'</script><U+202E>"
        assert "hacked" in await page.title()
        assert await page.locator("script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_scrolls_sideways_and_axe_finds_no_violation(address, scheme, width):
    axe = next((Path(__file__).parents[2] / ".cache" / "npm").glob("*/node_modules/axe-core/axe.min.js"), None)
    if axe is None:
        pytest.fail("axe-core is not there; ./run test fetches it (npm/package.json)")
    # the page's own policy admits no script, axe neither
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    async with browser_page(**options) as page:
        for path in ("/", "/?category=plc", "/?search=xyzzy", "/skills/com.example/evil", "/rules/B01"):
            await page.goto(address + path)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
            await page.evaluate(axe.read_text(encoding="utf-8"))
            found = await page.evaluate(
                "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
            )
            assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []


def test_crawlers_and_models_are_told_where_to_look(client):
    assert client.get("/robots.txt").text.startswith("User-agent: *\n")
    assert "(http://testserver/v0.1/servers?version=latest)" in client.get("/llms.txt").text


def test_pages_that_do_not_exist_say_so(client):
    for path, said in (("/skills/com.example/none", "no skill called"), ("/rules/Z99", "no such rule")):
        answer = client.get(path)
        assert (answer.status_code, said in answer.text, "<!doctype html>" in answer.text) == (404, True, True)
