"""An author's side: judge the wheel, sign what was found, prove the namespace, send both."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from factorylm_schema import SkillManifest

from factorylm_registry.documents import server_json
from factorylm_registry.publishers import Method
from factorylm_registry.quality import summary_of
from factorylm_registry.refusals import BadQuestionError
from factorylm_registry.registry import STATEMENT
from factorylm_registry.server_json import PUBLISHER_META
from factorylm_registry.signatures import Signer, sealed, statement_about, verifier_from
from factorylm_registry.sources import HttpSource
from factorylm_registry.verification import RELEASE
from factorylm_registry.wheels import Wheel


@dataclass(frozen=True, kw_only=True)
class AuthorAccount:
    """A registry, a domain and the key that the domain shows."""

    service: HttpSource
    signer: Signer
    clock: Callable[[], datetime]
    method: Method | Literal["key", "oidc"] = "http"

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
        self.change("PATCH", path, {"status": status, "statusMessage": message})

    def log_in(self) -> str:
        """A token for one change."""
        if self.method == "oidc":
            return self._workflow()
        timestamp = self.clock().isoformat()
        signature = self.signer.sign(timestamp.encode()).hex()
        who = {"key": str(self.signer.verifier)} if self.method == "key" else {"domain": self.signer.name}
        proof = {**who, "timestamp": timestamp, "signed_timestamp": signature}
        answer = self.service.call("POST", f"/v0.1/auth/{self.method}", json.dumps(proof).encode())
        return str(json.loads(answer)["registry_token"])

    def _workflow(self) -> str:
        """The token that a workflow of GitHub may ask its runner for, exchanged for one of the registry."""
        asked, bearer = (os.environ.get(f"ACTIONS_ID_TOKEN_REQUEST_{part}", "") for part in ("URL", "TOKEN"))
        if not asked or not bearer:
            hint = "Run it in a workflow with the permission `id-token: write`"
            raise BadQuestionError("this is no workflow that may ask for an OpenID token", hint=hint)
        registry = verifier_from(json.loads(self.service.call("GET", "/v0.1/version"))["key"])
        place = urlsplit(f"{asked}&audience={quote(registry.name)}")
        runner = HttpSource(f"{place.scheme}://{place.netloc}")
        value = json.loads(runner.call("GET", f"{place.path}?{place.query}", token=bearer))["value"]
        proof = {"oidc_token": value, "key": str(self.signer.verifier)}
        answer = self.service.call("POST", "/v0.1/auth/github-oidc", json.dumps(proof).encode())
        return str(json.loads(answer)["registry_token"])

    def change(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """One change under a token of its own."""
        return json.loads(self.service.call(method, path, json.dumps(body).encode(), self.log_in()))


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
        "categories": [*manifest.categories, *([manifest.protocol] if manifest.protocol else [])],
        "safety": manifest.safety,
        "listing": manifest.listing,
        "schemes": manifest.schemes,
    }
    envelope = sealed(statement_about(wheel.filename, wheel.sha256, RELEASE, predicate), signer)
    return {**made, "_meta": {PUBLISHER_META: {STATEMENT: envelope}}}
