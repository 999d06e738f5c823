"""The MCP registry API v0.1 over HTTP, the transparency log as tiles, wheels, and the page for people."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from factorylm_registry.answers import Answering, Limiter, body_of, json_body, ok, told
from factorylm_registry.cursors import cursor_of, question_of
from factorylm_registry.listing import Listing
from factorylm_registry.openapi import document_of
from factorylm_registry.publishers import Method
from factorylm_registry.refusals import BadQuestionError, NotListedError, NotOfferedError
from factorylm_registry.registry import Registry
from factorylm_registry.server_json import faults_of
from factorylm_registry.tile_log import TILE, tile_number
from factorylm_registry.wheels import MOST_BYTES, read_wheel

PREFIXES = ("/v0.1", "/v0")
_LASTING = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Api:
    """One handler for each question."""

    registry: Registry

    def servers(self, request: Request) -> Response:
        question = question_of(dict(request.query_params))
        found = self.registry.store.page(question)
        more = len(found) > question.limit
        shown = found[: question.limit]
        metadata: dict[str, Any] = {"count": len(shown)}
        if more:
            metadata["nextCursor"] = cursor_of(question.following(shown[-1].number))
        return _listed(request, shown, metadata)

    def versions(self, request: Request) -> Response:
        found = self.registry.store.versions(_name(request), include_deleted=_deleted(request))
        return _listed(request, found, {"count": len(found)})

    def version(self, request: Request) -> Response:
        return ok(request, self._version(request).wire())

    def _version(self, request: Request) -> Listing:
        version = unquote(request.path_params["version"])
        return self.registry.store.version(_name(request), version, include_deleted=_deleted(request))

    async def publish(self, request: Request) -> Response:
        publisher = self._publisher(request)
        return ok(request, self.registry.publish(await json_body(request), publisher).wire())

    async def validate(self, request: Request) -> Response:
        faults = [{"location": one.location, "message": one.message} for one in faults_of(await json_body(request))]
        return ok(request, {"valid": not faults, "issues": faults})

    async def version_status(self, request: Request) -> Response:
        publisher, asked = self._publisher(request), await json_body(request)
        version = unquote(request.path_params["version"])
        return ok(request, self.registry.set_status(_name(request), version, asked, publisher)[0].wire())

    async def status(self, request: Request) -> Response:
        publisher, asked = self._publisher(request), await json_body(request)
        changed = self.registry.set_status(_name(request), "", asked, publisher)
        return _listed(request, changed, {"count": len(changed)}, key="updatedCount")

    def not_offered(self, request: Request) -> Response:
        hint = "Publish a new version, or PATCH its status"
        raise NotOfferedError(f"{request.method} of a version: published versions never change", hint=hint)

    async def prove(self, request: Request) -> Response:
        given = await json_body(request)
        if not isinstance(given, dict) or not all(isinstance(given.get(key), str) for key in _PROOF):
            raise BadQuestionError("the proof is incomplete", hint=f"Send {', '.join(_PROOF)}")
        method: Method = "dns" if request.url.path.endswith("/dns") else "http"
        token, until = self.registry.door.prove(method, given["domain"], given["timestamp"], given["signed_timestamp"])
        return ok(request, {"registry_token": token, "expires_at": int(until.timestamp())}, private=True)

    async def put_wheel(self, request: Request) -> Response:
        self._publisher(request)
        wheel = read_wheel(request.path_params["filename"], await body_of(request, MOST_BYTES))
        if wheel.sha256 != request.path_params["sha256"]:
            raise BadQuestionError(f"what arrived has the hash {wheel.sha256}", hint="Send it again")
        self.registry.wheels.put(wheel)
        return ok(request, {"sha256": wheel.sha256, "size": len(wheel.content)})

    def wheel(self, request: Request) -> Response:
        wheel = self.registry.wheels.get(request.path_params["sha256"])
        return Response(wheel.content, media_type="application/zip", headers={"Cache-Control": _LASTING})

    def evidence(self, request: Request) -> Response:
        return ok(request, self.registry.evidence(_name(request), unquote(request.path_params["version"])))

    def checkpoint(self, _: Request) -> Response:
        headers = {"Cache-Control": "no-store"}
        return Response(self.registry.log.checkpoint(), media_type="text/plain; charset=utf-8", headers=headers)

    def tile(self, request: Request) -> Response:
        number, width = tile_number(request.path_params["path"])
        if request.path_params["level"] == "entries":
            found = self.registry.log.entries(number, width)
        else:
            found = self.registry.log.tile(_level(request.path_params["level"]), number, width)
        lasting = _LASTING if width == TILE else "public, max-age=60"
        return Response(found, media_type="application/octet-stream", headers={"Cache-Control": lasting})

    def health(self, request: Request) -> Response:
        return ok(request, {"status": "ok", "entries": self.registry.store.log_size()}, private=True)

    def ping(self, request: Request) -> Response:
        return ok(request, {"pong": True}, private=True)

    def about(self, request: Request) -> Response:
        return ok(request, {"version": "0.1.0", "api": "v0.1", "key": str(self.registry.signer.verifier)})

    def openapi(self, request: Request) -> Response:
        return ok(request, document_of(route for route in request.app.routes if isinstance(route, Route)))

    def _publisher(self, request: Request) -> Any:
        return self.registry.door.publisher(request.headers.get("authorization", ""))


_PROOF = ("domain", "timestamp", "signed_timestamp")


@dataclass(frozen=True)
class ServiceOptions:
    """What the operator decides; `per_second` requests for each client address (0: no limit)."""

    per_second: float = 50.0


def registry_app(registry: Registry, options: ServiceOptions | None = None) -> Starlette:
    """The whole service."""
    from factorylm_registry.account_api import account_routes
    from factorylm_registry.page import page_routes

    options = options or ServiceOptions()
    routes = [*_api_routes(Api(registry)), *account_routes(registry), *page_routes(registry)]
    limiter = Limiter(options.per_second)
    middleware = [
        Middleware(GZipMiddleware, minimum_size=1024, compresslevel=4),
        Middleware(Answering, limiter=limiter),
    ]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: told})
    app.router.redirect_slashes = False
    return app


def _api_routes(api: Api) -> list[Route]:
    routes = [route for prefix in PREFIXES for route in _versioned(api, prefix)]
    return [
        *routes,
        Route("/wheels/{sha256}/{filename}", api.put_wheel, methods=["PUT"]),
        Route("/wheels/{sha256}/{filename}", api.wheel),
        Route("/evidence/{name:path}/versions/{version}", api.evidence),
        Route("/log/checkpoint", api.checkpoint),
        Route("/log/tile/{level}/{path:path}", api.tile),
        Route("/openapi.json", api.openapi),
    ]


def _versioned(api: Api, prefix: str) -> list[Route]:
    server = f"{prefix}/servers/{{name:path}}"
    return [
        Route(f"{prefix}/servers", api.servers),
        Route(f"{server}/versions", api.versions),
        Route(f"{server}/versions/{{version}}/status", api.version_status, methods=["PATCH"]),
        Route(f"{server}/versions/{{version}}", api.not_offered, methods=["PUT", "DELETE"]),
        Route(f"{server}/versions/{{version}}", api.version),
        Route(f"{server}/status", api.status, methods=["PATCH"]),
        Route(f"{prefix}/publish", api.publish, methods=["POST"]),
        Route(f"{prefix}/validate", api.validate, methods=["POST"]),
        Route(f"{prefix}/auth/dns", api.prove, methods=["POST"]),
        Route(f"{prefix}/auth/http", api.prove, methods=["POST"]),
        Route(f"{prefix}/health", api.health),
        Route(f"{prefix}/ping", api.ping),
        Route(f"{prefix}/version", api.about),
    ]


def _name(request: Request) -> str:
    return unquote(request.path_params["name"])


def _deleted(request: Request) -> bool:
    return question_of({"include_deleted": request.query_params.get("include_deleted", "false")}).include_deleted


def _level(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:3]) > 63 or (len(text) > 1 and text[0] == "0"):
        raise NotListedError("the log has no such level")
    return int(text)


def _listed(request: Request, found: list[Listing], metadata: dict[str, Any], key: str = "metadata") -> Response:
    about = metadata if key == "metadata" else metadata["count"]
    return ok(request, {"servers": [one.wire() for one in found], key: about})
