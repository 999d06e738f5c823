"""The console beside the MCP server, in the same process."""

import argparse
import sys

import anyio
from factorylm_skill.http import HttpOptions, http_options, serve_app

from factorylm.console.board import Board

DEFAULT_ADDRESS = "127.0.0.1:8790"


def add_console_options(parser: argparse.ArgumentParser) -> None:
    """Whether and where the operator's page is served."""
    parser.add_argument(
        "--console",
        nargs="?",
        const=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"also serve the operator's console (default address {DEFAULT_ADDRESS})",
    )


def console_options(options: argparse.Namespace) -> HttpOptions | None:
    """Where to listen; beyond loopback the token and host options of the MCP server hold for the console too."""
    if options.console is None:
        return None
    return http_options(options.console, options.token_file, options.allow_host, options.tls_cert, options.tls_key)


async def serve_console(board: Board, options: HttpOptions) -> None:
    """Serve the page and keep the board up to date until cancelled."""
    from factorylm.console.app import console_app
    from factorylm.guard import Guard

    scheme = "https" if options.certificate else "http"
    # stdout belongs to the protocol
    sys.stderr.write(f"console: {scheme}://{options.host}:{options.port}/\n")
    async with anyio.create_task_group() as group:
        group.start_soon(board.run)
        await serve_app(console_app(board, Guard.of(options)), options)
        group.cancel_scope.cancel()
