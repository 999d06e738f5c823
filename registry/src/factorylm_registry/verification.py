"""Verifies a listing and its wheel offline: with the registry's public key and nothing else. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from factorylm_skill.untrusted import told_to_the_model

from factorylm_registry.licences import keys_in
from factorylm_registry.listing import OFFICIAL_META, OUR_META, Status, digest_of, moment_of
from factorylm_registry.merkle import leaf_hash, verify_inclusion
from factorylm_registry.refusals import UntrustedError
from factorylm_registry.signatures import Verifier, unb64, unsealed, verifier_from
from factorylm_registry.tile_log import Checkpoint, checkpoint_from
from factorylm_registry.wheels import Wheel

LISTED, RELEASE = "urn:factorylm:skill-listed:v1", "urn:factorylm:skill-release:v1"
REVIEW = "urn:factorylm:skill-review:v1"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A listing that holds; `said` are the sentences for the person who installs."""

    server: dict[str, Any]
    ours: dict[str, Any]
    status: Status
    status_message: str
    checkpoint: Checkpoint
    logged_at: datetime
    said: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.server["name"])

    @property
    def version(self) -> str:
        return str(self.server["version"])


def verify_listing(evidence: Any, key: Verifier) -> Verified:
    """Checkpoint, log entries, listing; raises UntrustedError that names what does not hold."""
    try:
        return _verified(evidence, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UntrustedError(f"the evidence is incomplete: {error!r}"[:200]) from error


def verify_wheel(listing: Verified, evidence: Any, wheel: Wheel, key: Verifier) -> tuple[str, ...]:
    """The wheel is the one that publisher and registry signed."""
    expected = listing.ours.get("wheel", {})
    if wheel.sha256 != expected.get("sha256") or wheel.filename != expected.get("filename"):
        raise UntrustedError(f"the wheel's hash is {wheel.sha256}, the listing's is {expected.get('sha256')}")
    publisher = verifier_from(listing.ours["publisher"])
    about = {**listing.ours, "name": listing.name, "version": listing.version}
    statement_for(unsealed(listing.ours["statement"], publisher), RELEASE, about)
    statement_for(unsealed(evidence["countersignature"], key), LISTED, about)
    return (
        f"the wheel has the listed hash {wheel.sha256[:16]}…",
        f"{publisher.name}, whose key the registry saw, signed this wheel and its tool definitions",
        f"{key.name} countersigned it",
        *_review(listing, about),
    )


def verified_licences(evidence: Any, key: Verifier) -> tuple[list[Verifier], frozenset[str]]:
    """The publisher's keys and the revoked licences, as the registry countersigned them."""
    said = unsealed(evidence["countersignature"], key)["predicate"].get("licences", {})
    return keys_in(said.get("keys", [])), frozenset(said.get("revoked", []))


def statement_for(statement: dict[str, Any], kind: str, about: dict[str, Any]) -> dict[str, Any]:
    """What a signed statement says, if it is of this kind and about this release."""
    try:
        said, subject, wheel = statement["predicate"], statement["subject"], about["wheel"]
        fits = (
            statement["predicateType"] == kind
            and subject == [{"name": wheel["filename"], "digest": {"sha256": wheel["sha256"]}}]
            and all(said[key] == about[key] for key in ("name", "version", "tools"))
        )
    except (KeyError, TypeError) as error:
        raise UntrustedError(f"a signed statement is incomplete: {error!r}") from error
    if not fits:
        raise UntrustedError("a signed statement is about another release")
    return dict(said)


def _review(listing: Verified, about: dict[str, Any]) -> tuple[str, ...]:
    """The reviewer's own words; a level without a reviewer's signature is not believed."""
    review = listing.ours.get("review")
    if review is None:
        if listing.ours.get("level") == "reviewed":
            raise UntrustedError("the listing says that it was reviewed, and no reviewer signed")
        return ()
    reviewer = verifier_from(review["reviewer"])
    said = statement_for(unsealed(review["statement"], reviewer), REVIEW, about)
    return (f"{reviewer.name} reviewed it: {told_to_the_model(str(said.get('says', '')), 200)}",)


def _verified(evidence: Any, key: Verifier) -> Verified:
    checkpoint = checkpoint_from(evidence["checkpoint"], key)
    entries = [_entry(item, checkpoint) for item in evidence["entries"]]
    server = evidence["listing"]["server"]
    meta = evidence["listing"]["_meta"]
    ours, official = meta.get(OUR_META, {}), meta[OFFICIAL_META]
    foreign = [one for one in entries if (one["name"], one["version"]) != (server["name"], server["version"])]
    listed = [one for one in entries if one["event"] == "listed"]
    if foreign or len(listed) != 1 or listed[0]["server"] != digest_of(server):
        raise UntrustedError("the listing is not the one in the log")
    if [one for one in entries if "ours" in one][-1]["ours"] != digest_of(ours):
        raise UntrustedError("what the registry says of this version is not what it logged")
    changes = [one for one in entries if one["event"] in list(Status)]
    status, message = (changes[-1]["event"], changes[-1]["message"]) if changes else (Status.ACTIVE, "")
    if official["status"] != status or official.get("statusMessage", "") != message:
        raise UntrustedError(f"the log says that this version is {status}, the listing {official['status']}")
    said = (
        f"{key.name} signed the log's head: {checkpoint.size} entries",
        f"all {len(entries)} log entries about {server['name']} {server['version']} are in that log",
    )
    return Verified(
        server=server,
        ours=ours,
        status=Status(status),
        status_message=message,
        checkpoint=checkpoint,
        logged_at=max(moment_of(one["time"]) for one in entries),
        said=said,
    )


def _entry(item: dict[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
    proof = [unb64(part) for part in item["proof"]]
    leaf = leaf_hash(item["entry"].encode())
    if not verify_inclusion(item["index"], checkpoint.size, leaf, proof, checkpoint.root):
        raise UntrustedError(f"log entry {item['index']} is not in the signed log")
    entry: dict[str, Any] = json.loads(item["entry"])
    return entry
