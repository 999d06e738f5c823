"""The page in a real browser: what an operator has to know stands first, on a phone, in the dark; axe finds nothing."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from factorylm_edge.gateway import Gateway
from factorylm_edge.page import page_app
from factorylm_edge.page_html import attention
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import EdgeSettings, Forward, Namespace
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_schema import Device, Plant, Tag
from factorylm_skill.http import HttpOptions, serve_app
from playwright.async_api import async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
BEGIN_US = 1_767_225_600 * SECOND
EVIL = "<script>document.title='hacked'</script>\u202e"


@pytest.fixture(autouse=True)
def _browser_here():
    if CHROMIUM is None and os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail("this run must have Chromium, and there is none")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")


def device(name: str, count: int) -> Device:
    tags = {f"t{at}": Tag(device=name, name=f"t{at}", address=str(at)) for at in range(count)}
    return Device(name=name, url=f"modbus-tcp://10.0.0.5?{name}", tags=tags)


@pytest.fixture
def gateway(tmp_path: Path):
    """One device answers, one is silent, and a broker is not reached."""
    plant = Plant(name=f"Pump station 3 {EVIL}", devices={name: device(name, 12) for name in ("pump1", "pump2")})
    settings = EdgeSettings(
        namespace=Namespace(root="acme/northgate", devices={"pump1": "water/line1"}),
        forward=[Forward(to="mqtts://me:secret@broker.example", tags=["pump1.*"])],
    )
    history = SqliteHistory(tmp_path / "history.db")
    found = Gateway(plant, [], settings, history)
    up, down = found.collector.states.values()
    up.up, up.scans, up.samples, up.problem = True, 900, 10_800, ""
    down.up, down.failures, down.problem = False, 4, f"10.0.0.5:502 does not answer {EVIL}"
    for at in range(12):
        found.latest[f"pump1.t{at}"] = Sample(f"pump1.t{at}", BEGIN_US, at * 1.25)
    found.latest["pump2.t0"] = Sample("pump2.t0", BEGIN_US, 7, 0x408F0000)
    found.latest["pump2.t1"] = Sample("pump2.t1", BEGIN_US, EVIL)
    yield found
    history.close()


@asynccontextmanager
async def served(gateway: Gateway) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    http = HttpOptions(host="127.0.0.1", port=port)
    serving = asyncio.create_task(serve_app(page_app(gateway, http), http))
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def browser_page(**options: Any) -> AsyncIterator[Any]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield await browser.new_page(**options)
        await browser.close()


async def test_what_needs_attention_stands_first_and_what_leaves_is_named_without_its_secret(gateway):
    async with served(gateway) as address, browser_page(java_script_enabled=False) as page:
        await page.goto(f"{address}/?still")
        alert = await page.get_by_role("alert").inner_text()
        assert alert.startswith("One thing needs attention.\npump2 has not answered yet: 10.0.0.5:502 does not answer")
        assert "mqtts://broker.example is not reached" not in alert
        leaves = await page.get_by_role("region", name="What leaves").inner_text()
        assert "mqtts://broker.example" in leaves
        assert "pump1.*" in leaves
        assert "secret" not in await page.content()
        values = page.get_by_role("region", name="Latest values").locator("tr")
        assert (await values.nth(1).inner_text()).split("\t") == [
            "pump1.t0", "0", "good", "2026-01-01 00:00:00", "acme/northgate/water/line1/pump1/t0",
        ]  # fmt: skip


async def test_the_page_moves_on_by_itself_until_it_is_held(gateway):
    async with served(gateway) as address, browser_page() as page:
        first = await page.goto(address)
        assert first.headers["refresh"] == "5"
        async with page.expect_navigation():
            await page.get_by_role("link", name="Hold it still").click()
        again = await page.reload()
        assert "refresh" not in again.headers
        await page.get_by_role("link", name="Let it move on").click()
        await page.get_by_role("link", name="Hold it still").wait_for()


async def test_hostile_texts_are_shown_inert(gateway):
    async with served(gateway) as address, browser_page() as page:
        await page.goto(f"{address}/?still")
        assert await page.locator("script").count() == 0
        assert await page.locator("h1").inner_text() == f"Pump station 3 {EVIL[:-1]}<U+202E>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_scrolls_sideways_and_axe_finds_no_violation(gateway, scheme, width):
    axe = next((Path(__file__).parents[2] / ".cache" / "npm").glob("*/node_modules/axe-core/axe.min.js"), None)
    if axe is None:
        pytest.fail("axe-core is not there; ./run test fetches it (npm/package.json)")
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    async with served(gateway) as address, browser_page(**options) as page:
        await page.goto(f"{address}/?still")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        await page.evaluate(axe.read_text(encoding="utf-8"))
        found = await page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})")
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
        if pictures := os.environ.get("FACTORYLM_PICTURES"):
            await page.screenshot(path=f"{pictures}/edge-{scheme}-{width}.png", full_page=True)


def test_all_is_well_is_only_said_when_it_is(gateway):
    status = gateway.status()
    assert len(attention(status)) == 1
    status["devices"] = [one for one in status["devices"] if one["up"]]
    status["free_bytes"] = 10**10
    assert attention(status) == []
    for key, value, told in (
        ("lost", 3, "3 samples are lost"),
        ("trouble", "no room", "no room"),
        ("outbox_dropped", 5, "5 samples were dropped from a full outbox"),
        ("free_bytes", 1000, "only 1 kB are left"),
        ("clock_jumps", 2, "the clock was set 2 times"),
        ("targets", [{"to": "mqtt://b", "trouble": "refused"}], "mqtt://b is not reached: refused"),
    ):
        assert told in attention({**status, key: value})[0]
