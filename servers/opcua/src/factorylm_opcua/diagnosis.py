"""The ladder from the name on the network to the data: evidence on each rung, a next step where one fails."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

from cryptography import x509
from factorylm_schema import Device, DeviceError, Diagnosis, Identity, Rung

from factorylm_opcua.address import parse
from factorylm_opcua.certificates import fingerprint, subject_of
from factorylm_opcua.endpoint import Endpoint
from factorylm_opcua.failures import Progress, Step
from factorylm_opcua.identity import read_identity
from factorylm_opcua.library import EndpointDescription
from factorylm_opcua.reading import read_tags
from factorylm_opcua.security import (
    choose_endpoint,
    judge_server,
    own_identification,
    pki_of,
    security_texts,
    server_certificate,
)
from factorylm_opcua.session import Offer, Session, ask_endpoints, open_session

_MOST_TAGS = 200
_MOST_SHOWN = 3
_CLOCK_TOLERANCE = timedelta(minutes=5)
_SIGN_INS = {0: "anonymous", 1: "user and password", 2: "user certificate", 3: "issued token"}

# The rungs that opening a session climbs, in this order
_OPENING = (Step.CHANNEL, Step.SESSION, Step.SIGN_IN, Step.NAMESPACES)


class _NoFurtherError(Exception):
    """A rung failed on which all others stand."""


async def climb(device: Device, endpoint: Endpoint, pinned: Mapping[int, str]) -> Diagnosis:
    """As far as one gets; never raises for a server that is down."""
    ladder = _Ladder(device, endpoint, pinned)
    try:
        await ladder.climb()
    except _NoFurtherError:
        pass
    finally:
        if ladder.session:
            await ladder.session.close()
    return Diagnosis(device=device.name, rungs=ladder.rungs, identity=ladder.identity)


@dataclass
class _Ladder:
    device: Device
    endpoint: Endpoint
    pinned: Mapping[int, str]
    rungs: list[Rung] = field(default_factory=list)
    identity: Identity | None = None
    session: Session | None = None

    async def climb(self) -> None:
        await self._name()
        offer = await self._endpoints()
        description = self._chosen(offer)
        self._clock(offer)
        self._certificates(description)
        session = await self._session()
        self._namespaces(session)
        await self._state(session)
        await self._tags(session)

    # -- before anybody has signed in -----------------------------------------------------------

    async def _name(self) -> None:
        parts = urlsplit(self.endpoint.full_url)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                found = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
        except OSError as error:  # TimeoutError is one
            self._failed(
                "name", f"{parts.hostname!r} cannot be resolved: {error}", "Check the spelling, or write the IP address"
            )
        self._passed("name", f"{parts.hostname} is {found[0][4][0]}")

    async def _endpoints(self) -> Offer:
        progress = Progress()
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                offer = await ask_endpoints(self.endpoint, progress)
        except (DeviceError, TimeoutError) as error:
            self._climbed((Step.CONNECT, Step.HELLO), progress.step)
            self._refused(progress.step, error)
        self._climbed((Step.CONNECT, Step.HELLO), Step.ENDPOINTS)
        return offer

    def _chosen(self, offer: Offer) -> EndpointDescription:
        offered = "; ".join(security_texts(offer.endpoints)) or "nothing"
        try:
            description = choose_endpoint(offer.endpoints, self.endpoint)
        except DeviceError as error:
            self._failed("endpoints", f"{error.message}; it offers: {offered}", error.hint)
        tokens = [_SIGN_INS.get(int(token.TokenType), "other") for token in description.UserIdentityTokens or []]
        evidence = (
            f"offers {offered}; taken: {self.endpoint.security_text}; sign-in by {', '.join(dict.fromkeys(tokens))}"
        )
        host = urlsplit(description.EndpointUrl or "").hostname
        if host != urlsplit(self.endpoint.url).hostname:
            evidence += f". It calls itself {host}; the address of the plant file is used all the same"
        self._passed("endpoints", evidence)
        return description

    def _clock(self, offer: Offer) -> None:
        if offer.server_time is None:
            self._skipped("clock", "the server does not tell its time")
            return
        apart = offer.server_time - datetime.now(UTC)
        seconds = apart.total_seconds()
        evidence = f"the server's clock is {abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}"
        if abs(apart) > _CLOCK_TOLERANCE:
            self._rung(
                "clock", "failed", evidence, "Set both clocks by the same source: certificates and times depend on it"
            )
        else:
            self._passed("clock", evidence)

    def _certificates(self, description: EndpointDescription) -> None:
        if not self.endpoint.secured:
            note = "security is none: nothing is signed or encrypted, and anybody on the network can read and alter it"
            self._skipped(Step.TRUST.value, note)
            return
        self._server_certificate(description)
        try:
            own = own_identification(self.endpoint, datetime.now(UTC))
        except DeviceError as error:
            self._refused(Step.OWN, error)
        file = pki_of(self.endpoint).certificate_file
        self._passed(
            Step.OWN.value, f"{own.application_uri}, valid until {own.certificate.not_valid_after_utc:%Y-%m-%d}: {file}"
        )

    def _server_certificate(self, description: EndpointDescription) -> None:
        der = server_certificate(description)
        said = "none"
        if der:
            certificate = x509.load_der_x509_certificate(der)
            until = certificate.not_valid_after_utc
            said = f"{subject_of(certificate)}, valid until {until:%Y-%m-%d}, SHA-256 {fingerprint(der)}"
        wrong = judge_server(description, self.endpoint, datetime.now(UTC))
        if wrong:
            step = f"The operator compares it with the server's own and runs: factorylm-opcua trust {self.endpoint.url}"
            self._failed(Step.TRUST.value, f"{said}: {wrong}", step)
        self._passed(Step.TRUST.value, f"{said}: trusted")

    # -- the session ----------------------------------------------------------------------------

    async def _session(self) -> Session:
        progress = Progress()
        try:
            self.session = await open_session(self.endpoint, pinned=self.pinned, progress=progress)
        except DeviceError as error:
            self._climbed(_OPENING, progress.step)
            self._refused(progress.step, error)
        self._climbed(_OPENING[:-1], Step.NAMESPACES)
        return self.session

    def _namespaces(self, session: Session) -> None:
        evidence = "; ".join(f"{number} {uri}" for number, uri in enumerate(session.namespaces) if number)
        missing = sorted({uri for uri in self._used() if uri not in session.namespaces})
        if missing:
            self._rung(
                "namespaces",
                "failed",
                f"the server has {evidence}; missing: {', '.join(missing)}",
                "Browse the server and correct nsu= in the plant file",
            )
            return
        numbered = [tag.name for tag in self.device.tags.values() if tag.address.startswith("ns=")]
        if numbered:
            evidence += f". {len(numbered)} tags use ns=, which may change when the server restarts: write nsu="
        self._passed("namespaces", evidence)

    def _used(self) -> set[str]:
        return {address.uri for tag in self.device.tags.values() if (address := parse(tag.address)).uri}

    async def _state(self, session: Session) -> None:
        try:
            self.identity = await read_identity(session)
        except DeviceError as error:
            self._rung("server", "failed", error.message, error.hint)
            return
        state = self.identity.details.get("state", "unknown")
        evidence = f"{self.identity.product or 'the server'} is {state}; {session.limits.read} values a request"
        if state in ("running", "unknown"):
            self._passed("server", evidence)
        else:
            self._rung("server", "failed", evidence, "Ask the server's administrator why it is not running")

    async def _tags(self, session: Session) -> None:
        tags = list(self.device.tags.values())[:_MOST_TAGS]
        if not tags:
            self._skipped("tags", "the plant file names no tags of this device")
            return
        try:
            readings = await read_tags(session, tags)
        except DeviceError as error:
            self._rung("tags", "failed", error.message, error.hint)
            return
        bad = [reading for reading in readings if reading.quality.is_bad]
        evidence = f"{len(readings) - len(bad)} of {len(readings)} tags have a value"
        if bad:
            shown = "; ".join(f"{reading.tag}: {reading.problem}" for reading in bad[:_MOST_SHOWN])
            self._rung("tags", "failed", f"{evidence}; {shown}", bad[0].hint)
        else:
            self._passed("tags", evidence)

    # -- rungs ----------------------------------------------------------------------------------

    def _climbed(self, steps: tuple[Step, ...], reached: Step) -> None:
        """All of `steps` before `reached` passed."""
        for step in steps:
            if step is reached:
                return
            self._passed(step.value, self._said(step))

    def _said(self, step: Step) -> str:
        return {
            Step.CONNECT: f"TCP connection to {self.endpoint.place}",
            Step.HELLO: "answers as an OPC UA server",
            Step.CHANNEL: self.endpoint.security_text,
            Step.SESSION: "opened",
            Step.SIGN_IN: self._sign_in(),
        }[step]

    def _sign_in(self) -> str:
        if self.endpoint.user_env:
            return f"accepted the user of {self.endpoint.user_env}"
        return "accepted the user's certificate" if self.endpoint.user_certificate else "accepted without a user"

    def _refused(self, step: Step, error: Exception) -> NoReturn:
        if isinstance(error, DeviceError):
            self._failed(step.value, error.message, error.hint)
        self._failed(step.value, f"no answer in {self.endpoint.timeout_s:g} s", "Raise timeout_s, or check the network")

    def _passed(self, name: str, evidence: str) -> None:
        self.rungs.append(Rung(name=name, outcome="passed", evidence=evidence))

    def _skipped(self, name: str, evidence: str) -> None:
        self.rungs.append(Rung(name=name, outcome="skipped", evidence=evidence))

    def _failed(self, name: str, evidence: str, next_step: str) -> NoReturn:
        self._rung(name, "failed", evidence, next_step)
        raise _NoFurtherError

    def _rung(self, name: str, outcome: Any, evidence: str, next_step: str) -> None:
        self.rungs.append(Rung(name=name, outcome=outcome, evidence=evidence, next_step=next_step))
