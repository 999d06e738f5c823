"""The operator's page and Prometheus metrics: what is collected, fails, waits. They show and change nothing."""

import argparse
import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from factorylm_skill.http import HttpOptions, http_options, serve_app

from factorylm_edge.gateway import Gateway
from factorylm_edge.metrics import metrics
from factorylm_edge.page_html import page

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HEADERS = {
    # nothing is loaded and nothing runs: what a hostile tag name could try ends here too
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_REFRESH_S = 5


@asynccontextmanager
async def serve_page(gateway: Gateway, options: argparse.Namespace) -> AsyncIterator[str]:
    """The page while the block runs; its address, empty where none is asked for."""
    if not options.page:
        yield ""
        return
    http = http_options(options.page, options.token_file, options.allow_host)
    serving = asyncio.create_task(serve_app(page_app(gateway, http), http))
    try:
        yield f"http://{http.host}:{http.port}/"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def page_app(gateway: Gateway, http: HttpOptions) -> "Starlette":
    """`/` for people, `/metrics` for Prometheus, `/status.json` for scripts."""
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
    from starlette.routing import Route

    hosts = _LOOPBACK | {host.rsplit(":", 1)[0] for host in http.allowed_hosts}

    def guarded(answer: Any) -> Any:
        async def endpoint(request: "Request") -> "Response":
            if refused := _refused(request, hosts, http):
                return PlainTextResponse(refused, 403, headers=_HEADERS)
            status = await asyncio.to_thread(gateway.status)
            response: Response = answer(request, status)
            response.headers.update(_HEADERS)
            return response

        return endpoint

    def shown(request: "Request", status: dict[str, Any]) -> "Response":
        still = "still" in request.query_params
        text = page(status, gateway.latest, gateway.settings.namespace, still=still, token=_token(request))
        # a page that moves on by itself can be held: WCAG 2.2, success criterion 2.2.2
        return HTMLResponse(text, headers={} if still else {"Refresh": str(_REFRESH_S)})

    routes = [
        Route("/", guarded(shown)),
        Route("/metrics", guarded(lambda _, status: PlainTextResponse(metrics(status)))),
        Route("/status.json", guarded(lambda _, status: JSONResponse(status))),
    ]
    return Starlette(routes=routes)


def _refused(request: "Request", hosts: frozenset[str], http: HttpOptions) -> str:
    """Foreign host names (DNS rebinding) and strangers are kept out."""
    named = request.headers.get("host", "")
    if (named if named.startswith("[") and named.endswith("]") else named.rsplit(":", 1)[0]) not in hosts:
        return "this address is not served under that host name"
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = _token(request) or bearer
    if http.tokens and not any(hmac.compare_digest(secret.encode(), given.encode()) for secret, _ in http.tokens):
        return "the page needs its token: open the address with ?token=..."
    return ""


def _token(request: "Request") -> str:
    return request.query_params.get("token", "")
