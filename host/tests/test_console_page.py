"""The console in a real browser, over a real host process and a simulated device."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from playwright.async_api import Page, async_playwright, expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# without these the browser looks for its maker's hosts at every start
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
EVIL_PLANT = """
[plant]
name = "<script>document.title='hacked'</script>"

[devices.p]
url = "modbus-tcp://127.0.0.1:{port}?unit=1"

[devices.p.tags.speed]
address = "holding-register:1:UINT"
description = "<img src=x onerror=\\"document.title='hacked'\\">{long}"
"""


@pytest.fixture(autouse=True)
def _browser_here() -> None:
    if CHROMIUM is None and os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail("this run must have Chromium, and there is none")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def host(tmp_path: Path, port: int, *options: str) -> AsyncIterator[Client]:
    """A host with the console, and a client that cannot ask its user."""
    given = options or ("--simulate",)
    arguments = ["-m", "factorylm", "serve", "modbus", *given, "--allow-writes"]
    arguments += ["--audit", str(tmp_path / "audit.jsonl"), "--console", f"127.0.0.1:{port}"]
    async with Client(stdio_client(StdioServerParameters(command=sys.executable, args=arguments))) as client:
        yield client


@asynccontextmanager
async def console_page(port: int, **options) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await browser.new_page(**options)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(f"http://127.0.0.1:{port}/")
        await page.wait_for_selector("flm-values table")
        yield page
        await browser.close()
        assert faults == []


def write(client: Client, value: int) -> "asyncio.Task[object]":
    return asyncio.ensure_future(client.call_tool("modbus_write_tag", {"tag": "pump1.setpoint", "value": value}))


async def test_values_are_live_and_an_approved_write_arrives_once(tmp_path: Path) -> None:
    port = free_port()
    async with host(tmp_path, port) as client, console_page(port) as page:
        speed = page.locator("flm-values tr", has_text="pump1.speed").locator("td.number")
        await expect(speed).to_have_text("1200 /min")
        asking = write(client, 1400)
        waiting = page.locator("flm-approvals li.waiting")
        await expect(waiting).to_contain_text("1200 /min → 1400 /min")
        await expect(page).to_have_title("(1) FactoryLM console")
        await page.get_by_role("button", name="Approve writing 1400 /min to pump1.setpoint").click()
        result = await asyncio.wait_for(asking, 20)
        assert result.structured_content["outcome"] == "written"
        await expect(speed).not_to_have_text("1200 /min")
        await expect(page.locator("flm-audit")).to_contain_text("3 lines, the chain is intact")
        for event in ("approved", "sending", "written"):
            await expect(page.locator("flm-audit td", has_text=re.compile(f"^{event}$"))).to_have_count(1)
        await expect(page.locator("flm-calls")).to_contain_text("modbus_write_tag")


async def test_a_refused_write_sends_nothing_and_the_keyboard_alone_suffices(tmp_path: Path) -> None:
    port = free_port()
    async with host(tmp_path, port) as client, console_page(port) as page:
        asking = write(client, 1400)
        refuse = page.get_by_role("button", name="Refuse writing to pump1.setpoint")
        await expect(refuse).to_be_visible()
        for _ in range(10):
            await page.keyboard.press("Tab")
            if await refuse.evaluate("button => button.matches(':focus')"):
                break
        await page.keyboard.press("Enter")
        result = await asyncio.wait_for(asking, 20)
        assert result.is_error
        assert "refused this write on the operator's console" in result.content[0].text
        await expect(page.locator("flm-approvals")).to_contain_text("refused by")
        answer = await client.call_tool("modbus_read_tags", {"tags": ["pump1.setpoint"]})
        assert answer.structured_content["rows"][0][1] == 1200


async def test_a_reload_in_the_middle_keeps_the_request_and_two_pages_decide_once(tmp_path: Path) -> None:
    port = free_port()
    async with host(tmp_path, port) as client, console_page(port) as page, console_page(port) as other:
        asking = write(client, 1300)
        await expect(page.locator("flm-approvals li.waiting")).to_be_visible()
        await page.reload()
        await expect(page.locator("flm-approvals li.waiting")).to_be_visible()
        await other.get_by_role("button", name="Approve").click()
        await asyncio.wait_for(asking, 20)
        await expect(page.locator("flm-approvals li.waiting")).to_have_count(0)
        await expect(page.locator("flm-approvals")).to_contain_text("done by")


async def test_a_cut_line_is_said_and_resumed_by_itself(tmp_path: Path) -> None:
    port = free_port()
    async with console_page_over_two_hosts(tmp_path, port) as (page, restart):
        await expect(page.locator("#line")).to_contain_text("Live")
        await restart.stop()
        await expect(page.locator("#line")).to_contain_text("does not answer", timeout=15_000)
        await restart.start()
        await expect(page.locator("#line")).to_contain_text("Live", timeout=30_000)


class Restart:
    """A host that can be pulled out and put back on the same port."""

    def __init__(self, tmp_path: Path, port: int) -> None:
        self._command = [sys.executable, "-m", "factorylm", "serve", "modbus", "--simulate"]
        self._command += ["--http", f"127.0.0.1:{free_port()}", "--console", f"127.0.0.1:{port}"]
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: ASYNC220 (starting takes no time; waiting is in a thread)
            self._command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return

    async def stop(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.communicate, timeout=20)


@asynccontextmanager
async def console_page_over_two_hosts(tmp_path: Path, port: int) -> AsyncIterator[tuple[Page, Restart]]:
    restart = Restart(tmp_path, port)
    await restart.start()
    async with console_page(port) as page:
        yield page, restart
    await restart.stop()


async def test_hostile_names_and_texts_are_shown_inert(tmp_path: Path) -> None:
    port = free_port()
    plant = tmp_path / "plant.toml"
    plant.write_text(EVIL_PLANT.format(port=free_port(), long="x" * 400))
    async with host(tmp_path, port, "--plant", str(plant)), console_page(port) as page:
        await expect(page.locator("#plant")).to_have_text("<script>document.title='hacked'</script>")
        await expect(page.locator("flm-values td").first).to_contain_text("<img src=x onerror=")
        await expect(page).to_have_title("FactoryLM console")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect(page.locator("flm-health")).to_contain_text("does not answer")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_overlaps_and_axe_finds_no_violation(tmp_path: Path, scheme, width) -> None:
    axe = next((Path(__file__).parents[2] / ".cache" / "npm").glob("*/node_modules/axe-core/axe.min.js"), None)
    if axe is None:
        pytest.fail("axe-core is not there; ./run test fetches it (npm/package.json)")
    port = free_port()
    async with (
        host(tmp_path, port) as client,
        console_page(port, color_scheme=scheme, viewport={"width": width, "height": 800}) as page,
    ):
        asking = write(client, 1400)
        await expect(page.locator("flm-approvals li.waiting")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        await page.evaluate(axe.read_text(encoding="utf-8"))
        found = await page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})")
        assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found["violations"]] == []
        await page.get_by_role("button", name="Refuse").click()
        await asyncio.wait_for(asking, 20)
