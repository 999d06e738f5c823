"""Who may publish under which namespace: a signed present time, checked against a key that the domain shows.

The key stands in a DNS TXT record of the domain (good for its sub-domains too) or in
https://DOMAIN/.well-known/mcp-registry-auth: `v=MCPv1; k=ed25519; p=BASE64`. Whoever signs gets a token for a
few minutes and one change. Keys that owners added to their namespace sign the same way, under their own name; a
workflow shows the token of its forge's OpenID issuer instead.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from factorylm_registry.accounts import Action, Change, Role
from factorylm_registry.names import covers, namespace_of
from factorylm_registry.oidc import Issuer
from factorylm_registry.refusals import BadQuestionError, NotProvenError, NotYoursError
from factorylm_registry.signatures import Signer, Verifier, verifier_from
from factorylm_registry.store import Store

CLOCK_SKEW = timedelta(seconds=15)
TOKEN_LIFE = timedelta(minutes=5)
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
Method = Literal["dns", "http"]


class Looks(Protocol):
    """Fetches what a domain shows."""

    def texts(self, domain: str, method: Method) -> Sequence[str]:
        """The TXT records, or the lines of the well-known file; raises NotProvenError where there are none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """Who a token speaks for."""

    subject: str
    key: bytes
    permissions: tuple[tuple[str, str], ...]
    permit: str

    @property
    def verifier(self) -> Verifier:
        """The key that proved the namespace; it signs releases too."""
        return Verifier(self.subject, self.key)

    def change(self, at: datetime) -> Change:
        """What the token is used up for."""
        return Change(by=self.subject, at=at, permit=self.permit)

    def may(self, action: Action, name: str) -> None:
        """Raises NotYoursError unless the token covers it."""
        if not any(action == allowed and covers(pattern, name) for allowed, pattern in self.permissions):
            own = ", ".join(sorted({pattern for _, pattern in self.permissions}))
            raise NotYoursError(f"this token may not {action} {name[:200]}", hint=f"It is good for {own}")


@dataclass(frozen=True, kw_only=True)
class Doorkeeper:
    """Gives tokens for proofs, and reads tokens."""

    signer: Signer
    store: Store
    looks: Looks
    clock: Callable[[], datetime]
    audience: str
    issuers: tuple[Issuer, ...] = ()

    def prove(self, method: Method, domain: str, timestamp: str, signature: str) -> tuple[str, datetime]:
        """A token for whoever signed the present time with the domain's key."""
        now = self.clock()
        if not _DOMAIN.fullmatch(domain):
            raise BadQuestionError(f"{domain[:80]!r} is not a domain", hint="For example: example.com")
        raw = _hexadecimal(signature)
        self._refuse_old(timestamp, now)
        key = _key_that_signed(self.looks.texts(domain, method), domain, raw, timestamp.encode())
        self.store.spend(f"proof:{signature.lower()}", now + 4 * CLOCK_SKEW, now)
        space = ".".join(reversed(domain.split(".")))
        self.store.accounts.add_key(space, str(Verifier(domain, key)), Role.OWNER, Change(by=domain, at=now))
        below = {f"{space}.*/*": Role.OWNER} if method == "dns" else {}
        return self._token(Verifier(domain, key), {f"{space}/*": Role.OWNER, **below}, now)

    def prove_key(self, line: str, timestamp: str, signature: str) -> tuple[str, datetime]:
        """A token for whoever signed the present time with a key that an owner added to a namespace."""
        now, verifier = self.clock(), verifier_from(line)
        raw = _hexadecimal(signature)
        self._refuse_old(timestamp, now)
        roles = [one for one in self.store.accounts.roles_of(str(verifier)) if one.role.actions]
        if not roles:
            hint = "An owner of the namespace adds it: factorylm-registry add-key"
            raise NotProvenError(f"no namespace knows the key of {verifier.name}", hint=hint)
        if not verifier.holds(raw, timestamp.encode()):
            raise NotProvenError(f"the signature was not made by the key of {verifier.name}")
        self.store.spend(f"proof:{signature.lower()}", now + 4 * CLOCK_SKEW, now)
        return self._token(verifier, {f"{one.namespace}/*": one.role for one in roles}, now)

    def prove_workflow(self, token: str, line: str) -> tuple[str, datetime]:
        """A token for a forge's workflow; `line` is the key it made for signing this release, or empty."""
        now = self.clock()
        found = Issuer.of(token, self.issuers).workflow(token, self.audience, now)
        verifier = verifier_from(line) if line else Verifier(found.owner, b"")
        if line and verifier.name != found.owner:
            raise BadQuestionError(f"the key is named {verifier.name}", hint=f"Name it {found.owner}")
        self.store.spend(f"oidc:{found.issuer}:{found.id}", found.until + CLOCK_SKEW, now)
        if line:
            change = Change(by=found.repository, at=now)
            self.store.accounts.add_key(found.namespace, line, Role.WORKFLOW, change)
        return self._token(verifier, {f"{found.namespace}/*": Role.PUBLISHER}, now)

    def publisher(self, header: str) -> Publisher:
        """Who sent a request with this Authorization header."""
        import jwt

        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotProvenError("a token is needed", hint="Log in first: POST /v0.1/auth/dns or /v0.1/auth/http")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.signer.key.public_key(),
                algorithms=["EdDSA"],
                audience=self.audience,
                options={"require": ["exp", "jti", "sub"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise NotProvenError("the token does not hold", hint="Log in again") from error
        if datetime.fromtimestamp(claims["exp"], UTC) <= self.clock():
            raise NotProvenError("the token has expired", hint="Log in again; tokens live five minutes")
        key = bytes.fromhex(claims["key"])
        gone = self.store.accounts.retired_in(str(Verifier(claims["sub"], key)))
        permissions = tuple(
            (item["action"], item["resource"])
            for item in claims["permissions"]
            if namespace_of(item["resource"]).removesuffix(".*") not in gone
        )
        if not permissions:
            raise NotProvenError("the key behind this token was retired", hint="Log in with another key")
        return Publisher(subject=claims["sub"], key=key, permissions=permissions, permit=claims["jti"])

    def _refuse_old(self, timestamp: str, now: datetime) -> None:
        try:
            signed_at = datetime.fromisoformat(timestamp)
            apart = abs(signed_at - now)
        except (ValueError, TypeError) as error:
            raise BadQuestionError(f"{timestamp[:40]!r} is not an RFC 3339 time with its zone") from error
        if apart > CLOCK_SKEW:
            hint = f"The registry's clock says {now.isoformat(timespec='seconds')}; set yours"
            raise NotProvenError(f"the signed time is {apart.total_seconds():.0f} s away from now", hint=hint)

    def _token(self, holder: Verifier, roles: dict[str, Role], now: datetime) -> tuple[str, datetime]:
        import jwt

        permissions = [{"action": one, "resource": space} for space, role in roles.items() for one in role.actions]
        until = now + TOKEN_LIFE
        claims = {"sub": holder.name, "aud": self.audience, "exp": int(until.timestamp()), "key": holder.key.hex()}
        claims |= {"jti": secrets.token_urlsafe(16), "permissions": permissions}
        return jwt.encode(claims, self.signer.key, algorithm="EdDSA"), until


def key_record(key: bytes) -> str:
    """The line a domain shows."""
    return f"v=MCPv1; k=ed25519; p={base64.b64encode(key).decode()}"


def _hexadecimal(signature: str) -> bytes:
    try:
        raw = bytes.fromhex(signature)
    except ValueError as error:
        raise BadQuestionError("signed_timestamp is not hexadecimal") from error
    return raw


def _key_that_signed(texts: Sequence[str], domain: str, signature: bytes, message: bytes) -> bytes:
    """A domain may show several keys, so that a key can be replaced without a gap."""
    keys = [key for text in texts if (key := _key_in(text))]
    for key in keys:
        if Verifier(domain, key).holds(signature, message):
            return key
    if not keys:
        raise NotProvenError(f"{domain} shows no ed25519 key", hint="It shows a line: v=MCPv1; k=ed25519; p=BASE64")
    raise NotProvenError(f"the signature was made by none of the keys that {domain} shows")


def _key_in(text: str) -> bytes | None:
    fields = dict(part.strip().partition("=")[::2] for part in text.split(";"))
    if fields.get("v") != "MCPv1" or fields.get("k") != "ed25519":
        return None
    try:
        key = base64.b64decode(fields.get("p", ""), validate=True)
    except binascii.Error:
        return None
    return key if len(key) == 32 else None
