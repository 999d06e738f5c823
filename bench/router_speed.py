"""What the router adds to a request: time, CPU and memory, beside a direct call and a bare pass-through.

Everything on loopback, the scripted upstream, the load and each proxy in a process of its own. Compare CPU per request
and the columns of one run with each other; wall times of a busy machine say little. LiteLLM joins where it installs,
in an environment of its own.

    ./run bench router-speed
"""

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router_peers.litellm import litellm_program
from router_peers.load import Process, free_port, load, start

SERVERS = Path(__file__).with_name("router_peers") / "servers.py"
OURS, DIRECT, BARE = "factorylm-router", "direct", "bare aiohttp"


def router_config(folder: Path, upstream: int, port: int) -> Path:
    digest = hashlib.sha256(b"flm-bench-key-0123456789").hexdigest()
    path = folder / "router.toml"
    path.write_text(
        f"""[server]
port = {port}
state = "sqlite:{folder / "router.db"}"
[providers.up]
url = "http://127.0.0.1:{upstream}/v1"
[models.m]
provider = "up"
price = {{ input = 0.3, output = 1.2, as_of = 2026-11-01 }}
[roles]
cheap = ["m"]
premium = ["m"]
[keys.bench]
sha256 = "{digest}"
data_class = "public"
budget_usd = 100000
requests_per_minute = 10000000
"""
    )
    return path


def processes(folder: Path, *, litellm: bool) -> list[Process]:
    """The upstream first, then everything that is measured in front of it."""

    def server(name: str, role: str, *more: int) -> Process:
        port = free_port()
        return start(name, [sys.executable, str(SERVERS), role, str(port), *map(str, more)], port)

    found = [server(DIRECT, "upstream")]
    upstream = found[0].port
    found += [server("bare asyncio", "asyncio", upstream), server(BARE, "aiohttp", upstream)]
    port = free_port()
    config = router_config(folder, upstream, port)
    found.append(start(OURS, [sys.executable, "-m", "factorylm_router.cli", "serve", "--config", str(config)], port))
    if litellm:
        found += litellm_in_front_of(upstream)
    return found


def litellm_in_front_of(upstream: int) -> list[Process]:
    program, why_not = litellm_program()
    if program is None:
        print(f"LiteLLM does not install here: {why_not}")
        return []
    port = free_port()
    options = [
        "--model",
        "openai/m",
        "--alias",
        "m",
        "--api_base",
        f"http://127.0.0.1:{upstream}/v1",
        "--port",
        str(port),
    ]
    try:
        # Without a key of its own it does less; it refuses that unless told so.
        open_to_all = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true", "OPENAI_API_KEY": "unused"}
        return [start("litellm", [program, *options], port, timeout_s=180, **open_to_all)]
    except RuntimeError as error:
        print(f"LiteLLM does not start here: {error}")
        return []


def measure(process: Process, count: int, *, stream: bool) -> dict[str, float]:
    body = json.dumps(
        {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "How fast is it? " * 8}]}
    )
    raw = body.encode()
    asyncio.run(load(process.port, raw, 4, min(200, count), stream=stream))
    alone = asyncio.run(load(process.port, raw, 1, max(200, count // 5), stream=stream))
    before, began = process.cpu_s(), time.perf_counter()
    asyncio.run(load(process.port, raw, 16, count, stream=stream))
    cpu, wall = process.cpu_s() - before, time.perf_counter() - began
    return {
        "p50_ms": 1000 * alone[len(alone) // 2],
        "p99_ms": 1000 * alone[int(len(alone) * 0.99)],
        "cpu_ms": 1000 * cpu / count,
        "per_core": count / cpu if cpu else float("inf"),
        "wall_per_s": count / wall,
    }


def start_cpu_s(folder: Path) -> float:
    """CPU until the port opens, read when it does."""
    port = free_port()
    config = router_config(folder, port, free_port())
    text = config.read_text()
    listening = int(text.split("port = ")[1].split("\n")[0])
    process = start(
        "start", [sys.executable, "-m", "factorylm_router.cli", "serve", "--config", str(config)], listening
    )
    spent = process.cpu_s()
    process.stop()
    return spent


def report(found: Sequence[Process], requests: int, long_run: int, at_once: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    head = f"{'':18s} {'p50 ms':>8s} {'p99 ms':>8s} {'CPU ms/req':>11s} {'req/s/core':>11s} {'RSS MB':>7s}"
    for stream in (False, True):
        what = "streams of 23 chunks" if stream else "whole answers of 0.5 kB"
        print(f"\n{what}, p50 and p99 with one client, the rest with 16\n{head}")
        for process in found:
            count = requests // 4 if stream else requests
            count = count // 20 if process.name == "litellm" else count
            told = measure(process, count, stream=stream)
            figures[f"{process.name} {'stream' if stream else 'whole'}"] = told
            print(
                f"{process.name:18s} {told['p50_ms']:8.3f} {told['p99_ms']:8.3f} {told['cpu_ms']:11.3f} "
                f"{told['per_core']:11.0f} {process.rss_mb():7.1f}",
                flush=True,
            )
    router = next(process for process in found if process.name == OURS)
    ours, direct = figures[f"{OURS} whole"], figures[f"{DIRECT} whole"]
    added = {name: ours[name] - direct[name] for name in ("p50_ms", "p99_ms")}
    print(f"\nadded by the router with one client: p50 {added['p50_ms']:.2f} ms, p99 {added['p99_ms']:.2f} ms")
    if long_run:
        figures["memory"] = memory(router, long_run)
    figures["rss_mb"] = router.rss_mb()
    if at_once:
        figures["open_streams"] = open_streams(router, at_once)
    return figures


def memory(router: Process, requests: int) -> list[float]:
    """RSS while many requests go by; flat is good."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
    seen, began = [router.rss_mb()], time.monotonic()
    for _ in range(10):
        asyncio.run(load(router.port, body, 16, requests // 10, stream=False))
        seen.append(router.rss_mb())
    minutes = (time.monotonic() - began) / 60
    print(f"RSS over {requests} more requests in {minutes:.0f} minutes, MB: {', '.join(f'{mb:.1f}' for mb in seen)}")
    return seen


def open_streams(router: Process, count: int) -> int:
    """Streams that the upstream ends only when all of them have begun: all are open at the same moment."""
    body = {"model": "m", "stream": True, "hold": count, "messages": [{"role": "user", "content": "hello"}]}
    ended = asyncio.run(load(router.port, json.dumps(body).encode(), count, count, stream=True))
    print(
        f"{len(ended)} streams were open at the same moment and ended whole; "
        f"the router then held {router.rss_mb():.0f} MB"
    )
    return len(ended)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: --requests 20000",
    )
    parser.add_argument("--requests", type=int, default=20_000, help="whole answers per column (20000)")
    parser.add_argument(
        "--long-run", type=int, default=0, help="then so many more requests, watching the memory (1000000)"
    )
    parser.add_argument(
        "--at-once", type=int, default=0, help="then so many streams open at once; each needs two files of the router"
    )
    parser.add_argument("--no-litellm", action="store_true", help="leave LiteLLM out")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        started = start_cpu_s(Path(folder))
        found = processes(Path(folder), litellm=not arguments.no_litellm)
        try:
            figures = report(found, arguments.requests, arguments.long_run, arguments.at_once)
        finally:
            for process in reversed(found):
                process.stop()
    figures["start_cpu_s"] = started
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))
    return 0 if promised(figures) else 1


def promised(figures: dict[str, Any]) -> bool:
    """The figures this project stands for, each with its bound; False if one is broken."""

    def ratio(kind: str) -> float:
        return float(figures[f"{OURS} {kind}"]["cpu_ms"] / figures[f"{BARE} {kind}"]["cpu_ms"])

    lines = [
        ("router's CPU / bare aiohttp pass-through, whole answers", ratio("whole"), 2.0),
        ("router's CPU / bare aiohttp pass-through, streams", ratio("stream"), 2.5),
        ("router's memory under load, MB", float(figures["rss_mb"]), 100.0),
        ("router's CPU until it listens, s", float(figures["start_cpu_s"]), 1.5),
    ]
    print()
    for what, figure, bound in lines:
        print(f"{what:58s} {figure:7.2f}   at most {bound:<6g} {'kept' if figure <= bound else 'BROKEN'}")
    return all(figure <= bound for _, figure, bound in lines)


if __name__ == "__main__":
    sys.exit(main())
