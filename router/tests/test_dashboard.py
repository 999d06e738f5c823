"""The dashboard in a real browser: figures, keyboard, phone, dark and light, axe, offline, live."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from factorylm_router.config import key_digest
from factorylm_router.simulated import Said

pytestmark = pytest.mark.anyio
REQUIRED = bool(os.environ.get("CI") or os.environ.get("FACTORYLM_REQUIRE_SERVERS"))
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
CACHE = Path(__file__).parents[2] / ".cache" / "axe-core"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
TOKEN = "operator-token-0123456789abcdef"


def must(reason: str) -> None:
    pytest.fail(reason) if REQUIRED else pytest.skip(reason)


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source, fetched once into a folder that git ignores."""
    script = CACHE / "package" / "axe.min.js"
    if not script.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            must("axe-core needs npm: install Node.js")
        told = subprocess.run([str(npm), "pack", "axe-core@4", "--silent"], cwd=CACHE, capture_output=True, text=True)
        if told.returncode:
            must(f"npm pack axe-core failed: {told.stderr[-300:]}")
        subprocess.run(["tar", "xzf", told.stdout.split()[-1]], cwd=CACHE, check=True)
    return script.read_text("utf-8")


@pytest.fixture(scope="module")
async def browser(anyio_backend: Any) -> AsyncIterator[Any]:
    if CHROMIUM is None:
        must("no Chromium here: apt-get install chromium")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        await found.close()


@pytest.fixture
async def busy(plant: Any, public: str, script: Any) -> AsyncIterator[Any]:
    """A router that has answered, escalated, refused and shadowed."""
    for name in ("cheap", "second", "premium"):
        plant.outside.models[name] = script(name, lambda chat: Said(text="3 * 1000 = 3000. The answer is 3000."))
    plant.site.models["local"] = script("local", lambda chat: Said(text="The answer is 3000."))
    async with plant.running(public + "[routing]\nshadow_share = 1\n", server='plant = "Pump station 3"'):
        for _ in range(3):
            await plant.chat("auto", "How many litres are 3 cubic metres?")
        await plant.chat("premium", "Tell me about pumps.")
        await plant.chat("cheap", "x", headers={"X-FactoryLM-Data-Class": "plant"})
        await plant.service.chooser.settled()
        await plant.rows()
        yield plant


async def opened(browser: Any, plant: Any, **more: Any) -> Any:
    context = await browser.new_context(**more)
    page = await context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.foreign = []
    page.on("request", lambda request: page.foreign.append(request.url) if plant.url not in request.url else None)
    await page.goto(plant.url + "/dashboard")
    await page.get_by_text("Live", exact=True).wait_for()
    return page


async def test_the_figures_are_those_of_the_ledger_and_go_on_live(browser: Any, busy: Any):
    page = await opened(browser, busy)
    rows = await busy.rows()
    cost = sum(row.cost_micro for row in rows)
    shown = f"${cost / 1e6:.6f}"
    assert await page.locator("#cost").inner_text() == shown
    assert await page.locator("#quality").inner_text() == "100.0 %"
    assert "3 shadows" in await page.locator("#quality-note").inner_text()
    assert await page.locator("#refused").inner_text() == "1"
    assert "1 data policy" in await page.locator("#refused-note").inner_text()
    assert await page.locator("#plant").inner_text() == "Pump station 3"
    await busy.chat("premium", "one more")
    await page.wait_for_function("before => document.getElementById('cost').textContent !== before", arg=shown)
    assert (page.complaints, page.foreign) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing_in_any_size_or_scheme(browser: Any, busy: Any, axe: str, scheme: str, width: int):
    page = await opened(browser, busy, color_scheme=scheme, viewport={"width": width, "height": 800})
    found = await (await page.context.new_cdp_session(page)).send("Runtime.evaluate", {"expression": axe})
    assert "exceptionDetails" not in found
    result = await page.evaluate(
        "async () => (await axe.run()).violations.map(v => [v.id, v.nodes.map(n => n.target)])"
    )
    assert result == []
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    folder = os.environ.get("FACTORYLM_SCREENSHOTS")
    if folder:
        await page.screenshot(path=f"{folder}/router-{scheme}-{width}.png", full_page=True)


async def test_the_keyboard_reaches_everything_in_order(browser: Any, busy: Any):
    page = await opened(browser, busy)
    seen = []
    for _ in range(6):
        await page.keyboard.press("Tab")
        seen.append(await page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert seen == ["skip", "hours", "pause", "scroll", "scroll", "scroll"]
    await page.locator("#pause").focus()
    await page.keyboard.press("Enter")
    await page.get_by_text("Paused", exact=True).wait_for()
    assert await page.locator("#pause").get_attribute("aria-pressed") == "true"


async def test_a_router_that_goes_away_is_told(browser: Any, busy: Any):
    page = await opened(browser, busy)
    await page.context.set_offline(True)
    await page.get_by_text("Router not reached").wait_for()
    await page.context.set_offline(False)
    await page.get_by_text("Live", exact=True).wait_for()


async def test_names_from_outside_are_text_and_never_markup(browser: Any, plant: Any, public: str):
    async with plant.running(public):
        await plant.chat("cheap", "x", headers={"X-FactoryLM-Agent": "<img src=x onerror=alert(1)>"})
        await plant.rows()
        page = await opened(browser, plant)
        assert await page.locator("img").count() == 0
        assert page.complaints == []


async def test_with_a_token_the_page_asks_for_it(browser: Any, plant: Any, public: str, axe: str):
    async with plant.running(public, server=f'admin_sha256 = "{key_digest(TOKEN)}"'):
        async with plant.http.get(plant.url + "/dashboard/data") as response:
            assert response.status == 401
        async with plant.http.get(plant.url + "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
            assert response.status == 200
        page = await browser.new_page()
        await page.goto(plant.url + "/dashboard")
        await (await page.context.new_cdp_session(page)).send("Runtime.evaluate", {"expression": axe})
        assert await page.evaluate("async () => (await axe.run()).violations.map(v => v.id)") == []
        await page.get_by_label("Operator's token").fill("wrong")
        await page.keyboard.press("Enter")
        await page.get_by_label("Operator's token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await page.get_by_text("Live", exact=True).wait_for()
