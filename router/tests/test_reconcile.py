"""The ledger against the providers' own books, to the micro-dollar, with faults, leaving clients and
killed routers.

FACTORYLM_RECONCILE_REQUESTS=100000 runs the full size (some minutes); the default is a sample of the same
mix."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from factorylm_router.cli import main
from factorylm_router.money import Price, Usage, table_cost_micro
from factorylm_router.simulated import Said

pytestmark = pytest.mark.anyio
REQUESTS = int(os.environ.get("FACTORYLM_RECONCILE_REQUESTS", "800"))
AT_ONCE = max(24, REQUESTS // 500)
FAULTS = ("500", "503", "429-after", "close", "cut", "garbage", "html", "bad-json", "no-usage", "zero-cost",
          "error-in-stream", "no-done", "redirect", "error-200", "400")  # fmt: skip
SURFACES = ("chat", "chat", "chat", "messages", "responses", "embeddings")


def sometimes(rnd: random.Random, share: float) -> Any:
    while True:
        yield rnd.choice(FAULTS) if rnd.random() < share else ""


def body_of(rnd: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    surface = rnd.choice(SURFACES)
    text = f"request {number} " + "word " * rnd.randrange(30)
    model = rnd.choice(("cheap", "second", "premium", "claude", "local", "auto"))
    stream = rnd.random() < 0.4
    if surface == "embeddings":
        return "/v1/embeddings", {"model": rnd.choice(("cheap", "second")), "input": text}
    if surface == "responses":
        return "/v1/responses", {"model": model, "input": text, "stream": stream}
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "max_tokens": 200,
    }
    return ("/v1/messages" if surface == "messages" else "/v1/chat/completions"), body


async def one_request(http: aiohttp.ClientSession, url: str, rnd: random.Random, number: int) -> None:
    path, body = body_of(rnd, number)
    leaves = rnd.random() < 0.05
    with contextlib.suppress(aiohttp.ClientError):
        async with http.post(url + path, json=body) as response:
            if leaves:
                await response.content.readany()
                response.close()
            else:
                await response.read()


def reconciled(rows: list[Any], books: list[Any]) -> tuple[int, int, int]:
    """(sure rows, estimated rows, micro-dollars in all); raises where the two disagree."""
    charged: dict[str, int] = {}
    for charge in books:
        charged[charge.attempt_id] = charged.get(charge.attempt_id, 0) + charge.micro
    by_id = {row.attempt_id: row for row in rows}
    assert len(by_id) == len(rows), "an attempt stands in the ledger once"
    assert set(charged) <= set(by_id), "what was charged is known here"
    sure = [row for row in rows if row.cost_source in ("priced", "billed")]
    wrong = [(row, charged.get(row.attempt_id, 0)) for row in sure if row.cost_micro != charged.get(row.attempt_id, 0)]
    assert wrong == []
    free = [row for row in rows if row.cost_source == "none" and charged.get(row.attempt_id, 0)]
    assert free == []
    estimated = [row for row in rows if row.cost_source == "estimated"]
    return len(sure), len(estimated), sum(charged.values())


async def test_the_ledger_equals_the_books_of_the_providers(plant: Any, public: str, script: Any):
    rnd = random.Random(4711)
    for provider in (plant.outside, plant.site):
        provider.keeps_requests = False
        provider.redirect_to = "http://127.0.0.1:1/"
        for name, model in provider.models.items():
            answer = lambda chat: Said(text="word " * rnd.randrange(1, 40))  # noqa: E731
            more = {"bills": name == "second", "faults": sometimes(random.Random(name), 0.15)}
            provider.models[name] = script(name, answer, **more)
            assert model.price is not None
    tables = public + "[routing]\nshadow_share = 0.05\n"
    async with plant.running(tables), aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for start in range(0, REQUESTS, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, REQUESTS))
            await asyncio.gather(*(one_request(http, plant.url, rnd, number) for number in numbers))
            for provider in plant.service.providers._providers.values():
                provider.breakers.clear()  # so that every model goes on being used
        await plant.service.chooser.settled()
        async with asyncio.timeout(10):
            while plant.service.gateway.in_flight or plant.outside.open_streams or plant.site.open_streams:  # noqa: ASYNC110 -- bounded
                await asyncio.sleep(0.01)
        state = plant.service.state
        await plant.service.gateway.settled()
        rows = await state.rows(limit=REQUESTS * 10)
        books = plant.outside.books + plant.site.books
        sure, estimated, total = reconciled(rows, books)
        charged = {charge.attempt_id: charge.micro for charge in books}
        for row in rows:
            if row.cost_source == "estimated":
                assert await state.correct(row.attempt_id, charged.get(row.attempt_id, 0))
        assert sum(t.cost_micro for t in await state.totals("model")) == total
    print(f"{REQUESTS} requests, {len(rows)} rows: {sure} sure ones equal, {estimated} settled, {total} micro-dollars")
    assert sure > REQUESTS / 2
    assert 0 < estimated < REQUESTS / 3
    told = sum(row.cost_micro for row in rows)
    assert abs(told - total) < 0.2 * total, "estimates are no fantasy before a statement settles them"


async def started(path: Path, port: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "factorylm_router.cli", "serve", "--config", str(path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readline()
    return process


async def test_a_killed_router_forgets_no_attempt_and_a_statement_settles_it(
    plant: Any, public: str, script: Any, free_port: int, tmp_path: Path, capsys: Any
):
    plant.outside.models["cheap"] = script("cheap", lambda chat: Said(text="word " * 30), latency_s=0.02)
    plant.outside.models["second"] = script("second", lambda chat: Said(text="word " * 5000), between_s=0.005)
    plant.file = tmp_path / "router.toml"
    url = f"http://127.0.0.1:{free_port}"
    async with (
        plant.outside.running() as outside,
        plant.site.running() as site,
        aiohttp.ClientSession() as http,
    ):
        plant.urls = (outside, site)
        plant.write(public)
        plant.file.write_text(plant.file.read_text().replace("port = 0", f"port = {free_port}"))
        process = await started(plant.file, free_port)
        ask = {"model": "cheap", "messages": [{"role": "user", "content": "x"}]}
        streams = [
            asyncio.create_task(one_stream(http, url, {**ask, "model": "second", "stream": True})) for _ in range(5)
        ]
        for _ in range(20):
            async with http.post(url + "/v1/chat/completions", json=ask) as response:
                assert response.status == 200
        async with asyncio.timeout(5):
            while plant.outside.open_streams < 5:  # noqa: ASYNC110 -- bounded
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*streams)
        async with asyncio.timeout(5):
            while plant.outside.open_streams:  # noqa: ASYNC110 -- bounded
                await asyncio.sleep(0.01)
        process = await started(plant.file, free_port)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    statement = tmp_path / "statement.jsonl"
    lines = [{"attempt_id": c.attempt_id, "cost_usd": c.micro / 1e6} for c in plant.outside.books]
    statement.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    command = [
        "costs",
        "--config",
        str(plant.file),
        "--by",
        "status",
        "--json",
        "--statement",
        str(statement),
    ]
    assert await asyncio.to_thread(main, command) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert {line["group"]: line["attempts"] for line in told}.get("unfinished", 0) >= 5
    assert sum(line["attempts"] for line in told) == 25
    assert sum(line["cost_micro"] for line in told) == sum(charge.micro for charge in plant.outside.books)


async def one_stream(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    with contextlib.suppress(aiohttp.ClientError):
        async with http.post(url + "/v1/chat/completions", json=body) as response:
            await response.read()


def test_a_cost_is_what_exact_arithmetic_says_rounded_once():
    rnd = random.Random(7)
    for _ in range(2000):
        dollars = [Decimal(rnd.randrange(0, 60_000)) / 1000 for _ in range(4)]
        nano = [int(amount * 1000) for amount in dollars]
        price = Price(in_nano=nano[0], out_nano=nano[1], cached_nano=nano[2], cache_write_nano=nano[3], as_of=None)  # type: ignore[arg-type]
        cached, written, plain, out = (rnd.randrange(0, 100_000) for _ in range(4))
        used = Usage(
            in_tokens=plain + cached + written,
            out_tokens=out,
            cached_tokens=cached,
            cache_write_tokens=written,
        )
        exact = plain * dollars[0] + out * dollars[1] + cached * dollars[2] + written * dollars[3]
        assert table_cost_micro(used, price) == int(exact.to_integral_value(ROUND_HALF_UP))
