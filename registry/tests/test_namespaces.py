"""Who may act in a namespace: owners, members with roles, retired keys, workflows; and the trail of it all."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factorylm_registry.accounts import Change, Role, UsageEvent
from factorylm_registry.api import ServiceOptions, registry_app
from factorylm_registry.oidc import Issuer
from factorylm_registry.publishing import AuthorAccount
from factorylm_registry.refusals import BadQuestionError, ConflictError, NotListedError, NotProvenError
from factorylm_registry.signatures import Signer
from factorylm_registry.sources import HttpSource
from starlette.testclient import TestClient

SPACE = "/v0.1/namespaces/com.example"


def test_keys_keep_their_role_until_they_are_retired(store, clock):
    def change():
        clock.pass_(seconds=1)
        return Change(by="example.com", at=clock())

    accounts = store.accounts
    accounts.add_key("com.example", "jane", Role.EDITOR, change())
    accounts.add_key("com.example", "jane", Role.PUBLISHER, change())
    accounts.add_key("org.other", "jane", Role.OWNER, change())
    accounts.add_key("com.example", "jane", Role.PUBLISHER, change())
    assert store.log_size() == 3, "what changes nothing is not logged"
    assert [(one.namespace, one.role) for one in accounts.roles_of("jane")] == [
        ("com.example", "publisher"),
        ("org.other", "owner"),
    ]
    accounts.retire_key("com.example", "jane", "lost", change())
    assert [one.namespace for one in accounts.roles_of("jane")] == ["org.other"], "another owner's decision is theirs"
    assert accounts.retired_in("jane") == {"com.example"}
    with pytest.raises(NotProvenError, match="retired on 2026-03-01"):
        accounts.add_key("com.example", "jane", Role.OWNER, change())
    with pytest.raises(NotListedError, match="no such key in use"):
        accounts.retire_key("com.example", "jane", "again", change())
    events = [json.loads(entry)["event"] for _, entry in accounts.audit("com.example")]
    assert events == ["key-added", "key-added", "key-retired"]


def test_licences_are_revoked_once_and_usage_counts_once(store, clock):
    change = Change(by="example.com", at=clock())
    store.accounts.revoke_licence("com.example/pump", "b", "unpaid", change)
    store.accounts.revoke_licence("com.example/pump", "a", "unpaid", change)
    with pytest.raises(ConflictError, match="revoked already"):
        store.accounts.revoke_licence("com.example/pump", "a", "unpaid", change)
    assert (store.accounts.revoked("com.example/pump"), store.accounts.revoked("com.example/x")) == (["a", "b"], [])
    events = [
        UsageEvent(source=source, id=str(number), name="com.example/pump", unit="calls", count=2, time="2026-03-01")
        for source in ("one", "two")
        for number in range(3)
    ]
    assert [store.accounts.add_usage(events), store.accounts.add_usage(events[:2])] == [6, 0]
    assert store.accounts.usage("com.example/pump") == [("one", "calls", 6), ("two", "calls", 6)]


class Member:
    """Somebody whose key an owner added."""

    def __init__(self, client, clock) -> None:
        self.client, self.clock = client, clock
        self.signer = Signer("jane@example.com", Ed25519PrivateKey.generate())

    @property
    def line(self):
        return str(self.signer.verifier)

    def proof(self):
        self.clock.pass_(seconds=1)
        timestamp = self.clock().isoformat()
        return {
            "key": self.line,
            "timestamp": timestamp,
            "signed_timestamp": self.signer.sign(timestamp.encode()).hex(),
        }

    def log_in(self):
        answer = self.client.post("/v0.1/auth/key", json=self.proof())
        return {"Authorization": f"Bearer {answer.json().get('registry_token')}"}

    def publish(self, document):
        return self.client.post("/v0.1/publish", json=document, headers=self.log_in())

    def yank(self, name):
        path = f"/v0.1/servers/{name}/status"
        return self.client.patch(path, json={"status": "deleted"}, headers=self.log_in())


@pytest.fixture
def member(client, clock):
    return Member(client, clock)


@pytest.mark.parametrize(
    ("role", "publishes", "yanks", "manages"),
    [("editor", 403, 200, 403), ("publisher", 200, 200, 403), ("owner", 200, 200, 200)],
)
def test_a_member_may_what_its_role_says(author, member, server_json, role, publishes, yanks, manages):
    author.publish(server_json())
    assert author.post(f"{SPACE}/keys", key=member.line, role=role).status_code == 200
    assert member.publish(server_json(version="1.1.0")).status_code == publishes
    assert member.publish(server_json("com.other/x")).status_code == 403
    assert member.yank("com.example/pump").status_code == yanks
    asked = {"key": member.line, "role": "owner"}
    managed = member.client.post(f"{SPACE}/keys", json=asked, headers=member.log_in())
    assert managed.status_code == manages


def test_a_retired_key_proves_nothing_even_with_a_token_it_got_before(author, member, server_json):
    author.post(f"{SPACE}/keys", key=member.line, role="publisher")
    token = member.log_in()
    retired = author.post(f"{SPACE}/keys/retire", key=member.line, reason="laptop lost")
    assert [(one["role"], bool(one["until"])) for one in retired.json()["keys"]] == [
        ("owner", False),
        ("publisher", True),
    ]
    refused = member.client.post("/v0.1/publish", json=server_json(), headers=token)
    assert (refused.status_code, "retired" in refused.json()["detail"]) == (401, True)
    assert member.client.post("/v0.1/auth/key", json=member.proof()).status_code == 401


def test_an_owners_key_is_rotated_and_the_old_one_is_refused_though_the_domain_still_shows_it(author, domains):
    old, old_record = author.key, author.record
    old_line = str(author.signer.verifier)
    author.log_in()
    author.key = Ed25519PrivateKey.generate()
    domains.shown["example.com", "http"] = [old_record, author.record]
    assert author.post(f"{SPACE}/keys/retire", key=old_line, reason="rotation").status_code == 200
    author.key = old
    answer = author.client.post("/v0.1/auth/http", json=author.proof())
    assert (answer.status_code, "retired" in answer.json()["detail"]) == (401, True)


def test_a_key_nobody_added_or_a_wrong_signature_or_role_is_refused(author, member):
    assert member.client.post("/v0.1/auth/key", json=member.proof()).status_code == 401
    assert author.post(f"{SPACE}/keys", key=member.line, role="king").status_code == 400
    assert author.post(f"{SPACE}/keys", key="jane", role="editor").status_code == 400
    assert author.post("/v0.1/namespaces/com.other/keys", key=member.line, role="editor").status_code == 403
    author.post(f"{SPACE}/keys", key=member.line, role="editor")
    proof = member.proof()
    assert member.client.post("/v0.1/auth/key", json={**proof, "signed_timestamp": "00" * 64}).status_code == 401
    assert member.client.post("/v0.1/auth/key", json=proof).status_code == 200
    assert member.client.post("/v0.1/auth/key", json=proof).status_code == 401, "a replay"


def test_the_audit_names_everybody_who_changed_something(author, member, server_json):
    author.publish(server_json())
    author.post(f"{SPACE}/keys", key=member.line, role="editor")
    member.yank("com.example/pump")
    found = author.client.get(f"{SPACE}/audit").json()["entries"]
    assert [(one["by"], one["event"]) for one in found] == [
        ("example.com", "key-added"),
        ("example.com", "listed"),
        ("example.com", "key-added"),
        ("jane@example.com", "deleted"),
    ]


class Forge:
    """An OpenID issuer on this machine."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.runs = iter(range(100))
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        forge = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self):
                pages = {
                    "/.well-known/openid-configuration": {"issuer": forge.address, "jwks_uri": f"{forge.address}/keys"},
                    "/keys": {"keys": [forge.public]},
                }
                asked = parse_qs(urlsplit(self.path).query)
                if self.headers.get("Authorization") == "Bearer runner" and "audience" in asked:
                    fresh = {"aud": asked["audience"][0], "jti": f"asked-{next(forge.runs)}"}
                    pages[self.path] = {"value": forge.token(forge.clock(), **fresh)}
                body = json.dumps(pages.get(self.path, {})).encode()
                self.send_response(200 if self.path in pages else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def public(self):
        made = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {**made, "kid": "one", "use": "sig", "alg": "RS256"}

    def token(self, now, key=None, algorithm="RS256", **changed):
        claims = {
            "iss": self.address,
            "aud": "factorylm.registry",
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=10)).timestamp()),
            "jti": "run-1",
            "repository": "acme/pump",
            "repository_owner": "acme",
        } | changed
        return jwt.encode(claims, key or self.key, algorithm=algorithm, headers={"kid": "one"})


@pytest.fixture
def forge(clock):
    made = Forge(clock)
    yield made
    made.server.shutdown()
    made.thread.join(5)
    made.server.server_close()


@pytest.fixture
def believing(registry, forge):
    """A registry that believes the forge's workflows."""
    return replace(registry, issuers=(Issuer(forge.address),))


@pytest.fixture
def workflows(believing):
    return TestClient(registry_app(believing, ServiceOptions(per_second=0)))


def test_the_publish_command_asks_its_runner_for_a_token(believing, forge, serve, clock, server_json, monkeypatch):
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{forge.address}/token?api-version=2.0")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner")
    signer = Signer("acme", Ed25519PrivateKey.generate())
    with serve(believing) as address:
        account = AuthorAccount(service=HttpSource(address), signer=signer, clock=clock, method="oidc")
        listed = account.change("POST", "/v0.1/publish", server_json("io.github.acme/pump"))
        assert listed["server"]["name"] == "io.github.acme/pump"
        monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
        with pytest.raises(BadQuestionError, match="id-token: write"):
            account.log_in()


def test_a_workflow_publishes_under_its_owners_namespace_and_no_other(workflows, forge, clock, server_json):
    answer = workflows.post("/v0.1/auth/github-oidc", json={"oidc_token": forge.token(clock())})
    assert answer.status_code == 200, answer.text
    token = {"Authorization": f"Bearer {answer.json()['registry_token']}"}
    for name in ("io.github.acme2/pump", "io.github.acm/pump", "com.acme/pump"):
        assert workflows.post("/v0.1/publish", json=server_json(name), headers=token).status_code == 403
    listed = workflows.post("/v0.1/publish", json=server_json("io.github.acme/pump"), headers=token)
    assert listed.status_code == 200, listed.text
    again = workflows.post("/v0.1/auth/github-oidc", json={"oidc_token": forge.token(clock())})
    assert (again.status_code, "used before" in again.json()["detail"]) == (401, True)


def test_a_workflows_key_may_sign_and_is_named_like_its_owner(workflows, forge, clock):
    signer = Signer("acme", Ed25519PrivateKey.generate())
    key = signer.verifier
    body = {"oidc_token": forge.token(clock()), "key": str(key)}
    assert workflows.post("/v0.1/auth/github-oidc", json=body).status_code == 200
    keys = workflows.get("/v0.1/namespaces/io.github.acme/keys").json()["keys"]
    assert [(one["key"], one["role"]) for one in keys] == [(str(key), "workflow")]
    timestamp = clock().isoformat()
    signed = signer.sign(timestamp.encode()).hex()
    left_behind = {"key": str(key), "timestamp": timestamp, "signed_timestamp": signed}
    refused = workflows.post("/v0.1/auth/key", json=left_behind)
    assert (refused.status_code, "no namespace knows" in refused.json()["detail"]) == (401, True)
    other = Signer("other", Ed25519PrivateKey.generate()).verifier
    body = {"oidc_token": forge.token(clock(), jti="run-2"), "key": str(other)}
    assert workflows.post("/v0.1/auth/github-oidc", json=body).status_code == 400


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"aud": "another.registry"}, "does not hold"),
        ({"iss": "https://evil.example"}, "not an issuer"),
        ({"exp": 1_700_000_000}, "not valid now"),
        ({"iat": 2_000_000_000}, "not valid now"),
        ({"repository_owner": "other"}, "names no repository"),
        ({"repository_owner": "../x"}, "names no repository"),
        ({"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}, "does not hold"),
        ({"key": "0" * 64, "algorithm": "HS256"}, "does not hold"),
    ],
)
def test_a_workflows_token_that_is_wrong_anywhere_is_refused(workflows, forge, clock, wrong, said):
    answer = workflows.post("/v0.1/auth/github-oidc", json={"oidc_token": forge.token(clock(), **wrong)})
    assert (answer.status_code, said in answer.json()["detail"]) == (401, True), answer.text


def test_a_registry_that_believes_no_workflows_says_what_to_do_instead(client, forge, clock):
    answer = client.post("/v0.1/auth/github-oidc", json={"oidc_token": forge.token(clock())})
    assert (answer.status_code, "Prove a domain" in answer.json()["detail"]) == (401, True)
    assert client.post("/v0.1/auth/github-oidc", json={"oidc_token": 1}).status_code == 400
