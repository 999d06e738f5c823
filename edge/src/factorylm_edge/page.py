"""The operator's page and Prometheus metrics: what is collected, fails, waits. They show and change nothing."""

import argparse
import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from factorylm_skill import told_to_the_model
from factorylm_skill.http import HttpOptions, http_options, serve_app

from factorylm_edge.gateway import Gateway
from factorylm_edge.metrics import metrics
from factorylm_edge.sample import Sample, instant, quality_name

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
_MOST_VALUES = 200
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 0 0 2rem }
caption { text-align: left; font-weight: 600; padding: .5rem 0 }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums }
.bad { font-weight: 700 }
"""


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
            response: Response = answer(status)
            response.headers.update(_HEADERS)
            return response

        return endpoint

    routes = [
        Route("/", guarded(lambda status: HTMLResponse(page(status, gateway.latest)))),
        Route("/metrics", guarded(lambda status: PlainTextResponse(metrics(status)))),
        Route("/status.json", guarded(JSONResponse)),
    ]
    return Starlette(routes=routes)


def page(status: dict[str, Any], latest: dict[str, Sample]) -> str:
    """The whole page; every text of the plant is escaped and made visible."""
    trouble = f'<p role="alert" class="bad">{_told(status["trouble"])}</p>' if status["trouble"] else ""
    name = _told(status["plant"]) or "Gateway"
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width"><title>{name}: gateway</title><style>{_STYLE}</style></head>
<body><main><h1>{name}</h1>{trouble}
<p>{status["kept"]:,} samples kept, {status["waiting"]:,} wait for the disk, {status["lost"]:,} lost.
History {status["history_bytes"] / 1e6:,.1f} MB, {status["free_bytes"] / 1e9:,.1f} GB free.
The clock jumped {status["clock_jumps"]} times.</p>
{_devices(status["devices"])}{_targets(status["targets"])}{_values(latest)}</main></body></html>"""


def _devices(devices: list[dict[str, Any]]) -> str:
    rows = [
        [
            device["name"],
            {True: "answers", False: "SILENT", None: "not asked yet"}[device["up"]],
            device["tags"],
            device["samples"],
            device["overruns"],
            device["failures"],
            device["problem"],
        ]
        for device in devices
    ]
    return _table("Devices", ["device", "state", "tags", "samples", "overruns", "failures", "problem"], rows)


def _targets(targets: list[dict[str, Any]]) -> str:
    rows = [[t["to"], t["sent"], t["samples"], t["trouble"]] for t in targets]
    return _table("What leaves", ["to", "sent", "waiting", "problem"], rows) if rows else ""


def _values(latest: dict[str, Sample]) -> str:
    rows = [
        [s.tag, s.value if s.value is not None else "-", "" if s.is_good else quality_name(s.quality), _clock(s)]
        for _, s in sorted(latest.items())[:_MOST_VALUES]
    ]
    said = f"Latest values ({len(rows)} of {len(latest)})" if len(rows) < len(latest) else "Latest values"
    return _table(said, ["tag", "value", "quality", "time (UTC)"], rows)


def _table(caption: str, columns: list[str], rows: list[list[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="n">{value:.6g}</td>'
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td class="n">{value:,}</td>'
    return f"<td>{_told(str(value))}</td>"


def _told(text: str) -> str:
    return escape(told_to_the_model(text))


def _clock(sample: Sample) -> str:
    return f"{instant(sample.time_us):%Y-%m-%d %H:%M:%S}"


def _refused(request: "Request", hosts: frozenset[str], http: HttpOptions) -> str:
    """Foreign host names (DNS rebinding) and strangers are kept out."""
    named = request.headers.get("host", "")
    if (named if named.startswith("[") and named.endswith("]") else named.rsplit(":", 1)[0]) not in hosts:
        return "this address is not served under that host name"
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = request.query_params.get("token", bearer)
    if http.tokens and not any(hmac.compare_digest(secret.encode(), given.encode()) for secret, _ in http.tokens):
        return "the page needs its token: open the address with ?token=..."
    return ""
