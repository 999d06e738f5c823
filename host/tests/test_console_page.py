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
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factorylm.console import Board
from factorylm.console.serving import serve_console
from factorylm_schema import Device, Plant, Reading, Tag
from factorylm_skill import ApprovalDesk, AuditLog, CallRecord, Devices, StandingAlarms
from factorylm_skill.desk import WriteRequest
from factorylm_skill.http import HttpOptions
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

# a bound, not a measure: a busy machine starts a browser slowly
expect.set_options(timeout=20_000)


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


REASON = "The tank is low. <script>document.title='hacked'</script>"


def write(client: Client, value: int) -> "asyncio.Task[object]":
    asked = {"tag": "pump1.setpoint", "value": value, "reason": REASON}
    return asyncio.ensure_future(client.call_tool("modbus_write_tag", asked))


async def test_values_are_live_and_an_approved_write_arrives_once(tmp_path: Path) -> None:
    port = free_port()
    async with host(tmp_path, port) as client, console_page(port) as page:
        speed = page.locator("flm-values tr", has_text="pump1.speed").locator("td.number")
        await expect(speed).to_have_text("1200 /min")
        asking = write(client, 1400)
        waiting = page.locator("flm-approvals li.waiting")
        await expect(waiting).to_contain_text("1200 /min → 1400 /min")
        await expect(waiting).to_contain_text("The assistant says, unchecked:")
        await expect(waiting.locator("q")).to_have_text(REASON)
        await expect(page).to_have_title("(1) FactoryLM console")
        await page.get_by_role("button", name="Approve writing 1400 /min to pump1.setpoint").click()
        result = await asyncio.wait_for(asking, 60)
        assert result.structured_content["outcome"] == "written"
        await expect(speed).not_to_have_text("1200 /min")
        await expect(page.locator("flm-audit")).to_contain_text("3 lines, the chain is intact")
        for event in ("approved", "sending", "written"):
            await expect(page.locator("flm-audit td", has_text=re.compile(f"^{event}$"))).to_have_count(1)
        await expect(page.locator("flm-audit q")).to_have_text([REASON, REASON])
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
        result = await asyncio.wait_for(asking, 60)
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
        await asyncio.wait_for(asking, 60)
        await expect(page.locator("flm-approvals li.waiting")).to_have_count(0)
        await expect(page.locator("flm-approvals")).to_contain_text("approved and sent by")


async def test_a_cut_line_is_said_and_resumed_by_itself(tmp_path: Path) -> None:
    port = free_port()
    async with console_page_over_two_hosts(tmp_path, port) as (page, restart):
        await expect(page.locator("#line")).to_contain_text("Live")
        await restart.stop()
        await expect(page.locator("#line")).to_contain_text("does not answer")
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


@asynccontextmanager
async def served(board: Board, port: int) -> AsyncIterator[None]:
    """The console alone, in this process; `board` outlives it."""
    serving = asyncio.ensure_future(serve_console(board, HttpOptions(host="127.0.0.1", port=port)))
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)  # a port has no event to wait on
                else:
                    writer.close()
                    break
        yield
    finally:
        serving.cancel()
        await asyncio.wait([serving])


def small_board(audit: Path) -> Board:
    tags = {"level": Tag(device="d", name="level", address="level", unit="m")}
    plant = Plant(name="Shed", devices={"d": Device(name="d", url="memory://d", tags=tags)})

    class Memory:
        async def read(self, tags: list[Tag]) -> list[Reading]:
            return [Reading(tag=tag.id, value=1.5, unit="m", time=datetime.now(UTC)) for tag in tags]

        async def close(self) -> None:
            return None

    board = Board(plant=plant, devices=[Devices(plant, lambda _: Memory())], audit=AuditLog(audit), period_s=0.1)
    board.desk = ApprovalDesk(clock=lambda: datetime.now(UTC), changed=board.requests_changed)
    return board


def call(tool: str) -> CallRecord:
    return CallRecord(
        time=datetime.now(UTC), principal="local", client="c", tool=tool, arguments="{}", outcome="ok", answered=1,
        seconds=0.1,
    )  # fmt: skip


async def test_a_page_whose_line_was_cut_gets_every_event_it_missed_once_and_in_order(tmp_path: Path) -> None:
    port, board = free_port(), small_board(tmp_path / "audit.jsonl")
    async with AsyncExitStack() as stack:
        async with served(board, port):
            page = await stack.enter_async_context(console_page(port))
            board.called(call("before"))
            await expect(page.locator("flm-calls")).to_contain_text("before")
        await expect(page.locator("#line")).to_contain_text("What is shown below is from")
        await expect(page.locator("body")).to_have_class("lost")
        for number in range(30):
            board.called(call(f"missed_{number:02}"))
        async with served(board, port):
            await expect(page.locator("#line")).to_have_text("Live")
            board.called(call("after"))
            await expect(page.locator("flm-calls")).to_contain_text("after")
            told = await page.locator("flm-calls td:nth-child(2)").all_inner_texts()
            await page.close()
    names = [text.split()[0].removesuffix("{}") for text in reversed(told)]
    assert names == ["before", *(f"missed_{number:02}" for number in range(30)), "after"]


async def test_a_write_nobody_decides_counts_down_and_expires_on_the_page(tmp_path: Path) -> None:
    port, board = free_port(), small_board(tmp_path / "audit.jsonl")
    async with served(board, port), console_page(port) as page:
        now = datetime.now(UTC)
        board.desk.put(
            WriteRequest(
                id="w1", tag="d.level", description="", unit="m", before=1.5, value=1234567.8901, reason="",
                principal="local", client="c", asked=now, expires=now + timedelta(seconds=2.5),
            )
        )  # fmt: skip
        waiting = page.locator("flm-approvals li.waiting")
        await expect(waiting).to_contain_text("1.5 m → 1234567.8901 m")
        await expect(waiting).to_contain_text("The assistant gives no reason.")
        await expect(waiting).to_contain_text("s left")
        await expect(page.locator("flm-approvals")).to_contain_text("expired: nobody decided")
        await expect(waiting).to_have_count(0)
        await expect(page).to_have_title("FactoryLM console")


async def test_an_edited_plant_is_shown_without_loading_the_page_and_said(tmp_path: Path) -> None:
    port, board = free_port(), small_board(tmp_path / "audit.jsonl")
    async with served(board, port), console_page(port) as page:
        flow = Tag(device="d", name="flow", address="flow")
        device = board.plant.devices["d"].model_copy(update={"tags": {"flow": flow}})
        plant = board.plant.model_copy(update={"name": "New shed", "devices": {"d": device}})
        await board.devices[0].replant(plant)
        board.replant(plant)
        board.noticed("plant reloaded", "the edited plant file is in force: 1 devices, 1 tags; changed: d", bad=False)
        await expect(page.locator("#plant")).to_have_text("New shed")
        await expect(page.locator("flm-values")).to_contain_text("d.flow")
        await expect(page.locator("flm-values")).not_to_contain_text("d.level")
        await expect(page.locator("flm-notices")).to_contain_text("changed: d")


async def test_a_broken_trail_and_alarms_nobody_can_know_are_said(tmp_path: Path) -> None:
    port, board = free_port(), small_board(tmp_path / "audit.jsonl")
    board.audit.append("written", tag="d.level", value=1)
    board.audit.path.write_bytes(board.audit.path.read_bytes().replace(b'"value":1', b'"value":2'))

    async def alarms() -> StandingAlarms:
        return StandingAlarms(keeping=["d", "e"], unknown=["e"])

    board.alarms = [alarms]
    async with served(board, port), console_page(port) as page:
        await expect(page.locator("flm-audit")).to_contain_text("The trail is broken: line 1 was edited")
        await expect(page.locator("flm-alarms")).to_contain_text("e does not answer: its alarms are not known.")
        await expect(page.locator("flm-alarms")).to_contain_text("No alarm stands at d.")


async def test_a_trend_opens_large_by_keyboard_and_stays_open_while_values_come(tmp_path: Path) -> None:
    port, board = free_port(), small_board(tmp_path / "audit.jsonl")
    async with served(board, port), console_page(port) as page:
        plot = page.get_by_role("button", name="Trend of d.level")
        await plot.press("Enter")
        large = page.locator("flm-trend[large]")
        line = large.locator("path")
        before = await line.get_attribute("d")
        await expect(line).not_to_have_attribute("d", before or "")
        await expect(plot).to_be_focused()
        await plot.press("Enter")
        await expect(large).to_have_count(0)


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
        cut = (
            "[...document.querySelectorAll('main *')]"
            ".flatMap(e => [...(e.shadowRoot?.querySelectorAll('.scroll') || [])])"
            ".filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
        )
        assert await page.evaluate(cut) == [], "a table is cut off at the side"
        await page.evaluate(axe.read_text(encoding="utf-8"))
        found = await page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})")
        assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found["violations"]] == []
        await page.get_by_role("button", name="Refuse").click()
        await asyncio.wait_for(asking, 60)


async def test_a_trend_shows_what_the_history_holds_and_goes_back_to_live(tmp_path: Path) -> None:
    port, board = free_port(), small_board(tmp_path / "audit.jsonl")

    class Kept:
        async def course(self, tag: str, hours: float) -> list[tuple[float, float | None]]:
            if hours > 100:
                return []
            now = datetime.now(UTC).timestamp()
            return [(now - hours * 3600, 100.0), (now - hours * 1800, None), (now, 200.0)]

    board.past = Kept()
    async with served(board, port), console_page(port) as page:
        await page.get_by_role("button", name="Trend of d.level").click()
        spans = page.get_by_role("group", name="Span of the trend of d.level")
        large = page.locator("flm-trend[large] svg")
        await spans.get_by_role("button", name="12 hours").click()
        await expect(large).to_have_attribute("aria-label", "trend between 100 and 200 over 43200 seconds")
        # the next live values do not throw the reader back
        await expect(page.locator("#clock")).not_to_be_empty()
        await expect(large).to_have_attribute("aria-label", "trend between 100 and 200 over 43200 seconds")
        await spans.get_by_role("button", name="7 days").click()
        await expect(page.locator("flm-values")).to_contain_text("The history holds nothing of this span.")
        await spans.get_by_role("button", name="Live").click()
        await expect(large).to_have_attribute("aria-label", re.compile("over [0-9]{1,3} seconds"))
        pressed = await spans.get_by_role("button").evaluate_all("all => all.map(b => b.ariaPressed)")
        assert pressed == ["true", "false", "false", "false"]
