"""A registry of 50,000 versions: search, list pages and requests against plain SQLite and a bare ASGI app.

Repeat with: ./run bench registry
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factorylm_registry.api import ServiceOptions, registry_app
from factorylm_registry.cursors import Question, cursor_of
from factorylm_registry.installing import plan_install
from factorylm_registry.lookups import Internet
from factorylm_registry.publishers import Publisher
from factorylm_registry.publishing import release_document
from factorylm_registry.quality import judge
from factorylm_registry.quality.environment import build_wheel
from factorylm_registry.quality.judging import manifest_of
from factorylm_registry.registry import Registry, now, open_registry
from factorylm_registry.remembering import Heads
from factorylm_registry.signatures import Signer
from factorylm_registry.sources import FolderSource
from factorylm_registry.static_index import write_index
from factorylm_registry.store import Release
from factorylm_registry.wheels import Wheel, wheel_in
from measuring.figures import Figure

ROOT = Path(__file__).parents[1]
WORDS = "pump valve motor drive meter boiler chiller press mixer conveyor furnace turbine kiln dryer crane".split()


def fill(registry: Registry, count: int, versions: int = 5) -> None:
    """`count` versions, `versions` of each server; not synced to disk one by one, which is not what is measured."""
    registry.store.database.connection.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        server, version = divmod(number, versions)
        word = WORDS[server % len(WORDS)]
        document = {
            "name": f"com.example.s{server:05}x/{word}",
            "title": f"{word.capitalize()} {server}",
            "description": f"Reads the {word} number {server} and says how it is.",
            "version": f"1.{version}.0",
        }
        at = begin + timedelta(seconds=number)
        registry.store.publish(Release(server=document, at=at, by="bench", ours={"level": "unsigned"}))


def p50_ms(run: Callable[[int], object], times: int = 200) -> float:
    """Median of single runs, in milliseconds."""
    taken = []
    for number in range(times):
        begun = time.perf_counter()
        run(number)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000


async def _request(app: object, path: str, query: bytes) -> int:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
    }
    scope |= {"headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http", "root_path": ""}
    scope |= {"http_version": "1.1", "asgi": {"version": "3.0"}}
    await app(scope, receive, send)  # type: ignore[operator]
    return int(sent[0]["status"])


async def per_second(app: object, count: int, path: str, query: str) -> float:
    """Requests, one after the other, a CPU second."""
    begun = time.process_time()
    for number in range(count):
        assert await _request(app, path, query.format(word=WORDS[number % 15]).encode()) == 200
    return count / (time.process_time() - begun)


async def hello(_: object, __: object, send: Any) -> None:
    """The least that an ASGI application does: the floor under every request."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


def raw_search(registry: Registry) -> Callable[[int], object]:
    """The same question asked of SQLite's full-text index by hand, rows fetched and nothing done with them."""
    database = registry.store.database  # type: ignore[attr-defined]
    sql = (
        "SELECT versions.server, versions.ours FROM version_words CROSS JOIN versions"
        " ON versions.number = version_words.rowid WHERE version_words MATCH ? AND status <> 'deleted'"
        " AND is_latest = 1 ORDER BY version_words.rowid LIMIT 11"
    )
    return lambda n: database.rows(sql, f'"{WORDS[n % 15]}"')


def listed_skill(registry: Registry, wheel: Wheel) -> None:
    """A real wheel, published as its author does it."""
    key = Signer("factorylm.io", Ed25519PrivateKey.generate())
    with tempfile.TemporaryDirectory() as scratch:
        manifest, trouble = manifest_of(wheel, None, Path(scratch))
    assert manifest is not None, trouble
    check = {"sha256": wheel.sha256, "tier": "gold", "judged_at": "2026-03-01", "judge": "bench", "tools": "sha256:0"}
    document = release_document(wheel, manifest, {**check, "figures": {}, "tool_costs": {}, "rules": []}, key)
    registry.wheels.put(wheel)
    space = (("publish", "io.factorylm/*"),)
    key_bytes = key.verifier.key
    registry.publish(document, Publisher(subject=key.name, key=key_bytes, permissions=space, permit=""))


def install_verification(registry: Registry, name: str, folder: Path) -> Callable[[int], object]:
    """What `install` verifies before it asks: log, proofs, signatures, the wheel's files, and the remembered head."""
    write_index(registry, folder / "copy", [name])
    source, key = FolderSource(folder / "copy"), registry.signer.verifier
    heads = Heads(folder / "heads.json")

    def verify(_: int) -> None:
        plan = plan_install(source, key, name, at=now())
        heads.accept(plan.listing.checkpoint, key, source, now())

    return verify


def checked_seconds(folder: Path) -> float:
    """`check` of Modbus from its wheel, the wheels of the kit beside it."""
    begun = time.perf_counter()
    found = judge(next(folder.glob("factorylm_modbus-*.whl")), now(), sources=[folder])
    assert found.tier is not None, found.wire()
    return time.perf_counter() - begun


def static_index_seconds(folder: Path, skills: int) -> float:
    """From the database to files."""
    small = open_registry(folder / "small", Internet())
    fill(small, skills, versions=1)
    begun = time.perf_counter()
    write_index(small, folder / "public")
    return time.perf_counter() - begun


def figures(options: argparse.Namespace, folder: Path) -> Iterator[Figure]:
    """Everything the registry promises."""
    wheels = folder / "wheels"
    for member in ("libs/schema", "libs/skill", "servers/modbus"):
        build_wheel(ROOT / member, wheels)
    registry = open_registry(folder / "large", Internet())
    fill(registry, options.versions)
    page, servers = registry.store.page, options.versions // 5
    frequent = p50_ms(lambda n: page(Question(search=WORDS[n % 15], version="latest", limit=10)))
    yield Figure("search, frequent word, p50 ms", frequent, most=2)
    rare = p50_ms(lambda n: page(Question(search=f"number {n * 37 % servers} and")))
    yield Figure("search, one hit, p50 ms", rare, most=2)
    yield Figure("the same search / by hand in SQLite FTS5", frequent / p50_ms(raw_search(registry)), most=3)
    app = registry_app(registry, ServiceOptions(per_second=0))
    loop = asyncio.new_event_loop()

    def ask(n: int) -> int:
        query = f"limit=30&cursor={cursor_of(Question(after=n * 200))}"
        return loop.run_until_complete(_request(app, "/v0.1/servers", query.encode()))

    yield Figure("list page of 30 at the service, p50 ms", p50_ms(ask), most=5)
    search = "limit=10&version=latest&search={word}"
    rate = loop.run_until_complete(per_second(app, 1000, "/v0.1/servers", search))
    yield Figure("searches at the service, per CPU second", rate, least=500)
    ping = loop.run_until_complete(per_second(app, 1000, "/v0.1/ping", ""))
    floor = loop.run_until_complete(per_second(hello, 1000, "/", ""))
    loop.close()
    print(f"beside: {ping:,.0f} pings of the service, {floor:,.0f} of a bare ASGI application per CPU second")
    listed_skill(registry, wheel_in(next(wheels.glob("factorylm_modbus-*.whl"))))
    verify = install_verification(registry, "io.factorylm/modbus", folder)
    yield Figure("verify before installing, p50 ms", p50_ms(verify, 30), most=200)
    yield Figure("static index, s", static_index_seconds(folder, options.indexed), most=30)
    yield Figure("check of one skill, s", checked_seconds(wheels), most=60)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, default=50_000, help="versions in the registry (default 50000)")
    parser.add_argument("--indexed", type=int, default=10_000, help="skills in the static index (default 10000)")
    options = parser.parse_args(argv)
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        for figure in figures(options, Path(folder)):
            kept &= figure.kept
            print(figure.line, flush=True)
    print("repeat: ./run bench registry")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
