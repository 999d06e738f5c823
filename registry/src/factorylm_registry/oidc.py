"""Workflows of a forge: their OpenID token, verified with the keys that the configured issuer publishes.

The namespace of `acme/pump` at GitHub is `io.github.acme`, as in the official registry.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from factorylm_registry.names import is_well_formed
from factorylm_registry.refusals import BadQuestionError, NotProvenError

GITHUB = "https://token.actions.githubusercontent.com"
_SKEW = timedelta(seconds=15)
_MOST_BYTES = 100_000
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """Who a forge says is running."""

    issuer: str
    id: str
    owner: str
    repository: str
    namespace: str
    until: datetime


@dataclass(frozen=True)
class Issuer:
    """An OpenID issuer by its address; `space` is what its owners' names stand under."""

    address: str = GITHUB
    space: str = "io.github"
    timeout_s: float = field(default=5.0, kw_only=True)

    @staticmethod
    def of(token: str, issuers: "Sequence[Issuer]") -> "Issuer":
        """The configured issuer that a token names; the token itself is not believed yet."""
        import jwt

        if not issuers:
            hint = "Prove a domain: POST /v0.1/auth/dns or /v0.1/auth/http; the operator allows it: serve --oidc"
            raise NotProvenError("this registry takes no tokens of workflows", hint=hint)
        try:
            named = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.InvalidTokenError as error:
            raise BadQuestionError("oidc_token is not a JSON web token") from error
        for issuer in issuers:
            if issuer.address == named:
                return issuer
        raise NotProvenError(f"{str(named)[:100]} is not an issuer that this registry believes")

    def workflow(self, token: str, audience: str, now: datetime) -> Workflow:
        """Who it is, if the issuer signed it for `audience` and it is fresh."""
        claims = self._claims(token, audience)
        until, since = (datetime.fromtimestamp(int(claims[key]), UTC) for key in ("exp", "iat"))
        if not since - _SKEW <= now < until + _SKEW:
            raise NotProvenError("the workflow's token is not valid now", hint="Ask the forge for a fresh one")
        owner, repository = str(claims.get("repository_owner", "")), str(claims.get("repository", ""))
        if not is_well_formed(owner) or not repository.startswith(f"{owner}/"):
            raise NotProvenError("the workflow's token names no repository and owner")
        return Workflow(
            issuer=self.address,
            id=str(claims["jti"]),
            owner=owner,
            repository=repository,
            namespace=f"{self.space}.{owner}",
            until=until,
        )

    def _claims(self, token: str, audience: str) -> dict[str, Any]:
        """Only asymmetric algorithms: a public key must never serve as a shared secret."""
        import jwt

        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=["RS256", "ES256"],
                audience=audience,
                issuer=self.address,
                # the clock is ours to ask, and passed in
                options={
                    "require": ["exp", "iat", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWKClientConnectionError as error:
            raise NotProvenError(f"{self.address} does not show its keys: {error}", hint="Is it reachable?") from error
        except jwt.PyJWTError as error:
            raise NotProvenError(f"the workflow's token does not hold: {error}") from error
        return claims

    @cached_property
    def _keys(self) -> Any:
        """Found by OpenID Connect Discovery 1.0, clause 4."""
        import jwt

        try:
            with urlopen(_safe(f"{self.address}/.well-known/openid-configuration"), timeout=self.timeout_s) as answer:  # noqa: S310
                place = json.loads(answer.read(_MOST_BYTES))["jwks_uri"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotProvenError(f"{self.address} does not show its keys: {error}", hint="Is it reachable?") from error
        return jwt.PyJWKClient(_safe(place), timeout=self.timeout_s, lifespan=300)


def _safe(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise BadQuestionError(f"the issuer's {address[:100]} is not https", hint="Plain http is for this machine only")
    return address
