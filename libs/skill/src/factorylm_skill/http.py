"""Streamable HTTP: loopback for everybody on this machine; beyond it only with a token, an audience and named hosts."""

import asyncio
import hmac
import os
import socket
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from factorylm_schema import BadRequestError
from mcp.server import Server
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Route

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SHORTEST_TOKEN = 24


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """Where to listen; `tokens` maps a secret to the name of its owner."""

    host: str
    port: int
    tokens: tuple[tuple[str, str], ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None

    @property
    def on_loopback(self) -> bool:
        """Only this machine can reach it."""
        return self.host in _LOOPBACK


def http_options(
    address: str,
    token_file: Path | None,
    allowed_hosts: Sequence[str],
    certificate: Path | None = None,
    key: Path | None = None,
) -> HttpOptions:
    """Checked options; raises BadRequestError when they would serve strangers."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise BadRequestError(f"{address!r} is not HOST:PORT", hint="For example: --http 127.0.0.1:8765")
    tokens = read_tokens(token_file) if token_file else ()
    options = HttpOptions(
        host=host, port=int(port), tokens=tokens, allowed_hosts=tuple(allowed_hosts), certificate=certificate, key=key
    )
    if not options.on_loopback and not (tokens and allowed_hosts):
        raise BadRequestError(
            f"{host} can be reached from other machines, so a token and the allowed host names are needed",
            hint="Add --token-file FILE and --allow-host NAME, or listen on 127.0.0.1",
        )
    return options


def read_tokens(path: Path) -> tuple[tuple[str, str], ...]:
    """Lines of `NAME TOKEN`; the file must be readable by its owner only."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise BadRequestError(f"others can read {path}", hint=f"Run: chmod 600 {path}")
    tokens = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, secret = line.strip().partition(" ")
        if len(secret.strip()) < _SHORTEST_TOKEN:
            wrong = f"{path}:{number}: a line is NAME TOKEN, the token at least {_SHORTEST_TOKEN} characters"
            raise BadRequestError(
                wrong, hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        tokens.append((secret.strip(), name))
    if not tokens:
        raise BadRequestError(f"{path} has no token", hint="Write lines of: NAME TOKEN")
    return tuple(tokens)


def http_app(server: Server[Any], options: HttpOptions, **transport: Any) -> "Starlette":
    """The ASGI application at /mcp; `transport` goes to the SDK as it is."""
    scheme = "https" if options.certificate else "http"
    transport.setdefault("json_response", True)
    if options.allowed_hosts:
        origins = [f"{scheme}://{host}" for host in options.allowed_hosts]
        transport["transport_security"] = TransportSecuritySettings(
            enable_dns_rebinding_protection=True, allowed_hosts=list(options.allowed_hosts), allowed_origins=origins
        )
    if options.tokens:
        own = options.allowed_hosts[0] if options.allowed_hosts else f"{options.host}:{options.port}"
        audience = f"{scheme}://{own}/mcp"
        transport["token_verifier"] = _Tokens(options.tokens, audience)
        transport["auth"] = AuthSettings.model_validate(
            {"issuer_url": f"{scheme}://{own}", "resource_server_url": audience, "validate_token_resource": True}
        )
    return server.streamable_http_app(host=options.host, **transport)


async def serve_http(server: Server[Any], options: HttpOptions, routes: "Sequence[Route]" = ()) -> None:
    """Serve until cancelled; `routes` stand beside /mcp and guard themselves."""
    await serve_app(http_app(server, options, custom_starlette_routes=list(routes)), options)


async def serve_app(app: "Starlette", options: HttpOptions) -> None:
    """Serve any application until cancelled; raises BadRequestError when the port is taken."""
    import uvicorn

    class Quiet(uvicorn.Server):
        """Leaves signals to `process`, which ends both transports the same way."""

        def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
            return nullcontext()

    config = uvicorn.Config(
        app,
        # uvicorn takes httptools where another package brought it, and that leaves blanks at the end of a header's
        # value, which RFC 9110 (5.5) excludes from it: the same server would answer differently
        http="h11",
        # its lines go where ours go, in our form, and never to stdout
        log_config=None,
        log_level="warning",
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
        # an open event stream must not hold up the end
        timeout_graceful_shutdown=1,
    )
    with _listening(options) as listener:
        await _until_cancelled(Quiet(config), listener)


async def _until_cancelled(server: "uvicorn.Server", listener: socket.socket) -> None:
    """uvicorn answers a cancellation with a traceback; told to stop, it ends its lifespan properly."""
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        with anyio.CancelScope(shield=True):
            await serving
        raise


def _listening(options: HttpOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=128)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        raise BadRequestError(f"cannot listen on {where}: {error.strerror}", hint="Choose another port") from error


@dataclass(frozen=True)
class _Tokens:
    """The operator's own tokens, each good for this server's address only."""

    tokens: tuple[tuple[str, str], ...]
    audience: str

    async def verify_token(self, token: str) -> AccessToken | None:
        for secret, owner in self.tokens:
            if hmac.compare_digest(secret.encode(), token.encode()):
                return AccessToken(token=token, client_id=owner, scopes=[], resource=self.audience)
        return None
