"""An author's side: judge the wheel, sign what was found, prove the namespace, send both."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from factorylm_schema import SkillManifest

from factorylm_registry.documents import server_json
from factorylm_registry.publishers import Method
from factorylm_registry.quality import summary_of
from factorylm_registry.refusals import BadQuestionError
from factorylm_registry.registry import STATEMENT
from factorylm_registry.server_json import PUBLISHER_META
from factorylm_registry.signatures import Signer, sealed, statement_about
from factorylm_registry.sources import HttpSource
from factorylm_registry.verification import RELEASE
from factorylm_registry.wheels import Wheel


@dataclass(frozen=True, kw_only=True)
class AuthorAccount:
    """A registry, a domain and the key that the domain shows."""

    service: HttpSource
    signer: Signer
    clock: Callable[[], datetime]
    method: Method = "http"

    def publish(self, wheel: Wheel, manifest: SkillManifest, found: dict[str, Any]) -> dict[str, Any]:
        """List the wheel; one that is not even bronze is not sent."""
        if found["sha256"] != wheel.sha256:
            raise BadQuestionError("the check is about another wheel", hint="Check this wheel, then publish it")
        if found["tier"] == "none":
            failed = ", ".join(summary_of(found)["failed"])
            raise BadQuestionError(f"the skill is not bronze: {failed}", hint="`check` says what is wrong")
        document = release_document(wheel, manifest, found, self.signer)
        token = self.log_in()
        self.service.call("PUT", f"/wheels/{wheel.sha256}/{wheel.filename}", wheel.content, token)
        answer = self.service.call("POST", "/v0.1/publish", json.dumps(document).encode(), token)
        listed: dict[str, Any] = json.loads(answer)
        return listed

    def set_status(self, name: str, version: str, status: str, message: str) -> None:
        """Deprecate or yank one version, or all where `version` is empty."""
        path = f"/v0.1/servers/{quote(name, safe='')}"
        path += f"/versions/{quote(version, safe='')}/status" if version else "/status"
        body = json.dumps({"status": status, "statusMessage": message}).encode()
        self.service.call("PATCH", path, body, self.log_in())

    def log_in(self) -> str:
        """A token for one change."""
        timestamp = self.clock().isoformat()
        signature = self.signer.sign(timestamp.encode()).hex()
        proof = {"domain": self.signer.name, "timestamp": timestamp, "signed_timestamp": signature}
        answer = self.service.call("POST", f"/v0.1/auth/{self.method}", json.dumps(proof).encode())
        return str(json.loads(answer)["registry_token"])


def release_document(wheel: Wheel, manifest: SkillManifest, found: dict[str, Any], signer: Signer) -> dict[str, Any]:
    """server.json with the author's signed statement about the wheel and its check."""
    made = server_json(wheel, manifest)
    predicate = {
        "name": made["name"],
        "version": made["version"],
        "title": manifest.title,
        "tools": found["tools"],
        "check": summary_of(found),
        "kind": manifest.kind,
        "categories": manifest.categories,
        "safety": manifest.safety,
        "listing": manifest.listing,
        "schemes": manifest.schemes,
    }
    envelope = sealed(statement_about(wheel.filename, wheel.sha256, RELEASE, predicate), signer)
    return {**made, "_meta": {PUBLISHER_META: {STATEMENT: envelope}}}
