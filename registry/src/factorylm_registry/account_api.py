"""Keys of namespaces, licences and usage over HTTP: our own addresses beside the official ones."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from factorylm_registry.accounts import Role
from factorylm_registry.answers import body_of, json_body, ok
from factorylm_registry.licences import Licence, keys_in, verify_licence
from factorylm_registry.names import is_well_formed
from factorylm_registry.publishers import Publisher
from factorylm_registry.refusals import BadQuestionError, NotProvenError
from factorylm_registry.registry import Registry
from factorylm_registry.signatures import verifier_from
from factorylm_registry.usage import events_in

_MOST_BATCH_BYTES = 600_000
_GIVEN = (Role.OWNER, Role.PUBLISHER, Role.EDITOR)


def account_routes(registry: Registry) -> list[Route]:
    """Below the stable prefix alone: these are ours."""
    api = AccountApi(registry)
    space, server = "/v0.1/namespaces/{namespace}", "/v0.1/servers/{name:path}"
    return [
        Route("/v0.1/auth/key", api.prove_key, methods=["POST"]),
        Route("/v0.1/auth/github-oidc", api.prove_workflow, methods=["POST"]),
        Route(f"{space}/keys", api.keys),
        Route(f"{space}/keys", api.add_key, methods=["POST"]),
        Route(f"{space}/keys/retire", api.retire_key, methods=["POST"]),
        Route(f"{space}/audit", api.audit),
        Route(f"{server}/licences/revoked", api.revoked),
        Route(f"{server}/licences/revoked", api.revoke, methods=["POST"]),
        Route(f"{server}/usage", api.usage),
        Route(f"{server}/usage", api.add_usage, methods=["POST"]),
    ]


@dataclass(frozen=True)
class AccountApi:
    """One handler for each question."""

    registry: Registry

    async def prove_key(self, request: Request) -> Response:
        key, timestamp, signature = await _texts(request, "key", "timestamp", "signed_timestamp")
        return _token(request, *self.registry.door.prove_key(key, timestamp, signature))

    async def prove_workflow(self, request: Request) -> Response:
        given = await json_body(request)
        token, key = (given.get("oidc_token"), given.get("key", "")) if isinstance(given, dict) else (None, "")
        if not isinstance(token, str) or not isinstance(key, str):
            raise BadQuestionError("the proof is incomplete", hint="Send oidc_token, and key to sign releases with")
        return _token(request, *self.registry.door.prove_workflow(token, key))

    def keys(self, request: Request) -> Response:
        found = self.registry.store.accounts.keys(_namespace(request))
        rows = [{"key": one.holder, "role": one.role, "since": one.since, "until": one.until} for one in found]
        return ok(request, {"keys": rows})

    async def add_key(self, request: Request) -> Response:
        publisher, namespace = self._manager(request)
        key, role = await _texts(request, "key", "role")
        if role not in _GIVEN:
            raise BadQuestionError(f"{role[:40]!r} is not a role", hint=f"The roles are {', '.join(_GIVEN)}")
        line = str(verifier_from(key))
        change = publisher.change(self.registry.clock())
        self.registry.store.accounts.add_key(namespace, line, Role(role), change)
        return self.keys(request)

    async def retire_key(self, request: Request) -> Response:
        publisher, namespace = self._manager(request)
        key, reason = await _texts(request, "key", "reason")
        change = publisher.change(self.registry.clock())
        self.registry.store.accounts.retire_key(namespace, key.strip(), _line(reason), change)
        return self.keys(request)

    def audit(self, request: Request) -> Response:
        found = self.registry.store.accounts.audit(_namespace(request))
        return ok(request, {"entries": [{"index": at, **json.loads(entry)} for at, entry in found]})

    def revoked(self, request: Request) -> Response:
        return ok(request, {"revoked": self.registry.store.accounts.revoked(_name(request))})

    async def revoke(self, request: Request) -> Response:
        publisher, name = self._publisher(request), _name(request)
        publisher.may("edit", name)
        licence, reason = await _texts(request, "licence", "reason")
        change = publisher.change(self.registry.clock())
        self.registry.store.accounts.revoke_licence(name, _line(licence), _line(reason), change)
        return self.revoked(request)

    async def add_usage(self, request: Request) -> Response:
        """The licence itself is the proof: whoever holds it may say how much was used under it, and nothing else."""
        name = _name(request)
        licence = self._licence(request, name)
        try:
            batch = json.loads(await body_of(request, _MOST_BATCH_BYTES))
        except (ValueError, RecursionError) as error:
            raise BadQuestionError("the body is not JSON") from error
        events = events_in(batch, name, licence.id)
        new = self.registry.store.accounts.add_usage(events)
        return ok(request, {"accepted": new, "known": len(events) - new}, private=True)

    def usage(self, request: Request) -> Response:
        name = _name(request)
        self._publisher(request).may("publish", name)
        rows = self.registry.store.accounts.usage(name)
        found = [{"source": source, "unit": unit, "count": count} for source, unit, count in rows]
        return ok(request, {"usage": found}, private=True)

    def _licence(self, request: Request, name: str) -> Licence:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise NotProvenError("a licence is needed", hint="Send it as the bearer token")
        revoked = frozenset(self.registry.store.accounts.revoked(name))
        return verify_licence(text, name, keys_in(self.registry.licence_keys(name)), self.registry.clock(), revoked)

    def _publisher(self, request: Request) -> Publisher:
        return self.registry.door.publisher(request.headers.get("authorization", ""))

    def _manager(self, request: Request) -> tuple[Publisher, str]:
        publisher, namespace = self._publisher(request), _namespace(request)
        publisher.may("manage", f"{namespace}/*")
        return publisher, namespace


def _token(request: Request, token: str, until: Any) -> Response:
    return ok(request, {"registry_token": token, "expires_at": int(until.timestamp())}, private=True)


async def _texts(request: Request, *names: str) -> list[str]:
    """These members of the body, all of them texts."""
    given = await json_body(request)
    if not isinstance(given, dict) or not all(isinstance(given.get(name), str) for name in names):
        raise BadQuestionError("the body is incomplete", hint=f"Send {', '.join(names)}, each a text")
    return [given[name] for name in names]


def _line(text: str) -> str:
    if not text.strip() or len(text) > 500 or not text.isprintable():
        raise BadQuestionError("a reason or an id is one line of 1 to 500 characters")
    return text.strip()


def _name(request: Request) -> str:
    return unquote(request.path_params["name"])


def _namespace(request: Request) -> str:
    namespace = unquote(request.path_params["namespace"])
    if not is_well_formed(namespace):
        raise BadQuestionError(f"{namespace[:80]!r} is not a namespace", hint="For example com.example")
    return namespace
