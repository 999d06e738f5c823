"""A registry of 50,000 versions: search, list pages and requests against plain SQLite and a bare ASGI app.

Repeat with: ./run bench registry
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from factorylm_registry.api import ServiceOptions, registry_app
from factorylm_registry.cursors import Question
from factorylm_registry.lookups import Internet
from factorylm_registry.registry import Registry, open_registry
from factorylm_registry.static_index import write_index
from factorylm_registry.store import Release
from factorylm_registry.verification import verify_listing

WORDS = "pump valve motor drive meter boiler chiller press mixer conveyor furnace turbine kiln dryer crane".split()


def fill(registry: Registry, count: int) -> None:
    """Servers of five versions each; not synced to disk one by one, which is not what is measured."""
    registry.store.database.connection.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        server, version = divmod(number, 5)
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
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query}
    scope |= {"headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http", "root_path": ""}
    scope |= {"http_version": "1.1", "asgi": {"version": "3.0"}}
    await app(scope, receive, send)  # type: ignore[operator]
    return int(sent[0]["status"])  # type: ignore[call-overload]


async def per_second(app: object, count: int) -> float:
    """Requests for list pages, one after the other, a CPU second."""
    begun = time.process_time()
    for number in range(count):
        assert (
            await _request(app, "/v0.1/servers", b"limit=10&version=latest&search=" + WORDS[number % 15].encode())
            == 200
        )
    return count / (time.process_time() - begun)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, default=50_000, help="versions in the registry (default 50000)")
    parser.add_argument("--indexed", type=int, default=10_000, help="skills in the static index (default 10000)")
    options = parser.parse_args(argv)
    figures: list[tuple[str, float, float, bool]] = []
    with tempfile.TemporaryDirectory() as folder:
        registry = open_registry(Path(folder) / "large", Internet())
        fill(registry, options.versions)
        page = registry.store.page
        search = p50_ms(lambda n: page(Question(search=WORDS[n % 15], version="latest", limit=10)))
        rare = p50_ms(lambda n: page(Question(search=f"number {n * 37 % (options.versions // 5)} and")))
        listed = p50_ms(lambda n: page(Question(after=n * 200, limit=30)))
        app = registry_app(registry, ServiceOptions(per_second=0))
        rate = asyncio.run(per_second(app, 1000))
        evidence = registry.evidence("com.example.s00007x/" + WORDS[7], "1.0.0")
        verified = p50_ms(lambda _: verify_listing(evidence, registry.signer.verifier), 50)
        small = open_registry(Path(folder) / "small", Internet())
        fill(small, options.indexed)
        begun = time.perf_counter()
        write_index(small, Path(folder) / "public")
        indexed = time.perf_counter() - begun
    figures = [
        ("search, frequent word, p50 ms", search, 2, True),
        ("search, one hit, p50 ms", rare, 2, True),
        ("list page of 30, p50 ms", listed, 5, True),
        ("requests per CPU second, searches", rate, 500, False),
        ("verify a listing offline, p50 ms", verified, 200, True),
        ("static index, s", indexed, 30, True),
    ]
    broken = 0
    for name, figure, bound, at_most in figures:
        kept = figure <= bound if at_most else figure >= bound
        broken += not kept
        print(
            f"{name:40} {figure:8.2f}   at {'most' if at_most else 'least'} {bound:<6g} {'kept' if kept else 'BROKEN'}"
        )
    print("repeat: ./run bench registry")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
