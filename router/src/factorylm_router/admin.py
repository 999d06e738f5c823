"""What operators look at: health, Prometheus and the dashboard. Never on the way of a request."""

import hmac
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web

from factorylm_router.config import is_loopback, key_digest
from factorylm_router.errors import NotAllowedError, RouterError
from factorylm_router.gateway import Gateway
from factorylm_router.learning import quality_of
from factorylm_router.ledger import LedgerRow, Purpose, Status, Total
from factorylm_router.meters import Meters, exposition
from factorylm_router.server import error_response, judge_host

COOKIE = "factorylm_router_admin"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
RECENT_ROWS = 5000


class Admin:
    def __init__(self, gateway: Gateway, meters: Meters, trouble: Callable[[], str]) -> None:
        self.gateway = gateway
        self.meters = meters
        self.trouble = trouble

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.health),
            web.get("/metrics", self.metrics),
            web.get("/dashboard", self.page),
            web.get("/dashboard/data", self.data),
            web.get("/dashboard/{name:dashboard\\.(?:js|css|svg)}", self.asset),
            web.post("/dashboard/login", self.login),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """Open to load balancers: says that it lives and nothing else."""
        return _json({"status": "ok"})

    async def metrics(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        gauges = {
            "in_flight": float(self.gateway.in_flight),
            "ledger_backlog": float(getattr(self.gateway.state, "backlog", 0)),
            "config_is_old": float(bool(self.trouble())),
        }
        health = self.gateway.desk.providers.health(time.monotonic())
        text = exposition(self.meters, gauges, health)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def page(self, request: web.Request) -> web.Response:
        try:
            judge_host(request, self.gateway.desk)
        except RouterError as error:
            return error_response(error, "chat")
        return _asset("dashboard.html" if self._is_admin(request) else "login.html")

    async def asset(self, request: web.Request) -> web.Response:
        return _asset(request.match_info["name"])

    async def login(self, request: web.Request) -> web.Response:
        form = await request.post()
        wanted = self.gateway.desk.config.server.admin_sha256 or ""
        given = str(form.get("token", ""))
        if not hmac.compare_digest(key_digest(given), wanted):
            return _asset("login.html", status=401)
        response = web.Response(status=303, headers={"Location": "/dashboard"})
        response.set_cookie(COOKIE, given, httponly=True, samesite="Strict", secure=request.secure, path="/")
        return response

    def _is_admin(self, request: web.Request) -> bool:
        """With a token set, the token; without one, whoever reaches a router that listens on loopback
        only."""
        server = self.gateway.desk.config.server
        if server.admin_sha256 is None:
            return is_loopback(server.host)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = request.cookies.get(COOKIE) or bearer
        return hmac.compare_digest(key_digest(given), server.admin_sha256)

    def _refused(self, request: web.Request) -> web.Response | None:
        try:
            judge_host(request, self.gateway.desk)
            if not self._is_admin(request):
                raise NotAllowedError(
                    "this needs the operator's token", hint="set server.admin_sha256 and send the token"
                )
        except RouterError as error:
            return error_response(error, "chat")
        return None

    async def data(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        hours = min(max(_number(request.query.get("hours"), 24.0), 1.0), 24.0 * 366)
        now_ms = int(time.time() * 1000)
        try:
            numbers = await self._numbers(now_ms - int(hours * 3_600_000), now_ms)
        except RouterError as error:
            return error_response(error, "chat")
        return _json(numbers, headers=PAGE_HEADERS)

    async def _numbers(self, since: int, now_ms: int) -> dict[str, Any]:
        state, desk = self.gateway.state, self.gateway.desk
        rows = await state.rows(since_ms=since, limit=RECENT_ROWS)
        by_status = {total.group: total for total in await state.totals("status", since)}
        purposes = {total.group: total for total in await state.totals("purpose", since)}
        requests = sum(total.requests for total in await state.totals("day", since))
        samples = [s for s in await state.samples(2000) if s["at_ms"] >= since and s.get("agreed") is not None]
        quality = quality_of(sum(bool(s["agreed"]) for s in samples), len(samples))
        cost = sum(total.cost_micro for total in by_status.values())
        premium = sum(total.premium_micro for total in by_status.values())
        escalated = purposes[Purpose.ESCALATION].requests if Purpose.ESCALATION in purposes else 0
        return {
            "now_ms": now_ms,
            "plant": desk.config.server.plant,
            "trouble": self.trouble(),
            "in_flight": self.gateway.in_flight,
            "cost_micro": cost,
            "premium_micro": premium,
            "requests": requests,
            "escalated": escalated,
            "quality": None if quality is None else [quality.share, quality.low, quality.high, quality.samples],
            "refusals": _counted(row.trouble for row in rows if row.status == Status.REFUSED),
            "latency_ms": _percentiles(rows),
            "days": [_told(total) for total in await state.totals("day", since)][:60],
            "keys": [_told(total) for total in await state.totals("key", since)][:10],
            "models": [_told(total, "none (refused)") for total in await state.totals("model", since)][:20],
            "breakers": {k: v for k, v in desk.providers.health(time.monotonic()).items() if v != "closed"},
        }


def _told(total: Total, nameless: str = "-") -> dict[str, Any]:
    return {
        "name": total.group or nameless,
        "requests": total.requests,
        "cost_micro": total.cost_micro,
        "premium_micro": total.premium_micro,
    }


def _counted(words: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def _percentiles(rows: list[LedgerRow]) -> dict[str, int] | None:
    told = sorted(row.latency_ms for row in rows if row.status == Status.OK)
    if not told:
        return None
    return {"p50": told[len(told) // 2], "p95": told[min(len(told) - 1, int(len(told) * 0.95))]}


def _number(text: str | None, otherwise: float) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise


def _asset(name: str, status: int = 200) -> web.Response:
    body = files("factorylm_router").joinpath("pages", name).read_bytes()
    kind = TYPES[name.rpartition(".")[2]]
    return web.Response(body=body, status=status, content_type=kind, charset="utf-8", headers=PAGE_HEADERS)


def _json(value: Any, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json", headers=headers)
