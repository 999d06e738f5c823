"""What a registry does, apart from HTTP: list, judge what arrives, keep wheels, sign, and show the evidence."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from factorylm_registry.listing import Listing, Status
from factorylm_registry.names import namespace_of
from factorylm_registry.oidc import Issuer
from factorylm_registry.publishers import Doorkeeper, Looks, Publisher
from factorylm_registry.refusals import BadQuestionError, NotYoursError, UntrustedError
from factorylm_registry.server_json import PUBLISHER_META, check_server_json
from factorylm_registry.signatures import Signer, Verifier, b64, sealed, signer_in, statement_about, unsealed
from factorylm_registry.store import Release, StatusChange, Store, open_store
from factorylm_registry.tile_log import TileLog
from factorylm_registry.verification import LISTED, RELEASE, REVIEW, statement_for
from factorylm_registry.wheels import Wheel, WheelShelf

# What a publisher's signed statement stands under in server.json
STATEMENT = "factorylm"


def now() -> datetime:
    """The present time, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Registry:
    """One registry: its store, wheels and keys."""

    store: Store
    wheels: WheelShelf
    signer: Signer
    looks: Looks
    clock: Callable[[], datetime] = field(default=now)
    issuers: tuple[Issuer, ...] = ()

    @property
    def log(self) -> TileLog:
        return TileLog(self.store, self.signer)

    @property
    def door(self) -> Doorkeeper:
        return Doorkeeper(
            signer=self.signer,
            store=self.store,
            looks=self.looks,
            clock=self.clock,
            audience=self.signer.name,
            issuers=self.issuers,
        )

    def publish(self, document: Any, publisher: Publisher) -> Listing:
        """List a server.json; with a signed statement about an uploaded wheel it can be installed from here."""
        server = check_server_json(document)
        publisher.may("publish", server["name"])
        ours = self._judged(server, publisher)
        return self.store.publish(
            Release(server=server, at=self.clock(), by=publisher.subject, ours=ours, permit=publisher.permit)
        )

    def set_status(self, name: str, version: str, asked: Any, publisher: Publisher) -> list[Listing]:
        """Deprecate, delete (yank) or reactivate; the log keeps what was before."""
        publisher.may("edit", name)
        status, message = _asked_status(asked)
        change = StatusChange(
            name=name,
            version=version,
            status=status,
            message=message,
            at=self.clock(),
            by=publisher.subject,
            permit=publisher.permit,
        )
        return self.store.set_status(change)

    def evidence(self, name: str, version: str) -> dict[str, Any]:
        """All that somebody needs to verify a listing without asking again."""
        return self.evidence_maker()(self.store.version(name, version, include_deleted=True))

    def evidence_maker(self) -> Callable[[Listing], dict[str, Any]]:
        """Evidence of many listings under one head of the log."""
        log, checkpoint = self.log, self.log.checkpoint()
        size = int(checkpoint.splitlines()[1])

        def evidence(listing: Listing) -> dict[str, Any]:
            entries = [
                {"index": at, "entry": entry.decode(), "proof": [b64(part) for part in log.inclusion(at, size)]}
                for at, entry in self.store.log_of(listing.name, listing.version)
                if at < size
            ]
            signed = self.countersigned(listing, size)
            return {"listing": listing.wire(), "checkpoint": checkpoint, "entries": entries, "countersignature": signed}

        return evidence

    def countersigned(self, listing: Listing, size: int) -> dict[str, Any] | None:
        """The registry's own statement about the wheel it lists, and the licences for it, when the log had `size`."""
        wheel = listing.ours.get("wheel")
        if wheel is None:
            return None
        predicate = {"name": listing.name, "version": listing.version, "level": listing.ours["level"]}
        predicate |= {"tools": listing.ours["tools"], "publisher": listing.ours["publisher"]}
        if listing.ours.get("listing") == "subscription":
            revoked = self.store.accounts.revoked(listing.name)
            predicate["licences"] = {"keys": self.licence_keys(listing.name), "revoked": revoked, "log": size}
        return sealed(statement_about(wheel["filename"], wheel["sha256"], LISTED, predicate), self.signer)

    def licence_keys(self, name: str) -> list[str]:
        """Keys in use that may sign licences: those that may publish."""
        keys = self.store.accounts.keys(namespace_of(name))
        return [one.holder for one in keys if not one.until and "publish" in one.role.actions]

    def accept_review(self, name: str, version: str, review: Any, reviewer: Verifier) -> Listing:
        """Level reviewed, for a version that this registry judged itself."""
        listing = self.store.version(name, version)
        if listing.ours.get("level") not in ("verified", "reviewed"):
            hint = f"Run: factorylm-registry judge {name} {version}"
            raise BadQuestionError(f"{name} {version} was not judged by this registry yet", hint=hint)
        found = {"level": "reviewed", "review": {"reviewer": str(reviewer), "statement": review}}
        statement_for(unsealed(review, reviewer), REVIEW, {**listing.ours, "name": name, "version": version})
        return self.store.annotate(name, version, found, self.clock(), self.signer.name)

    def _judged(self, server: dict[str, Any], publisher: Publisher) -> dict[str, Any]:
        envelope = server.get("_meta", {}).get(PUBLISHER_META, {}).get(STATEMENT)
        if envelope is None:
            return {"level": "unsigned"}
        statement = unsealed(envelope, publisher.verifier)
        said, wheel = _release_said(statement, server), self._wheel_of(statement)
        _refuse_other_wheel(wheel, server)
        return {
            "level": "community",
            "wheel": {"filename": wheel.filename, "sha256": wheel.sha256, "size": len(wheel.content)},
            "publisher": str(publisher.verifier),
            "statement": envelope,
            **{key: said[key] for key in sorted(said.keys() & _SAID)},
        }

    def _wheel_of(self, statement: dict[str, Any]) -> Wheel:
        try:
            sha256 = statement["subject"][0]["digest"]["sha256"]
        except (KeyError, IndexError, TypeError) as error:
            raise UntrustedError("the statement names no wheel by its sha256") from error
        return self.wheels.get(str(sha256))


# What a publisher's statement may say of a release, and the page shows
_SAID = {"tools", "check", "kind", "categories", "safety", "listing", "title", "schemes", "network"}


def open_registry(
    folder: Path,
    looks: Looks,
    *,
    name: str = "factorylm.registry",
    database: str = "",
    issuers: tuple[Issuer, ...] = (),
) -> Registry:
    """The registry whose data lies in `folder`; made there on first use."""
    folder.mkdir(parents=True, exist_ok=True)
    return Registry(
        store=open_store(database or str(folder / "registry.sqlite")),
        wheels=WheelShelf(folder / "wheels"),
        signer=signer_in(folder / "keys" / "registry.ed25519", name),
        looks=looks,
        issuers=issuers,
    )


def _release_said(statement: dict[str, Any], server: dict[str, Any]) -> dict[str, Any]:
    said = statement.get("predicate")
    if statement.get("predicateType") != RELEASE or not isinstance(said, dict):
        raise UntrustedError(f"the statement is not a {RELEASE}")
    if (said.get("name"), said.get("version")) != (server["name"], server["version"]):
        raise UntrustedError("the statement is about another name or version")
    if not isinstance(said.get("tools"), str) or not said["tools"].startswith("sha256:"):
        raise UntrustedError("the statement does not pin the tool definitions by their hash")
    return said


def _refuse_other_wheel(wheel: Wheel, server: dict[str, Any]) -> None:
    """The wheel says itself that it is this server, in the version that server.json names."""
    metadata = wheel.metadata
    named = [(one["identifier"], one.get("version")) for one in server.get("packages", [])]
    if (metadata["Name"], metadata["Version"]) not in named:
        raise UntrustedError(
            f"the wheel is {metadata['Name']} {metadata['Version']}, which is none of server.json's packages"
        )
    if not wheel.claims_name(server["name"]):
        hint = f"Its README needs the line `mcp-name: {server['name']}`"
        raise NotYoursError("the wheel does not say that it is this server", hint=hint)


def _asked_status(asked: Any) -> tuple[Status, str]:
    choices = ", ".join(Status)
    if not isinstance(asked, dict) or asked.get("status") not in list(Status):
        raise BadQuestionError("no status is asked for", hint=f'Send {{"status": …}}, one of {choices}')
    message = asked.get("statusMessage", "")
    if not isinstance(message, str) or len(message) > 500 or not message.isprintable():
        raise BadQuestionError("statusMessage is a line of at most 500 characters")
    return Status(asked["status"]), message
