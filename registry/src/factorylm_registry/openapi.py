"""The document of the whole service: the official API's, unchanged, and our own addresses beside it."""

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.routing import Route

# What each of our own addresses is for; the pages for people are not in it
_OURS = {
    "/v0.1/auth/dns": "A token for the key that a domain shows in a TXT record",
    "/v0.1/auth/http": "A token for the key that a domain shows in its well-known file",
    "/v0.1/auth/key": "A token for a key that an owner added to a namespace",
    "/v0.1/auth/github-oidc": "A token for a workflow, for its OpenID token",
    "/v0.1/validate": "Every fault of a server.json",
    "/v0.1/servers/{name}/licences/revoked": "Revoked licences; revoke one",
    "/v0.1/servers/{name}/usage": "Send a batch of CloudEvents; read the sums as the publisher",
    "/v0.1/namespaces/{namespace}/keys": "Who holds keys for a namespace; add one",
    "/v0.1/namespaces/{namespace}/keys/retire": "A key proves nothing from now on",
    "/v0.1/namespaces/{namespace}/audit": "Every log entry about a namespace",
    "/v0.1/health": "Whether it serves, and the size of its log",
    "/v0.1/ping": "Whether it answers",
    "/v0.1/version": "Version, and the public key that signs log and listings",
    "/wheels/{sha256}/{filename}": "A wheel by its hash; upload one",
    "/evidence/{name}/versions/{version}": "Listing, log entries, proofs and signatures, to be verified offline",
    "/log/checkpoint": "The signed head of the log (C2SP tlog-tiles)",
    "/log/tile/{level}/{path}": "A tile of hashes, or of entries where level is `entries`",
    "/openapi.json": "This document",
}


@cache
def official() -> dict[str, Any]:
    """As the MCP registry publishes it."""
    text = (files("factorylm_registry") / "schemas" / "registry-openapi-2025-12-01.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def document_of(routes: Iterable[Route]) -> dict[str, Any]:
    """The official document and every other address that is served and named above."""
    paths = dict(official()["paths"])
    for route in routes:
        path = _plain(route.path)
        if path not in _OURS or path in official()["paths"]:
            continue
        methods = sorted((route.methods or {"GET"}) - {"HEAD"})
        paths[path] = paths.get(path, {}) | {method.lower(): _operation(path) for method in methods}
    return {**official(), "paths": paths}


def _plain(path: str) -> str:
    """Without the converters of Starlette: `{name:path}` is `{name}`; official names are kept."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operation(path: str) -> dict[str, Any]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    problem = {"description": "Why not, as RFC 9457 says, with what to try"}
    return {"summary": _OURS[path], "parameters": named, "responses": {"200": {"description": "Done"}, "4XX": problem}}
