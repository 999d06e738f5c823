"""The HTTP side: who calls, what they want, and answers and errors in their dialect."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from factorylm_router.attempt import Desk, Job
from factorylm_router.config import ROLE_NAMES, DataClass, is_loopback, key_digest
from factorylm_router.errors import (
    BadRequestError,
    BodyTooLargeError,
    NotAllowedError,
    RateExceededError,
    RouterError,
)
from factorylm_router.gateway import Gateway, Plan, new_request_id
from factorylm_router.policy import Caller, identify, judge_class
from factorylm_router.redact import Redaction
from factorylm_router.resilience import FailedAttempt
from factorylm_router.routes import AutoQuestion
from factorylm_router.sessions import session_of
from factorylm_router.wire.chat import judge_chat_request, judge_embedding_request
from factorylm_router.wire.lines import Surface
from factorylm_router.wire.messages_in import judge_messages_request
from factorylm_router.wire.responses import judge_responses_request

log = logging.getLogger("factorylm.router")

JUDGES: dict[Surface, Callable[[Any], None]] = {
    "chat": judge_chat_request,
    "messages": judge_messages_request,
    "responses": judge_responses_request,
    "embeddings": judge_embedding_request,
}
LONGEST_LABEL = 64
MOST_CALLERS = 10_000
Guess = Literal["trivial", "normal", "hopeless", "unknown"]


NAMED = AutoQuestion(stream=False, has_tools=False, surface="", guess="unknown", pinned=None, short_deadline=False)


class Streaming(web.StreamResponse):
    """Its head leaves together with the first events: one packet less for every stream."""

    _send_headers_immediately = False


class Front:
    """Turns HTTP requests into jobs for the gateway."""

    def __init__(
        self, gateway: Gateway, guess: Callable[[Surface, dict[str, Any]], str], most_at_once: int = 1 << 30
    ) -> None:
        self.gateway = gateway
        self.most_at_once = most_at_once
        self.guess = guess
        self.draining = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self.chat),
            web.post("/v1/messages", self.messages),
            web.post("/v1/responses", self.responses),
            web.post("/v1/embeddings", self.embeddings),
            web.get("/v1/models", self.models),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "chat")

    async def messages(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "messages")

    async def responses(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "responses")

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "embeddings")

    async def models(self, request: web.Request) -> web.StreamResponse:
        try:
            caller = self._caller(request, self.gateway.desk)
        except RouterError as error:
            return error_response(error, "chat")
        config = self.gateway.desk.config
        roles = (role for role in ROLE_NAMES if getattr(config.roles, role))
        names = list(dict.fromkeys(["auto", *roles, *config.models]))
        allowed = caller.rules.models if caller.rules and caller.rules.models else names
        data = [{"id": n, "object": "model", "created": 0, "owned_by": "factorylm"} for n in names if n in allowed]
        return _json_response({"object": "list", "data": data})

    async def _answered(self, request: web.Request, surface: Surface) -> web.StreamResponse:
        gateway = self.gateway
        most = min(self.most_at_once, gateway.desk.config.server.at_once)
        if self.draining or gateway.in_flight >= most:
            return busy_response(surface)
        gateway.in_flight += 1
        try:
            plan = await self._admitted(request, surface)
            if plan.job.stream:
                return await self._streamed(request, plan)
            reply = await gateway.whole(plan)
            return web.Response(body=reply.body, content_type="application/json", headers=reply.headers)
        except RouterError as error:
            return error_response(error, surface)
        except FailedAttempt as failure:
            return failure_response(failure, surface)
        finally:
            gateway.in_flight -= 1

    async def _admitted(self, request: web.Request, surface: Surface) -> Plan:
        started, now_ms = time.monotonic(), int(time.time() * 1000)
        desk = self.gateway.desk
        caller = self._caller(request, desk)
        raw = await _body(request, desk)
        body = _object(raw)
        JUDGES[surface](body)
        headers = request.headers
        ruling = judge_class(desk.config.policy, caller, headers.get("X-FactoryLM-Data-Class"), body)
        redacts = ruling.data_class is DataClass.REDACTED
        job = Job(
            request_id=new_request_id(now_ms),
            surface=surface,
            body=body,
            size=len(raw),
            caller=caller,
            ruling=ruling,
            started=started,
            at_ms=now_ms,
            stream=body.get("stream") is True and surface != "embeddings",
            redaction=Redaction(desk.config.policy.redact) if redacts else None,
            still_welcome=lambda: self._still_welcome(desk, caller),
        )
        job.session = session_of(headers.get("X-FactoryLM-Session"), surface, body, caller.name)
        auto = body["model"] == "auto"
        question = await self._question(job, desk, headers.get("X-FactoryLM-Deadline-S")) if auto else NAMED
        return await self.gateway.admit(desk, job, body["model"], question)

    async def _question(self, job: Job, desk: Desk, deadline: str | None) -> AutoQuestion:
        """Only `auto` looks at the prompt and the session; everybody else pays nothing for it."""
        has_tools = bool(job.body.get("tools"))
        pinned = await self.gateway.state.pin_get(job.session, job.at_ms) if has_tools else None
        return AutoQuestion(
            stream=job.stream,
            has_tools=has_tools,
            surface=job.surface,
            guess=self.guess(job.surface, job.body),
            pinned=pinned,
            short_deadline=_seconds(deadline) < desk.config.routing.deadline_s,
        )

    def _caller(self, request: web.Request, desk: Desk) -> Caller:
        judge_host(request, desk)
        key = _sent_key(request)
        digest = key_digest(key) if key else None
        name, rules = identify(desk.config, digest, datetime.now(UTC))
        headers = request.headers
        labels = (digest, headers.get("X-FactoryLM-Skill", ""), headers.get("X-FactoryLM-Agent", ""))
        caller = desk.callers.get(labels)
        if caller is None:
            caller = desk.callers[labels] = Caller(
                name=name,
                rules=rules,
                plant=(rules.plant if rules else "") or desk.config.server.plant,
                skill=(rules.skill if rules else "") or labels[1][:LONGEST_LABEL],
                agent=(rules.agent if rules else "") or labels[2][:LONGEST_LABEL],
            )
            if len(desk.callers) > MOST_CALLERS:
                desk.callers.clear()  # labels are the client's own words: they must not fill the memory
        return caller

    def _still_welcome(self, desk: Desk, caller: Caller) -> bool:
        """A key revoked, removed or expired while its answer streams ends that answer."""
        rules = caller.rules
        if rules is None:
            return True
        if self.gateway.desk is not desk:
            current = self.gateway.desk.config.keys.get(caller.name)
            if current is None or current.revoked or current.sha256 != rules.sha256:
                return False
            rules = current
        return rules.expires is None or datetime.now(UTC) < rules.expires

    async def _streamed(self, request: web.Request, plan: Plan) -> web.StreamResponse:
        async with self.gateway.stream(plan) as (headers, pieces), aclosing(pieces):  # type: ignore[type-var]
            response = Streaming(headers={**headers, "Cache-Control": "no-store"})
            response.content_type = "text/event-stream"
            await response.prepare(request)
            try:
                async for piece in pieces:
                    await response.write(piece)
                await response.write_eof()
            except ConnectionError:
                pass  # the client left: closing `pieces` tells the provider
        return response


def _sent_key(request: web.Request) -> str | None:
    bearer = request.headers.get("Authorization", "")
    if bearer[:7].lower() == "bearer ":
        return bearer[7:].strip()
    return request.headers.get("x-api-key")


def judge_host(request: web.Request, desk: Desk) -> None:
    """A page in a browser must not reach the router under a name of its own (DNS rebinding)."""
    server = desk.config.server
    if not _serves_host(request.host, server.host, server.allowed_hosts):
        raise NotAllowedError(f"host {request.host[:80]!r} is not served here", hint="add it to server.allowed_hosts")
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.host:
        raise NotAllowedError("requests from other web pages are refused")


@lru_cache(maxsize=256)
def _serves_host(sent: str, own: str, allowed: tuple[str, ...]) -> bool:
    host = urlsplit(f"//{sent}").hostname or ""
    return is_loopback(host) or (not is_loopback(own) and host in allowed)


async def _body(request: web.Request, desk: Desk) -> bytes:
    limit = int(desk.config.server.max_body_mb * 1_000_000)
    if (request.content_length or 0) > limit:
        raise BodyTooLargeError(f"the request is larger than {desk.config.server.max_body_mb:g} MB", hint="send less")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLargeError(
            f"the request is larger than {desk.config.server.max_body_mb:g} MB", hint="send less"
        ) from None


def _object(raw: bytes) -> dict[str, Any]:
    """Parsed once and said anew: what the policy judged is what leaves, also with repeated keys."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def _seconds(text: str | None) -> float:
    if text is None:
        return float("inf")
    try:
        return float(text)
    except ValueError:
        raise BadRequestError("X-FactoryLM-Deadline-S must be a number of seconds") from None


def _json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)


def error_response(error: RouterError, surface: Surface) -> web.Response:
    headers = {"x-should-retry": "false"} if error.status < 429 else {}
    if isinstance(error, RateExceededError):
        headers = {"Retry-After": str(max(1, round(error.retry_after_s)))}
    return _json_response(_told_error(surface, error.kind, str(error), error.code), error.status, headers)


def failure_response(failure: FailedAttempt, surface: Surface) -> web.Response:
    """The provider refused the request itself; its reason goes on if it is a proper error object."""
    message, code = failure.message, "upstream_refused"
    try:
        told = orjson.loads(failure.body).get("error") or {}
        message = f"{message}: {str(told.get('message') or '')[:2000]}"
        code = str(told.get("code") or code)
    except (orjson.JSONDecodeError, AttributeError):
        pass  # plain text and HTML may hold file paths of the provider's machine
    body = _told_error(surface, "invalid_request_error", message, code)
    return _json_response(body, failure.status, {"x-should-retry": "false"})


def _told_error(surface: Surface, kind: str, message: str, code: str) -> dict[str, Any]:
    if surface == "messages":
        return {"type": "error", "error": {"type": kind, "message": message, "code": code}}
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


def busy_response(surface: Surface) -> web.Response:
    body = _told_error(surface, "overloaded_error", "the router is busy or about to stop", "busy")
    return _json_response(body, 503, {"Retry-After": "1"})


async def drained(gateway: Gateway, drain_s: float) -> bool:
    """Requests under way may end; says whether all did."""
    try:
        async with asyncio.timeout(drain_s):
            while gateway.in_flight:  # noqa: ASYNC110 -- an event would cost every request, this only the end
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    finally:
        await gateway.settled()
    return True
