"""`factorylm demo`: a plant on four real protocols, a real host process, a real MCP client; every answer is live."""

import argparse
import asyncio
import json
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from factorylm.demo_export import add_export_options, run_export
from factorylm.demo_scene import DemoError, Scene, beside, running_scene
from factorylm.printing import print_line
from factorylm.shift import Shift
from factorylm.transcript import Transcript, counter

_CONSOLE = "127.0.0.1:8790"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    add_export_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the transcript, with the plant's truth")
    parser.add_argument(
        "--keep", action="store_true", help="afterwards leave plant, collector, server, console running"
    )
    parser.add_argument("--port", type=int, default=8765, help="--keep: the server's port on 127.0.0.1 (default 8765)")
    parser.add_argument(
        "--console", default=_CONSOLE, metavar="HOST:PORT", help=f"--keep: the console's address (default {_CONSOLE})"
    )


def run(options: argparse.Namespace) -> None:
    """Walk the demo; every printed number comes from this run."""
    if options.export:
        run_export(options)
    else:
        # whoever stops it from outside wants it ended, not a traceback
        with suppress(asyncio.CancelledError):
            anyio.run(_demo, options)


async def _demo(options: argparse.Namespace) -> None:
    _end_on_sigterm()
    begun = time.monotonic()
    count, about = counter()
    async with running_scene() as scene:
        transcript = Transcript(count)
        shift = Shift(scene=scene, transcript=transcript, about=about)
        server = StdioServerParameters(command=sys.executable, args=scene.serve)
        try:
            async with Client(stdio_client(server), elicitation_callback=shift.person) as client:
                await shift.walk(client)
        finally:
            if options.json:
                _write(options.json, transcript, scene, time.monotonic() - begun)
        print_line()
        print_line(
            f"{len(transcript.calls)} tool calls, {about}{transcript.tokens:,} tokens asked and answered,"
            f" {time.monotonic() - begun:.0f} s."
        )
        print_line(
            f"Connect your own assistant:  {Path(sys.executable).name} -m factorylm connect claude-desktop --write"
        )
        if options.keep:
            await _keep(scene, options)


def _end_on_sigterm() -> None:
    """As Ctrl-C does: whoever stops the demo must not leave its servers behind."""
    task = asyncio.current_task()
    if sys.platform != "win32" and task:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _write(file: Path, transcript: Transcript, scene: Scene, seconds: float) -> None:
    """The transcript beside what an honest answer must agree with; also of a walk that ended early."""
    told: dict[str, Any] = transcript.told() | {
        "seconds": round(seconds, 1),
        "truth": scene.truth
        | {
            "lived_until": scene.lived_until.isoformat(),
            "writes": [
                {"time": at.isoformat(), "signal": name, "value": value}
                for at, name, value in scene.plant.written
                if at >= scene.lived_until
            ],
        },
    }
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


async def _keep(scene: Scene, options: argparse.Namespace) -> None:
    print_line(
        f"Running on until Ctrl-C: http://127.0.0.1:{options.port}/mcp, and the operator's console at"
        f" http://{options.console}/"
    )
    command = [sys.executable, *scene.serve, "--http", f"127.0.0.1:{options.port}", "--console", options.console]
    async with beside(command) as server:
        if code := await server.wait():
            raise DemoError(f"the server ended with exit code {code}", hint="Is its port taken? See --port, --console")
