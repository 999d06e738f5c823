"""How the service answers: JSON with an ETag, problems as RFC 9457 says, CORS, a limit for each client."""

import hashlib
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from factorylm_schema import FactoryLMError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from factorylm_registry.refusals import BadQuestionError, InvalidListingError, RefusedError, TooLargeError

MOST_JSON_BYTES = 48_000
_MOST_CLIENTS = 10_000
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Expose-Headers": "ETag, Retry-After",
    "X-Content-Type-Options": "nosniff",
}


def ok(request: Request, body: Any, *, private: bool = False) -> Response:
    """The body, or 304 where the client has it already."""
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    if private or request.method != "GET":
        return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})
    # weak: gzip changes the bytes, not the meaning
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "public, max-age=0, must-revalidate"}
    known = {part.strip() for part in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


async def body_of(request: Request, most: int) -> bytes:
    """The body, as long as it is not too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLargeError(f"the body is larger than {most} bytes")
        parts.append(part)
    return b"".join(parts)


async def json_body(request: Request) -> Any:
    """The body as JSON."""
    try:
        return json.loads(await body_of(request, MOST_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise BadQuestionError("the body is not JSON") from error


def problem(request: Request, status: int, title: str, detail: str, **more: Any) -> Response:
    """RFC 9457. A 404 on reading is plain JSON, as the official API document says, unless asked otherwise."""
    body = {"title": title, "status": status, "detail": detail, "error": detail, **more}
    asked = "application/problem+json" in request.headers.get("accept", "")
    plain = status == 404 and request.method == "GET" and not asked
    kind = "application/json" if plain else "application/problem+json"
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, status_code=status, media_type=kind, headers={"Cache-Control": "no-store"})


def told(request: Request, error: Exception) -> Response:
    """What went wrong, for the client; what is our own fault goes to the log without details outside."""
    match error:
        case InvalidListingError():
            faults = [{"location": one.location, "message": one.message} for one in error.faults]
            return problem(request, error.status, error.title, error.message.split("\n")[0], errors=faults)
        case RefusedError():
            return problem(request, error.status, error.title, str(error))
        case HTTPException():
            return problem(request, error.status_code, error.detail, error.detail)
        case FactoryLMError():
            return problem(request, 400, "Bad Request", str(error))
        case _:
            logging.getLogger(__name__).error("a request failed", exc_info=error)
            return problem(request, 500, "Internal Server Error", "The registry failed; its log says why")


@dataclass(frozen=True)
class Answering:
    """Outermost around the routes: limits, addresses, errors and headers of every answer."""

    app: ASGIApp
    limiter: "Limiter"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_CORS)
            await send(message)

        early = self._early(request)
        if early is not None:
            await early(scope, receive, with_headers)
            return
        try:
            await self.app(scope, receive, with_headers)
        except Exception as error:  # noqa: BLE001 (told by kind; an unknown one is logged and a 500)
            await told(request, error)(scope, receive, with_headers)

    def _early(self, request: Request) -> Response | None:
        path = request.scope["path"]
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Access-Control-Max-Age": "86400"})
        if "\0" in path or "%00" in request.scope.get("query_string", b"").decode("latin-1"):
            return problem(request, 400, "Bad Request", "the address holds a NUL character")
        wait = self.limiter.wait_s(request.client.host if request.client else "")
        if wait > 0:
            response = problem(request, 429, "Too Many Requests", f"try again in {wait:.0f} s")
            response.headers["Retry-After"] = str(max(1, round(wait)))
            return response
        if len(path) > 1 and path.endswith("/"):
            # never //host: that would send the client elsewhere
            return RedirectResponse("/" + path.strip("/"), status_code=308)
        return None


@dataclass
class Limiter:
    """A token bucket for each client address: `per_second` on average, twice that at once."""

    per_second: float
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, client: str) -> float:
        """0 when the request may pass."""
        if self.per_second <= 0:
            return 0.0
        most, now = 2 * self.per_second, time.monotonic()
        left, at = self._buckets.get(client, (most, now))
        left = min(most, left + (now - at) * self.per_second)
        if len(self._buckets) >= _MOST_CLIENTS and client not in self._buckets:
            self._buckets.clear()
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        return 0.0 if left >= 1 else (1 - left) / self.per_second
