"""Licences of subscription skills: signed by the publisher, verified offline, good a while longer than they say.

A JSON web token, EdDSA: `iss` the publisher, `aud` the skill, `sub` who may use it, `exp`, and what it entitles to.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from factorylm_registry.refusals import UntrustedError
from factorylm_registry.signatures import Signer, Verifier, verifier_from

KIND = "factorylm-licence+jwt"
# plants' clocks are seldom right to the second
CLOCK_SKEW = timedelta(minutes=5)
Entitlement = bool | int | str


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a publisher grants; `grace` is how long it works on after `until`, with a warning."""

    skill: str
    holder: str
    begin: datetime
    until: datetime
    grace: timedelta = timedelta(days=14)
    entitlements: dict[str, Entitlement]


@dataclass(frozen=True, kw_only=True)
class Licence:
    """A licence that holds now; `warning` is empty unless it lives on its grace."""

    id: str
    publisher: str
    terms: Terms
    warning: str = ""

    def line(self) -> str:
        """For the person who installs."""
        granted = ", ".join(f"{key}={value}" for key, value in sorted(self.terms.entitlements.items())) or "everything"
        return f"{self.terms.holder}, until {self.terms.until:%Y-%m-%d}, entitled to {granted} ({self.id})"


def issue_licence(terms: Terms, signer: Signer) -> str:
    """The licence as one line of text."""
    import jwt

    claims = {
        "iss": signer.name,
        "aud": terms.skill,
        "sub": terms.holder,
        "jti": secrets.token_urlsafe(12),
        "iat": int(terms.begin.timestamp()),
        "exp": int(terms.until.timestamp()),
        "grace_s": int(terms.grace.total_seconds()),
        "entitlements": terms.entitlements,
    }
    headers = {"typ": KIND, "kid": str(signer.verifier)}
    return jwt.encode(claims, signer.key, algorithm="EdDSA", headers=headers)


def verify_licence(
    text: str, skill: str, keys: list[Verifier], now: datetime, revoked: frozenset[str] = frozenset()
) -> Licence:
    """The licence, if one of `keys` signed it for `skill`, and it is neither over nor revoked. Pure.

    `keys` are those that the registry's signed evidence names for the publisher; raises UntrustedError.
    """
    claims = _claims(text.strip(), skill, keys)
    terms = _terms(claims)
    if claims["jti"] in revoked:
        raise UntrustedError(f"the licence {claims['jti']} was revoked", hint=f"Ask {claims['iss']} for another")
    if now < terms.begin - CLOCK_SKEW:
        raise UntrustedError(f"the licence begins on {terms.begin:%Y-%m-%d}", hint="Is this machine's clock right?")
    if now >= terms.until + terms.grace:
        hint = f"Ask {claims['iss']} to renew it"
        raise UntrustedError(f"the licence ended on {terms.until:%Y-%m-%d}, its grace too", hint=hint)
    warning = ""
    if now >= terms.until:
        warning = f"the licence ended on {terms.until:%Y-%m-%d}; it works until {terms.until + terms.grace:%Y-%m-%d}"
    return Licence(id=claims["jti"], publisher=claims["iss"], terms=terms, warning=warning)


def licence_id(text: str) -> str:
    """The id that a licence says, unverified: for asking somebody who can verify it."""
    import jwt

    try:
        return str(jwt.decode(text.strip(), options={"verify_signature": False})["jti"])
    except (jwt.PyJWTError, KeyError) as error:
        raise UntrustedError("this is not a licence", hint="A licence is one line of text") from error


def _claims(text: str, skill: str, keys: list[Verifier]) -> dict[str, Any]:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        head = jwt.get_unverified_header(text)
        signed_by = next((key for key in keys if str(key) == head.get("kid")), None)
        if head.get("typ") != KIND or signed_by is None:
            names = ", ".join(sorted({key.name for key in keys})) or "nobody"
            raise UntrustedError(f"the licence is not signed by a key of {names}", hint="Ask for one signed anew")
        claims: dict[str, Any] = jwt.decode(
            text,
            Ed25519PublicKey.from_public_bytes(signed_by.key),
            algorithms=["EdDSA"],
            audience=skill,
            issuer=signed_by.name,
            options={"require": ["exp", "iat", "jti", "sub"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidAudienceError as error:
        raise UntrustedError(f"the licence is for another skill than {skill}") from error
    except jwt.PyJWTError as error:
        raise UntrustedError(f"the licence does not hold: {error}", hint="Is the file whole?") from error
    return claims


def _terms(claims: dict[str, Any]) -> Terms:
    try:
        begin, until = (datetime.fromtimestamp(claims[key], UTC) for key in ("iat", "exp"))
        grace, entitlements = timedelta(seconds=claims["grace_s"]), dict(claims["entitlements"])
        skill, holder = str(claims["aud"]), str(claims["sub"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UntrustedError(f"the licence is incomplete: {error!r}") from error
    return Terms(skill=skill, holder=holder, begin=begin, until=until, grace=grace, entitlements=entitlements)


def keys_in(lines: list[str]) -> list[Verifier]:
    """The keys that signed evidence names."""
    return [verifier_from(line) for line in lines]
