"""A server's life as a process: stdio or HTTP, a clean end on EOF, SIGTERM and SIGINT, a clean stdout."""

import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server import Server

from factorylm_skill.http import HttpOptions, serve_http
from factorylm_skill.log_lines import configure_logging

if TYPE_CHECKING:
    from starlette.routing import Route

__all__ = ["configure_logging", "serve"]

# After the lifespan has ended only the thread that waits for stdin is left; it cannot be woken (python-sdk #3551)
_LAST_SECONDS = 2.0


async def serve(server: Server[Any], http: HttpOptions | None = None, routes: "Sequence[Route]" = ()) -> None:
    """Serve until the client goes or a signal comes; the server's lifespan always ends properly.

    `routes` are served beside /mcp, where HTTP is served.
    """
    if http is None:
        await _until_signal(lambda: _serve_stdio(server))
    else:
        await _until_signal(lambda: serve_http(server, http, routes))


async def _serve_stdio(server: Server[Any]) -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def _until_signal(serving: Callable[[], Awaitable[None]]) -> None:
    async with anyio.create_task_group() as group:
        if threading.current_thread() is threading.main_thread() and sys.platform != "win32":
            group.start_soon(_end_on_signal, group.cancel_scope)
        await serving()
        group.cancel_scope.cancel()


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            timer = threading.Timer(_LAST_SECONDS, os._exit, (0,))
            timer.daemon = True
            timer.start()
            scope.cancel()
            return
