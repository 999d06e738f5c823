"""The console over HTTP: for this machine only, or with a token; no other site can speak for the operator."""

import getpass
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import Any

from factorylm_schema import BadRequestError, FactoryLMError, UnknownNameError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from factorylm.console.board import Board

_PAGE = files("factorylm.console") / "page"
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_COOKIE = "factorylm_console"
_HEADERS = {
    # nothing but our own files, no frames: what a hostile tag name could try ends here too
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Next = Callable[[Request], Awaitable[Response]]


def console_app(board: Board, *, hosts: frozenset[str] = LOOPBACK, token: str = "") -> Starlette:
    """The page and its few endpoints; beyond loopback a `token` and the `hosts` it may be called by."""

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        return _file(name)

    async def snapshot(_: Request) -> Response:
        return JSONResponse(board.snapshot())

    async def events(request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        number = int(last) if last.isdigit() else 0
        return StreamingResponse(_wire(board, number), media_type="text/event-stream")

    async def decide(request: Request) -> Response:
        return await _decided(board, request)

    async def guard(request: Request, call_next: Next) -> Response:
        refused = _refused(request, hosts, token)
        response = refused or await call_next(request)
        if not refused and token and request.query_params.get("token"):
            response.set_cookie(_COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        response.headers.update(_HEADERS)
        return response

    routes = [
        Route("/", page),
        Route("/page/{name}", page),
        Route("/api/snapshot", snapshot),
        Route("/api/events", events),
        Route("/api/requests/{id}", decide, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)])


async def _wire(board: Board, number: int) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for event in board.stream.follow(number):
        yield event.wire


async def _decided(board: Board, request: Request) -> Response:
    if board.desk is None:
        return _problem(409, "writes are not allowed on this server")
    body: Any = await request.json()
    if not isinstance(body, dict) or not isinstance(body.get("approve"), bool):
        return _problem(400, 'say {"approve": true} or {"approve": false}')
    by = f"{getpass.getuser()} at the console"
    try:
        asked = board.desk.request(request.path_params["id"])
        decision = board.desk.decide(asked.id, approve=body["approve"], by=by)
    except UnknownNameError as error:
        return _problem(404, error.message)
    except BadRequestError as error:
        return _problem(409, error.message)
    except FactoryLMError as error:
        return _problem(500, error.message)
    if board.audit:
        board.audit.append(decision.value, tag=asked.tag, before=asked.before, value=asked.value, by=by)
    return JSONResponse({"decision": decision.value})


def _refused(request: Request, hosts: frozenset[str], token: str) -> Response | None:
    """Foreign host names (DNS rebinding), foreign origins (another site's script), and strangers are kept out."""
    host = request.headers.get("host", "").rsplit(":", 1)[0] if ":" in request.headers.get("host", "") else ""
    if (host or request.headers.get("host", "")) not in hosts:
        return _problem(421, "this address is not served under that host name")
    if token and not _knows(request, token):
        return _problem(401, "the console needs its token: open the address with ?token=...")
    if request.method == "POST":
        own = f"{request.url.scheme}://{request.headers['host']}"
        json_only = request.headers.get("content-type", "").startswith("application/json")
        if request.headers.get("origin") != own or not json_only:
            return _problem(403, "decisions come from the console's own page only")
    return None


def _knows(request: Request, token: str) -> bool:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = (request.query_params.get("token", ""), request.cookies.get(_COOKIE, ""), bearer)
    return any(hmac.compare_digest(text.encode(), token.encode()) for text in given)


def _file(name: str) -> Response:
    kind = _KINDS.get(name.rsplit(".", 1)[-1])
    path = _PAGE / name
    if kind is None or "/" in name or not path.is_file():
        return _problem(404, "no such page")
    return Response(path.read_bytes(), media_type=kind)


def _problem(status: int, title: str) -> Response:
    return JSONResponse({"title": title, "status": status}, status_code=status, media_type="application/problem+json")
