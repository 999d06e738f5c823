"""Who may speak to the host's own pages: this machine, or who has a token; no other site in the browser's name."""

import getpass
import hmac
from dataclasses import dataclass

from factorylm_skill.http import HttpOptions
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
COOKIE = "factorylm_console"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """`hosts` the pages may be called by; `tokens` as (secret, owner), none on loopback unless wanted."""

    hosts: frozenset[str] = LOOPBACK
    tokens: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, options: HttpOptions) -> "Guard":
        """As the operator started the server."""
        named = frozenset(_without_port(host) for host in options.allowed_hosts)
        return cls(hosts=named | LOOPBACK, tokens=options.tokens)

    def refused(self, request: Request) -> Response | None:
        """Foreign host names (DNS rebinding), strangers, and other sites' scripts are kept out."""
        if _without_port(request.headers.get("host", "")) not in self.hosts:
            return problem(421, "this address is not served under that host name")
        if self.tokens and not self.owner(request):
            return problem(401, "a token is needed: open the console with ?token=..., or send it as bearer")
        if request.method == "POST" and not _own_page(request):
            return problem(403, "decisions come from the console's own page only")
        return None

    def owner(self, request: Request) -> str:
        """Whose token came with the request; empty for a stranger."""
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = (request.query_params.get("token", ""), request.cookies.get(COOKIE, ""), bearer)
        for secret, owner in self.tokens:
            if any(hmac.compare_digest(text.encode(), secret.encode()) for text in given):
                return owner
        return ""

    def person(self, request: Request) -> str:
        """Who decides: the token's owner, or whoever is logged in on this machine."""
        return self.owner(request) or _user()


def problem(status: int, title: str) -> Response:
    """An error as RFC 9457 wants it."""
    return JSONResponse({"title": title, "status": status}, status_code=status, media_type="application/problem+json")


def _own_page(request: Request) -> bool:
    own = f"{request.url.scheme}://{request.headers['host']}"
    json_only = request.headers.get("content-type", "").startswith("application/json")
    return request.headers.get("origin") == own and json_only


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # a container may run as a number that has no name
        return "the local user"
