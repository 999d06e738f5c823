"""The console over HTTP: for this machine only, or with a token; no other site can speak for the operator."""

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import Any

from factorylm_schema import BadRequestError, FactoryLMError, UnknownNameError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from factorylm.console.board import Board
from factorylm.console.past import LONGEST_H
from factorylm.guard import COOKIE, Guard, problem
from factorylm.metrics import CONTENT_TYPE

_PAGE = files("factorylm.console") / "page"
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    # nothing but our own files, no frames: what a hostile tag name could try ends here too
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Next = Callable[[Request], Awaitable[Response]]


def console_app(board: Board, guard: Guard | None = None) -> Starlette:
    """The page and its few endpoints, and the metrics; `guard` says who may use them."""
    guard = guard or Guard()

    async def page(request: Request) -> Response:
        return _file(request.path_params.get("name", "index.html"))

    async def snapshot(_: Request) -> Response:
        return JSONResponse(await board.snapshot())

    async def events(request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        number = board.stream.number_of(last)
        return StreamingResponse(_wire(board, number), media_type="text/event-stream")

    async def past(request: Request) -> Response:
        return await _course(board, request.query_params.get("tag", ""), request.query_params.get("hours", ""))

    async def decide(request: Request) -> Response:
        return await _decided(board, request, by=f"{guard.person(request)} at the console")

    async def guarded(request: Request, call_next: Next) -> Response:
        refused = guard.refused(request)
        response = refused or await call_next(request)
        token = request.query_params.get("token")
        if not refused and guard.tokens and token:
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        response.headers.update(_HEADERS)
        return response

    routes = [
        Route("/", page),
        Route("/page/{name}", page),
        Route("/api/snapshot", snapshot),
        Route("/api/events", events),
        Route("/api/past", past),
        Route("/api/requests/{id}", decide, methods=["POST"]),
        metrics_route(board, guard),
    ]
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=guarded), Middleware(GZipMiddleware)]
    return Starlette(routes=routes, middleware=middleware)


def metrics_route(board: Board, guard: Guard) -> Route:
    """`/metrics`, here and beside /mcp; it guards itself."""

    async def metrics(request: Request) -> Response:
        told = board.metrics.text(board.health(), board.waiting())
        return guard.refused(request) or Response(told, media_type=CONTENT_TYPE)

    return Route("/metrics", metrics)


async def _wire(board: Board, number: int) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for event in board.stream.follow(number):
        yield event.wire(board.stream.life)


async def _course(board: Board, tag: str, hours: str) -> Response:
    """A tag's course from the history; only tags that the page shows, only spans that a history has."""
    try:
        span_h = float(hours)
    except ValueError:
        span_h = 0.0
    if not 0 < span_h <= LONGEST_H:
        return problem(400, f"say hours, more than 0 and at most {LONGEST_H:g}")
    if board.past is None:
        return problem(404, "this server has no history; start it with --data DIR of a gateway")
    try:
        points = await board.past.course(board.plant.tag(tag).id, span_h)
    except FactoryLMError as error:
        return problem(404, error.message)
    return JSONResponse({"points": points})


async def _decided(board: Board, request: Request, by: str) -> Response:
    if board.desk is None:
        return problem(409, "writes are not allowed on this server")
    try:
        body: Any = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("approve"), bool):
        return problem(400, 'say {"approve": true} or {"approve": false}')
    try:
        asked = board.desk.request(request.path_params["id"])
        decision = board.desk.decide(asked.id, approve=body["approve"], by=by)
    except UnknownNameError as error:
        return problem(404, error.message)
    except BadRequestError as error:
        return problem(409, error.message)
    except FactoryLMError as error:
        return problem(500, error.message)
    if board.audit:
        board.audit.append(decision.value, tag=asked.tag, before=asked.before, value=asked.value, by=by)
    return JSONResponse({"decision": decision.value})


def _file(name: str) -> Response:
    kind = _KINDS.get(name.rsplit(".", 1)[-1])
    path = _PAGE / name
    if kind is None or "/" in name or not path.is_file():
        return problem(404, "no such page")
    return Response(path.read_bytes(), media_type=kind)
