"""The API v0.1 as clients meet it, against the official OpenAPI document."""

import json
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from factorylm_registry.listing import OFFICIAL_META
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

OPENAPI = json.loads((files("factorylm_registry") / "schemas" / "registry-openapi-2025-12-01.json").read_text())


def conforms(answer, schema):
    """The answer's body fits the official document's schema of that name."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    whole = {"$ref": f"#/components/schemas/{schema}", "components": OPENAPI["components"]}
    Draft202012Validator(whole).validate(answer.json())
    return answer.json()


@pytest.fixture
def many(registry, release):
    """130 servers, every tenth in two versions."""
    for number in range(130):
        word = "pump" if number % 3 else "valve"
        registry.store.publish(release(f"com.example/n{number:03}-{word}"))
        if number % 10 == 0:
            registry.store.publish(release(f"com.example/n{number:03}-{word}", "1.1.0"))


def test_a_list_goes_page_by_page_to_its_end(client, many):
    seen, address = [], "/v0.1/servers"
    while address:
        page = conforms(client.get(address), "ServerList")
        assert page["metadata"]["count"] == len(page["servers"]) <= 30
        assert all(entry["_meta"][OFFICIAL_META]["status"] == "active" for entry in page["servers"])
        seen += [(entry["server"]["name"], entry["server"]["version"]) for entry in page["servers"]]
        cursor = page["metadata"].get("nextCursor")
        address = f"/v0.1/servers?cursor={cursor}" if cursor else ""
    assert len(seen) == len(set(seen)) == 143


def test_the_requests_of_vs_code_work_page_by_page(client, many):
    """It probes, lists with a search, drops the search from page two on, and appends the cursor as it is."""
    assert conforms(client.get("/v0.1/servers?limit=1"), "ServerList")["metadata"]["count"] == 1
    page = conforms(client.get("/v0.1/servers?limit=50&version=latest&search=pump"), "ServerList")
    entries = page["servers"]
    while cursor := page["metadata"].get("nextCursor"):
        assert cursor.replace("-", "a").replace("_", "a").isalnum(), "the cursor needs no encoding"
        page = conforms(client.get(f"/v0.1/servers?limit=50&version=latest&cursor={cursor}"), "ServerList")
        entries += page["servers"]
    assert len(entries) == 86
    assert all("pump" in entry["server"]["name"] and entry["_meta"][OFFICIAL_META]["isLatest"] for entry in entries)
    name = entries[0]["server"]["name"].replace("/", "%2F")
    detail = conforms(client.get(f"/v0.1/servers/{name}/versions/latest"), "ServerResponse")
    assert detail == entries[0]


def test_github_copilot_may_ask_from_any_origin(client, many):
    early = client.options("/v0.1/servers", headers={"Origin": "https://github.com"})
    assert early.status_code == 204
    for answer in (early, client.get("/v0.1/servers"), client.get("/v0.1/servers/none%2Fx/versions/latest")):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "GET, OPTIONS"
        assert answer.headers["access-control-allow-headers"] == "Authorization, Content-Type"


def test_versions_with_build_metadata_and_encoded_names_are_found(client, registry, release):
    registry.store.publish(release(version="1.0.0+20130313144700"))
    for name in ("com.example/pump", "com.example%2Fpump"):
        answer = client.get(f"/v0.1/servers/{name}/versions/1.0.0%2B20130313144700")
        assert conforms(answer, "ServerResponse")["server"]["version"] == "1.0.0+20130313144700"
        assert conforms(client.get(f"/v0.1/servers/{name}/versions"), "ServerList")["metadata"]["count"] == 1


def test_what_a_client_has_already_is_not_sent_again(client, many):
    first = client.get("/v0.1/servers", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    again = client.get("/v0.1/servers", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/v0.1/servers?limit=0", 400, "from 1 to 100"),
        ("/v0.1/servers?limit=101", 400, "from 1 to 100"),
        ("/v0.1/servers?limit=ten", 400, "from 1 to 100"),
        ("/v0.1/servers?cursor=b25l", 400, "not a cursor of this registry"),
        ("/v0.1/servers?cursor=WzEsMiwzXQ", 400, "not a cursor of this registry"),
        ("/v0.1/servers?updated_since=yesterday", 400, "RFC 3339"),
        ("/v0.1/servers?updated_since=2026-01-01T00:00:00", 400, "RFC 3339"),
        ("/v0.1/servers?include_deleted=perhaps", 400, "true or false"),
        ("/v0.1/servers?search=a%00b", 400, "NUL"),
        ("/v0.1/servers/com.example%2Fnone/versions", 404, "Server not found"),
        ("/v0.1/servers/com.example%2Fnone/versions/latest", 404, "Server not found"),
        ("/log/tile/0/999", 404, "no such tile"),
        ("/log/tile/0/x000/001", 404, "no such tile"),
        ("/wheels/../../etc/passwd", 404, "Not Found"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(client, address, status, said):
    answer = client.get(address)
    assert answer.status_code == status
    body = answer.json()
    assert body["status"] == status
    assert said in body["detail"]
    kind = client.get(address, headers={"Accept": "application/problem+json"}).headers["content-type"]
    assert kind == "application/problem+json"


def test_a_trailing_slash_leads_to_the_address_without_and_to_no_other_host(client):
    assert client.get("/v0.1/servers/").headers["location"] == "/v0.1/servers"
    assert client.get("http://testserver//evil.example/").headers["location"] == "/evil.example"


def test_changes_are_followed_with_what_was_deleted(client, author, server_json):
    author.publish(server_json())
    author.publish(server_json(version="1.1.0"))
    author.clock.pass_(minutes=1)
    between = author.clock().isoformat()
    changed = client.patch(
        "/v0.1/servers/com.example%2Fpump/versions/1.0.0/status",
        json={"status": "deleted", "statusMessage": "wrong scaling"},
        headers=author.log_in(),
    )
    meta = conforms(changed, "ServerResponse")["_meta"][OFFICIAL_META]
    assert (meta["status"], meta["statusMessage"]) == ("deleted", "wrong scaling")
    listed = conforms(client.get("/v0.1/servers"), "ServerList")["servers"]
    assert [entry["server"]["version"] for entry in listed] == ["1.1.0"]
    since = client.get("/v0.1/servers", params={"updated_since": between})
    assert [entry["server"]["version"] for entry in conforms(since, "ServerList")["servers"]] == ["1.0.0"]
    whole = client.patch(
        "/v0.1/servers/com.example/pump/status", json={"status": "deprecated"}, headers=author.log_in()
    )
    assert whole.json()["updatedCount"] == 2


@pytest.mark.parametrize("asked", [{}, {"status": "gone"}, {"status": "active", "statusMessage": "x" * 501}, [1]])
def test_a_status_that_does_not_exist_is_refused(client, author, server_json, asked):
    author.publish(server_json())
    answer = client.patch("/v0.1/servers/com.example/pump/status", json=asked, headers=author.log_in())
    assert answer.status_code == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_published_version_is_neither_replaced_nor_erased(client, author, server_json, method):
    author.publish(server_json())
    answer = client.request(method, "/v0.1/servers/com.example%2Fpump/versions/1.0.0", json=server_json())
    assert (answer.status_code, answer.headers["content-type"]) == (501, "application/problem+json")


@pytest.mark.parametrize(
    ("wrong", "where", "said"),
    [
        ({"version": "^1.0"}, "version", "range"),
        ({"version": "latest"}, "version", "range"),
        ({"version": ".."}, "version", "begin with"),
        ({"version": "1/../../x"}, "version", "letters, digits"),
        ({"description": "x" * 101}, "description", "too long"),
        ({"status": "active"}, "status", "not a field"),
        ({"name": "com.example./pump"}, "name", "begin and end"),
        ({"name": "com.exämple/pump"}, "name", "match"),
        ({"title": "a\0b"}, "title", "control character"),
        ({"title": "\ud800"}, "title", "control character"),
        ({"websiteUrl": "http://example.com"}, "websiteUrl", "https"),
        ({"repository": {"url": "https://evil.example/a/b", "source": "github"}}, "repository.url", "github.com"),
        ({"remotes": [{"type": "streamable-http", "url": "http://h/mcp"}]}, "remotes.0.url", "https"),
        ({"remotes": [{"type": "streamable-http", "url": "https://{h}/mcp"}]}, "remotes.0.url", "not defined"),
        ({"_meta": {"io.modelcontextprotocol.registry/publisher-provided": {"a": "x" * 5000}}}, "_meta", "4096"),
    ],
)
def test_a_wrong_server_json_is_refused_with_the_place(client, author, server_json, wrong, where, said):
    body = {**server_json(), **wrong}
    issues = client.post("/v0.1/validate", content=json.dumps(body)).json()["issues"]
    assert any(issue["location"].startswith(where) and said in issue["message"] for issue in issues), issues
    answer = client.post("/v0.1/publish", content=json.dumps(body), headers=author.log_in())
    assert (answer.status_code, answer.json()["errors"]) == (422, issues)


PACKAGE = {"registryType": "pypi", "identifier": "pump", "version": "1.0.0", "transport": {"type": "stdio"}}


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"registryType": "cargo"}, "registryType"),
        ({"version": "~=1.0"}, "version"),
        ({"identifier": "--index-url=x"}, "identifier"),
        ({"registryType": "mcpb"}, "fileSha256"),
        ({"packageArguments": [{"type": "named", "name": "--plant", "value": "--plant x"}]}, "packageArguments"),
        ({"transport": {"type": "streamable-http", "url": "http://127.0.0.1:{port}/mcp"}}, "transport.url"),
    ],
)
def test_a_wrong_package_is_refused_with_the_place(client, server_json, wrong, where):
    body = server_json(packages=[{**PACKAGE, **wrong}])
    issues = client.post("/v0.1/validate", json=body).json()["issues"]
    assert issues, "nothing found"
    assert all(issue["location"].startswith(f"packages.0.{where}") for issue in issues), issues


def test_foreign_meta_is_dropped_and_the_publishers_own_kept(client, author, server_json):
    own = {"io.modelcontextprotocol.registry/publisher-provided": {"tool": "x"}}
    answer = author.publish(server_json(_meta={**own, "com.example": {"marketplaceIcon": "y"}}))
    assert conforms(answer, "ServerResponse")["server"]["_meta"] == own


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'"x"', b"x" * 60_000])
def test_a_body_that_is_no_document_is_refused_without_harm(client, author, body):
    answer = client.post("/v0.1/publish", content=body, headers=author.log_in())
    assert answer.status_code in (400, 413, 422)
    # the log has the key that logged in, and nothing else
    assert client.get("/v0.1/health").json() == {"status": "ok", "entries": 1}


def test_a_client_that_asks_too_often_is_told_when_to_come_back(registry):
    from factorylm_registry.api import ServiceOptions, registry_app
    from starlette.testclient import TestClient

    client = TestClient(registry_app(registry, ServiceOptions(per_second=2)))
    answers = [client.get("/v0.1/ping") for _ in range(6)]
    assert [answer.status_code for answer in answers[:4]] == [200] * 4
    assert (answers[-1].status_code, answers[-1].headers["retry-after"]) == (429, "1")


@given(st.dictionaries(st.sampled_from(["cursor", "limit", "search", "updated_since", "version"]), st.text()))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_question_makes_the_service_fail(client, parameters):
    assert client.get("/v0.1/servers", params=parameters).status_code in (200, 400)


def test_the_document_is_the_official_one_and_every_address_of_ours_beside_it(client):
    served = client.get("/openapi.json").json()
    assert {path: served["paths"][path] for path in OPENAPI["paths"]} == OPENAPI["paths"]
    assert {key: served[key] for key in OPENAPI if key != "paths"} == {
        key: OPENAPI[key] for key in OPENAPI if key != "paths"
    }
    pages = {"/", "/skills/{name}", "/rules/{id}", "/page.css", "/robots.txt", "/llms.txt"}
    official_names = {"{name}": "{serverName}"}
    for route in client.app.routes:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        if path in pages or path.startswith("/v0/"):
            continue
        theirs = path
        for ours, official in official_names.items():
            theirs = theirs.replace(ours, official)
        assert {path, theirs} & served["paths"].keys(), path
        operations = served["paths"].get(theirs) or served["paths"][path]
        assert {method.lower() for method in route.methods - {"HEAD"}} <= operations.keys(), path


def test_schemathesis_finds_no_deviation_on_the_read_side(registry, release, serve, tmp_path: Path):
    program = shutil.which("schemathesis", path=Path(sys.executable).parent)
    assert program, "Schemathesis is not there; it is in requirements.lock, ./run setup installs it"
    for version in ("1.0.0", "1.1.0"):
        registry.store.publish(release("com.example/my-server", version))
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps({key: value for key, value in OPENAPI.items() if key != "$id"}))
    with serve(registry) as address:
        command = [program, "run", str(document), "--url", address, "--include-method", "GET", "--max-examples", "15"]
        command += ["--checks", "response_schema_conformance,content_type_conformance,not_a_server_error"]
        command += ["--phases", "examples,fuzzing", "--no-color"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
