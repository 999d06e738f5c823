"""What the registry's tests share: stores on both databases, a registry that runs, publishers with keys."""

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factorylm_registry.api import ServiceOptions, registry_app
from factorylm_registry.command import main
from factorylm_registry.installing import plan_install
from factorylm_registry.licences import Terms, issue_licence, licence_id
from factorylm_registry.publishers import key_record
from factorylm_registry.publishing import AuthorAccount
from factorylm_registry.quality.environment import build_wheel
from factorylm_registry.quality.judging import manifest_of
from factorylm_registry.refusals import NotProvenError
from factorylm_registry.registry import Registry, open_registry
from factorylm_registry.scaffold import new_skill
from factorylm_registry.signatures import Signer
from factorylm_registry.sources import HttpSource
from factorylm_registry.store import Release, Store, open_store
from factorylm_registry.wheels import Wheel, wheel_in
from starlette.testclient import TestClient

SKILL_NAME = "com.example/pumpcare"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that tests set."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class Domains:
    """What domains show, instead of the internet."""

    shown: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def texts(self, domain: str, method: str) -> list[str]:
        if (domain, method) not in self.shown:
            raise NotProvenError(f"{domain} shows nothing")
        return self.shown[domain, method]


@dataclass
class Author:
    """A publisher with a domain and its key."""

    client: TestClient
    clock: Clock
    domain: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def signer(self) -> Signer:
        return Signer(self.domain, self.key)

    @property
    def record(self) -> str:
        return key_record(self.key.public_key().public_bytes_raw())

    def proof(self) -> dict[str, str]:
        timestamp = self.clock().isoformat()
        signature = self.key.sign(timestamp.encode()).hex()
        return {"domain": self.domain, "timestamp": timestamp, "signed_timestamp": signature}

    def log_in(self, method: str = "http") -> dict[str, str]:
        self.clock.pass_(seconds=1)
        answer = self.client.post(f"/v0.1/auth/{method}", json=self.proof())
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['registry_token']}"}

    def publish(self, document: dict[str, Any]) -> Any:
        return self.client.post("/v0.1/publish", json=document, headers=self.log_in())

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json=body, headers=self.log_in())


def document(name: str = "com.example/pump", version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"Reads {name}", "version": version, **more}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Licences, counts and remembered heads of a test are its own."""
    monkeypatch.setenv("FACTORYLM_HOME", str(tmp_path / "home"))


@pytest.fixture
def server_json() -> Callable[..., dict[str, Any]]:
    return document


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def domains() -> Domains:
    return Domains()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The same tests on both databases."""
    if request.param == "sqlite":
        opened = open_store(str(tmp_path / "registry.sqlite"))
        yield opened
        opened.close()
        return
    address = os.environ.get("FACTORYLM_TEST_POSTGRES", "")
    if not address:
        if os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
            pytest.fail("this run must have PostgreSQL, and FACTORYLM_TEST_POSTGRES names none")
        pytest.skip("needs FACTORYLM_TEST_POSTGRES=postgresql://USER@HOST/DATABASE; ./run test starts one")
    schema = f"registry_{secrets.token_hex(6)}"
    opened = open_store(f"{address}{'&' if '?' in address else '?'}schema={schema}")
    yield opened
    opened.close()
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.fixture
def release() -> Callable[..., Release]:
    """A version, a day after the one before."""
    days = iter(range(10_000))

    def make(name: str = "com.example/pump", version: str = "1.0.0", **more: Any) -> Release:
        ours = more.pop("ours", {})
        permit = more.pop("permit", "")
        at = START + timedelta(days=next(days))
        return Release(server=document(name, version, **more), at=at, by="tests", ours=ours, permit=permit)

    return make


@pytest.fixture
def registry(tmp_path: Path, domains: Domains, clock: Clock) -> Iterator[Registry]:
    opened = open_registry(tmp_path / "registry", domains)
    made = Registry(store=opened.store, wheels=opened.wheels, signer=opened.signer, looks=domains, clock=clock)
    yield made
    opened.store.close()


@pytest.fixture
def client(registry: Registry) -> TestClient:
    return TestClient(registry_app(registry, ServiceOptions(per_second=0)), follow_redirects=False)


@pytest.fixture
def author(client: TestClient, domains: Domains, clock: Clock) -> Author:
    """Somebody who owns example.com and shows a key there."""
    made = Author(client, clock, "example.com")
    domains.shown["example.com", "http"] = [made.record]
    domains.shown["example.com", "dns"] = ["some other text", made.record]
    return made


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Serves a registry on a free port of this machine while the block runs."""

    @contextmanager
    def serving(registry: Registry) -> Iterator[str]:
        app = registry_app(registry, ServiceOptions(per_second=0))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
            thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
            thread.start()
            try:
                # connections wait in the listener's queue until the server takes them
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                thread.join(10)

    return serving


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command; its exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def signer() -> Signer:
    return Signer("example.com", Ed25519PrivateKey.generate())


@pytest.fixture(scope="session")
def subscription(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new skill whose listing is a subscription."""
    made = new_skill("pumpcare", "com.example", tmp_path_factory.mktemp("new"))
    text = (made / "skill.toml").read_text().replace('"free"', '"subscription"')
    (made / "skill.toml").write_text(text)
    return made


@pytest.fixture(scope="session")
def skill_wheel(subscription: Path, tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    return wheel_in(build_wheel(subscription, tmp_path_factory.mktemp("built")))


@dataclass
class Shop:
    """A registry that serves, with a listed skill, its publisher and what a customer needs."""

    registry: Any
    address: str
    publisher: Signer
    account: AuthorAccount

    def plan(self, source: Any = None, **more: Any) -> Any:
        asked = {"at": self.registry.clock(), **more}
        return plan_install(source or HttpSource(self.address), self.registry.signer.verifier, SKILL_NAME, **asked)

    def licence(self, days: int = 30, **changed: Any) -> str:
        begin = self.registry.clock()
        made = Terms(
            skill=SKILL_NAME,
            holder="Plant 7",
            begin=begin,
            until=begin + timedelta(days=days),
            entitlements={"tags": 500},
        )
        return issue_licence(replace(made, **changed), self.publisher)

    def revoke(self, text: str) -> None:
        path = "/v0.1/servers/com.example%2Fpumpcare/licences/revoked"
        self.registry.clock.pass_(seconds=1)
        self.account.change("POST", path, {"licence": licence_id(text), "reason": "unpaid"})


@pytest.fixture
def shop(
    registry: Registry, domains: Domains, signer: Signer, serve: Any, skill_wheel: Wheel, tmp_path: Path
) -> Iterator[Shop]:
    wheel = skill_wheel
    domains.shown["example.com", "http"] = [key_record(signer.verifier.key)]
    manifest, _ = manifest_of(wheel, None, tmp_path)
    assert manifest is not None
    head = {"sha256": wheel.sha256, "tier": "gold", "judged_at": "2026-03-01", "judge": "tests", "tools": "sha256:1"}
    with serve(registry) as address:
        account = AuthorAccount(service=HttpSource(address), signer=signer, clock=registry.clock)
        account.publish(wheel, manifest, {**head, "figures": {}, "tool_costs": {}, "rules": []})
        yield Shop(registry, address, signer, account)
