"""The pictures that README shows: the console in a real browser over the demo plant, and what the demo prints."""

import argparse
import asyncio
import html
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from factorylm.demo_scene import running_scene
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from playwright.async_api import Browser, async_playwright

from workspace.debian import CHROMIUM
from workspace.environment import SetupError, say
from workspace.members import ROOT

FOLDER = ROOT / "docs" / "pictures"
SCHEMES = {"light": ("#ffffff", "#17212b", "#0b5c7a"), "dark": ("#10161c", "#e8edf2", "#6cc4e6")}
# how much of the demo is shown: its end, where something is foreseen, changed and proven
LINES, WIDTH = 84, 118
PHONE_WIDTH, TRENDED_S = 390, 40
_ASSISTANT = types.Implementation(name="your-assistant", version="1")


def main() -> int:
    """Make all pictures anew."""
    parser = argparse.ArgumentParser(prog="./run pictures", description="Make the pictures of docs/pictures anew.")
    parser.add_argument("--only", choices=["console", "demo"], help="only these")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        if options.only != "demo":
            anyio.run(console_pictures)
        if options.only != "console":
            demo_pictures()
    except SetupError as error:
        say(str(error))
        return 1
    for file in sorted(FOLDER.iterdir()):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1000:.0f} kB")
    return 0


# -- the console --------------------------------------------------------------------------------------


async def console_pictures() -> None:
    """A host over the running demo plant; an assistant has asked, and a write waits for the operator."""
    program = CHROMIUM.path()
    if program is None:
        raise SetupError("needs Chromium; on Debian: apt-get install chromium")
    async with _host() as (client, port), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        await _ask(client)
        why = "Vibration above 2.8 mm/s while flow and suction hold: the bearing wears. Slower spares it."
        write = {"tag": "drive1.speed_setpoint", "value": 1050.0, "reason": why}
        watched = await browser.new_page()
        await watched.goto(f"http://127.0.0.1:{port}/")
        await asyncio.sleep(TRENDED_S)  # so long are the trends
        waiting = asyncio.ensure_future(client.call_tool("modbus_write_tag", write))
        for scheme in SCHEMES:
            await _picture(browser, port, scheme, "console", 1280, 1000)
            await _picture(browser, port, scheme, "phone", PHONE_WIDTH, 844)
        await watched.get_by_role("button", name="Refuse").click()
        await waiting
        await browser.close()


@asynccontextmanager
async def _host() -> AsyncIterator[tuple[Client, int]]:
    """The demo's own plant, with its past in the history."""
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(running_scene())
        port = _free_port()
        command = [*scene.serve, "--console", f"127.0.0.1:{port}"]
        server = StdioServerParameters(command=sys.executable, args=command)
        yield await stack.enter_async_context(Client(stdio_client(server), client_info=_ASSISTANT)), port


async def _ask(client: Client) -> None:
    """What an assistant asks first; this client cannot ask its user, so a write waits on the console."""
    pump = ["drive1.vibration", "drive1.bearing_temperature", "drive1.power"]
    questions: list[tuple[str, dict[str, Any]]] = [
        ("modbus_list_tags", {"search": "bearing"}),
        ("modbus_read_tags", {"tags": pump}),
        ("s7_read_tags", {"tags": ["cell1.level"]}),
        ("modbus_write_tag", {"tag": "drive1.speed_setpoint", "value": 1800}),
    ]
    offered = {tool.name for tool in (await client.list_tools()).tools}
    for tool, arguments in questions:
        if tool in offered:
            await client.call_tool(tool, arguments)


async def _picture(browser: Browser, port: int, scheme: Any, name: str, width: int, height: int) -> None:
    page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
    await page.goto(f"http://127.0.0.1:{port}/")
    await page.wait_for_selector("flm-approvals li.waiting button.yes:enabled")
    await page.wait_for_selector("flm-values table")
    await page.get_by_label("Find").fill("drive-end")
    if width > PHONE_WIDTH:
        await page.get_by_role("button", name="Trend of drive1.vibration").click()
        await page.get_by_role("button", name="12 hours").click()
        await page.get_by_text("Asking the history").wait_for(state="hidden")
        await page.evaluate("scrollTo(0, 0)")
    await page.get_by_label("Find").blur()
    await page.screenshot(path=FOLDER / f"{name}-{scheme}.png")
    await page.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- the demo -----------------------------------------------------------------------------------------


def demo_pictures() -> None:
    """The end of what `./run demo` prints, as it stands on a terminal."""
    command = [sys.executable, "-m", "factorylm", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SetupError(f"the demo failed:\n{done.stdout[-500:]}{done.stderr}")
    lines = excerpt(done.stdout.splitlines())
    for scheme, (ground, text, accent) in SCHEMES.items():
        (FOLDER / f"demo-{scheme}.svg").write_text(terminal(lines, ground, text, accent), encoding="utf-8")


def excerpt(lines: list[str]) -> list[str]:
    """The last lines, from the beginning of a question on."""
    begins = [at for at in questions(lines) if len(lines) - at <= LINES]
    return [
        line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in lines[begins[0] if begins else -LINES :]
    ]


def questions(lines: list[str]) -> list[int]:
    """Where the demo's questions are: at the margin, above what was called."""
    return [at for at, line in enumerate(lines[:-1]) if line[:1].isupper() and lines[at + 1].startswith("  ")]


def terminal(lines: list[str], ground: str, text: str, accent: str) -> str:
    """Lines of text as a picture that needs no font of its own."""
    step, margin = 17, 16
    height, width = len(lines) * step + 2 * margin, int(WIDTH * 7.85) + 2 * margin
    asked = questions(lines)
    emphasis = f' fill="{accent}" font-weight="bold"'
    rows = [
        f'<text x="{margin}" y="{margin + step * (at + 1) - 5}"'
        f"{emphasis if at in asked else ''}"
        f' xml:space="preserve">{html.escape(line)}</text>'
        for at, line in enumerate(lines)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="The end of what ./run demo prints">'
        f'<rect width="100%" height="100%" rx="8" fill="{ground}" stroke="{accent}" stroke-opacity=".4"/>'
        f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" fill="{text}">'
        + "\n".join(rows)
        + "</g></svg>\n"
    )


if __name__ == "__main__":
    sys.exit(main())
