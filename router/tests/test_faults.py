"""What providers do wrong, and what clients do wrong: clear ends, exact books, nothing lost."""

import asyncio
import io
import itertools
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from factorylm_router.simulated import FAULTS, Said

pytestmark = pytest.mark.anyio
ASK = [{"role": "user", "content": "hello"}]
STREAMS = int(os.environ.get("FACTORYLM_STREAMS", "300"))  # 10000 is the full size


def once(fault: str) -> Any:
    return itertools.chain([fault], itertools.repeat(""))


@pytest.mark.parametrize("fault", ["500", "503", "429", "429-after"])
async def test_a_passing_error_is_repeated_and_only_the_answer_is_paid(
    plant: Any, public: str, script: Any, fault: str
):
    plant.outside.models["cheap"] = script("cheap", faults=once(fault))
    async with plant.running(public):
        status, _, _ = await plant.chat("cheap")
        rows = await plant.rows()
    assert status == 200
    assert [(row.status, row.purpose, row.cost_micro > 0) for row in rows] == [
        ("failed", "answer", False),
        ("ok", "retry", True),
    ]
    assert sum(row.cost_micro for row in rows) == sum(charge.micro for charge in plant.outside.books)


@pytest.mark.parametrize("fault", ["close", "garbage", "html", "cut", "error-200", "redirect"])
async def test_what_may_have_been_billed_is_not_repeated_but_falls_back(
    plant: Any, public: str, script: Any, fault: str
):
    plant.outside.models["cheap"] = script("cheap", faults=itertools.repeat(fault))
    plant.outside.redirect_to = "http://127.0.0.1:1/elsewhere"
    async with plant.running(public):
        text = plant.file.read_text().replace("[models.second]", "[models.second]\nfallbacks = []")
        plant.file.write_text(text.replace("[models.cheap]", '[models.cheap]\nfallbacks = ["second"]'))
        assert plant.service.reload()
        status, _, headers = await plant.chat("cheap")
        rows = await plant.rows()
    assert (status, headers["X-FactoryLM-Model"]) == (200, "second")
    assert [(row.model, row.status, row.purpose) for row in rows] == [
        ("cheap", "failed", "answer"),
        ("second", "ok", "fallback"),
    ]
    assert len([r for r in plant.outside.requests if r["model"] == "cheap"]) == 1


async def test_a_provider_that_stalls_times_out(plant: Any, public: str, script: Any):
    plant.outside.models["cheap"] = script("cheap", faults=itertools.repeat("stall"))
    async with plant.running(public):
        plant.file.write_text(plant.file.read_text().replace("stall_timeout_s = 5", "stall_timeout_s = 0.2"))
        assert plant.service.reload()
        status, body, _ = await plant.chat("cheap")
    assert (status, body["error"]["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("fault", ["cut", "bad-json", "garbage", "error-in-stream", "stall-in-stream"])
async def test_a_stream_that_breaks_ends_with_an_error_the_client_raises(
    plant: Any, public: str, script: Any, fault: str
):
    said = Said(text="one two three four five six")
    plant.outside.models["cheap"] = script("cheap", lambda chat: said, faults=itertools.repeat(fault))
    async with plant.running(public):
        plant.file.write_text(plant.file.read_text().replace("stall_timeout_s = 5", "stall_timeout_s = 0.2"))
        assert plant.service.reload()
        async with openai.AsyncOpenAI(base_url=plant.url + "/v1", api_key="x", max_retries=0) as client:
            with pytest.raises(openai.APIError):  # at once, or in the middle of the stream
                async for _ in await client.chat.completions.create(model="cheap", messages=ASK, stream=True):
                    pass
        rows = await plant.rows()
    assert [row.status for row in rows] == ["failed"]
    assert rows[0].cost_source == "estimated"


@pytest.mark.parametrize(("fault", "source"), [("no-usage", "estimated"), ("no-done", "priced"), ("", "priced")])
async def test_usage_is_always_filled_and_a_stream_costs_what_the_whole_costs(
    plant: Any, public: str, script: Any, fault: str, source: str
):
    said = Said(text="abcd" * 10, pieces=10)
    plant.outside.models["cheap"] = script("cheap", lambda chat: said, faults=itertools.repeat(fault))
    async with plant.running(public):
        _, whole, _ = await plant.chat("cheap")
        async with openai.AsyncOpenAI(base_url=plant.url + "/v1", api_key="x") as client:
            stream = await client.chat.completions.create(
                model="cheap", messages=ASK, stream=True, stream_options={"include_usage": True}
            )
            usages = [chunk.usage async for chunk in stream if chunk.usage]
        rows = await plant.rows()
    assert len(usages) == 1
    assert usages[0].completion_tokens == whole["usage"]["completion_tokens"] == 10
    assert [row.cost_source for row in rows] == [source, source]
    assert rows[0].out_tokens == rows[1].out_tokens


async def test_a_billed_amount_goes_first_but_a_billed_zero_is_no_price(plant: Any, public: str, script: Any):
    plant.outside.models["cheap"] = script("cheap", bills=True, faults=iter(["", "zero-cost"]))
    async with plant.running(public):
        await plant.chat("cheap")
        await plant.chat("cheap")
        rows = await plant.rows()
    assert [row.cost_source for row in rows] == ["billed", "priced"]
    assert rows[0].cost_micro == rows[1].cost_micro == plant.outside.books[0].micro


async def test_a_burst_of_errors_is_over_before_the_client_sees_it_or_ends_at_the_fallback(
    plant: Any, public: str, script: Any
):
    short, long = ["500", "503", ""], ["500"] * 9
    plant.outside.models["cheap"] = script("cheap", faults=iter([*short, *long]))
    async with plant.running(public):
        text = plant.file.read_text().replace("[models.cheap]", '[models.cheap]\nfallbacks = ["second"]')
        plant.file.write_text(text)
        assert plant.service.reload()
        answered = [(await plant.chat("cheap"))[2]["X-FactoryLM-Model"] for _ in range(4)]
        rows = await plant.rows()
    assert answered == ["cheap", "second", "second", "second"]
    asked = [row.trouble for row in rows if row.model == "cheap"]
    assert asked[:6] == ["status", "status", "", "status", "status", "status"]
    assert asked[-1] == "breaker-open", "a provider that only fails is left alone"
    assert sum(row.cost_micro for row in rows) == sum(charge.micro for charge in plant.outside.books)


async def test_ids_that_a_provider_gives_twice_confuse_nobody(plant: Any, public: str, script: Any):
    said = Said(calls=(("read_tags", '{"tags": ["a"]}'), ("read_tags", '{"tags": ["b"]}')))
    plant.outside.models["cheap"] = script("cheap", lambda chat: said)
    plant.outside.one_id_for_all = True
    async with plant.running(public):
        async with openai.AsyncOpenAI(base_url=plant.url + "/v1", api_key="x", max_retries=0) as client:
            await client.chat.completions.create(model="cheap", messages=ASK)
            async with client.chat.completions.stream(model="cheap", messages=ASK) as stream:
                streamed = await stream.get_final_completion()
        rows = await plant.rows()
    calls = streamed.choices[0].message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"tags": ["a"]}', '{"tags": ["b"]}']
    assert [row.upstream_id for row in rows] == ["sim-same", "sim-same"]
    assert len({row.attempt_id for row in rows}) == 2
    assert sum(row.cost_micro for row in rows) == sum(charge.micro for charge in plant.outside.books)


async def test_repeated_failures_open_the_breaker_and_the_fallback_answers_at_once(
    plant: Any, public: str, script: Any
):
    plant.outside.models["cheap"] = script("cheap", faults=itertools.repeat("close"))
    async with plant.running(public):
        text = plant.file.read_text().replace("[models.cheap]", '[models.cheap]\nfallbacks = ["second"]')
        plant.file.write_text(text)
        assert plant.service.reload()
        for _ in range(8):
            status, _, _ = await plant.chat("cheap")
            assert status == 200
        rows = await plant.rows()
        async with plant.http.get(plant.url + "/metrics") as response:
            metrics = await response.text()
    assert len([r for r in plant.outside.requests if r["model"] == "cheap"]) == 5
    assert [row.trouble for row in rows if row.model == "cheap"][5:] == ["breaker-open"] * 3
    assert 'breaker_open{model="outside/cheap"} 1' in metrics


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: Any) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", key,
         "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


async def test_a_certificate_that_fails_sends_nothing_and_a_named_authority_is_trusted(
    plant: Any, public: str, own_certificate: Any
):
    key, cert = own_certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    secure = type(plant.outside)(plant.outside.models)
    async with secure.running(ssl_context=context) as url, plant.running(public):
        text = plant.file.read_text().replace(plant.urls[0], url)
        plant.file.write_text(text)
        assert plant.service.reload()
        status, body, _ = await plant.chat("cheap")
        assert (status, "certificate" in body["error"]["message"]) == (502, True)
        assert secure.requests == []
        plant.file.write_text(text.replace("[providers.outside]", f'[providers.outside]\nca_file = "{cert}"'))
        assert plant.service.reload()
        assert (await plant.chat("cheap"))[0] == 200


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('provider = "outside"', 'provider = "nowhere"', "models.cheap.provider names 'nowhere'; known are claude"),
        ("[roles]", "[roles", "is not TOML"),
        ("[roles]", '[routing]\nverifier_file = "gone.json"\n[roles]', "gone.json is no verifier"),
        ("[roles]", '[routing]\nchallenger_file = "gone.json"\n[roles]', "gone.json is no verifier"),
        ('url = "http', 'key_env = "NOT_SET_AT_ALL"\nurl = "http', "NOT_SET_AT_ALL is not set"),
        ('url = "http:', 'ca_file = "gone.pem"\nurl = "https:', "cannot read certificates from gone.pem"),
    ],
)
async def test_a_configuration_edited_into_nonsense_leaves_the_old_one_and_says_why(
    plant: Any, public: str, within: Any, old: str, new: str, told: str
):
    async with plant.running(public):
        good = plant.file.read_text()
        plant.file.write_text(good.replace(old, new, 1))
        await within(lambda: bool(plant.service.reload_trouble))  # found by the router itself
        assert (await plant.chat("cheap"))[0] == 200
        async with plant.http.get(plant.url + "/dashboard/data") as response:
            assert told in (await response.json())["trouble"]
        plant.file.write_text(good + "# mended\n")
        await within(lambda: not plant.service.reload_trouble)
        assert (await plant.chat("cheap"))[0] == 200


async def test_what_only_a_new_start_can_change_is_told(plant: Any, public: str, caplog: Any):
    async with plant.running(public):
        plant.file.write_text(plant.file.read_text().replace("router.db", "other.db"))
        assert plant.service.reload()
        assert (await plant.chat("cheap"))[0] == 200
    assert "stay as they are until the router starts again" in caplog.text


async def test_the_same_request_is_answered_from_the_cache_for_nothing(plant: Any, public: str):
    async with plant.running(public + "[cache]\nseconds = 60\n"):
        first = await plant.chat("cheap", "same")
        again = await plant.chat("cheap", "same")
        other = await plant.chat("cheap", "other")
        rows = await plant.rows()
    assert first[1] == again[1]
    assert again[2]["X-FactoryLM-Cache"] == "hit"
    assert "X-FactoryLM-Cache" not in other[2]
    assert sorted((row.status, row.cost_micro > 0) for row in rows) == [
        ("cached", False),
        ("ok", True),
        ("ok", True),
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body is not JSON"),
        (b"[1]", "must be a JSON object"),
        (b'{"model": "cheap"}', "'messages' must be a list"),
        (b'{"model": "cheap", "messages": []}', "'messages' must be a list"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "'model' must name a model"),
        (b'{"model": "cheap", "messages": ["x"]}', "messages[0] must be an object"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(plant: Any, public: str, body: bytes, told: str):
    async with plant.running(public), plant.raw(body) as response:
        answer = await response.json()
    assert response.status == 400
    assert told in answer["error"]["message"]
    assert plant.outside.requests == []


async def in_pieces() -> Any:
    for _ in range(100):
        yield b"x" * 1_000_000


@pytest.mark.parametrize("body", [lambda: io.BytesIO(b"x" * 100_000_000), in_pieces], ids=["length", "chunked"])
async def test_a_body_of_100_megabytes_is_refused_without_being_kept(plant: Any, public: str, body: Any):
    async with plant.running(public):
        try:
            async with plant.http.post(plant.url + "/v1/chat/completions", data=body()) as response:
                assert response.status == 413
        except aiohttp.ClientConnectionError:
            pass  # the router hung up on a client that went on sending
        assert (await plant.chat("cheap"))[0] == 200


async def test_a_page_in_a_browser_cannot_reach_the_router(plant: Any, public: str):
    async with plant.running(public):
        rebound = await plant.chat("cheap", headers={"Host": "evil.example"})
        foreign = await plant.chat("cheap", headers={"Origin": "https://evil.example"})
    assert [rebound[0], foreign[0]] == [401, 401]


async def test_hundreds_of_streams_at_once_all_end_whole(plant: Any, public: str, script: Any):
    plant.outside.models["cheap"] = script("cheap", lambda chat: Said(text="a b c d"), between_s=0.01)
    plant.outside.keeps_requests = False
    body = {"model": "cheap", "messages": ASK, "stream": True}
    async with plant.running(public):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:

            async def one() -> bool:
                async with http.post(plant.url + "/v1/chat/completions", json=body) as response:
                    return (await response.text()).count("data: [DONE]") == 1

            assert all(await asyncio.gather(*(one() for _ in range(STREAMS))))
        assert len(await plant.rows()) == STREAMS


async def test_a_local_server_is_asked_one_at_a_time_and_its_queue_ends(plant: Any, script: Any):
    plant.site.models["local"] = script("local", latency_s=0.2)
    async with plant.running():
        text = plant.file.read_text()
        plant.file.write_text(text.replace('where = "plant"', 'where = "plant"\nat_once = 1\nqueue = 1'))
        assert plant.service.reload()
        answers = await asyncio.gather(*(plant.chat("local") for _ in range(4)))
    assert sorted(answer[0] for answer in answers) == [200, 200, 502, 502]


async def test_leaving_lets_requests_under_way_end(plant: Any, public: str, script: Any, within: Any):
    plant.outside.models["cheap"] = script("cheap", latency_s=0.3)
    async with plant.running(public):
        asked = asyncio.create_task(plant.chat("cheap"))
        await within(lambda: bool(plant.outside.requests))
        plant.service.front.draining = True
        refused = await plant.chat("cheap")
        assert (await asked)[0] == 200
    assert refused[0] == 503


def test_every_scripted_fault_is_used_by_some_test():
    text = Path(__file__).read_text("utf-8")
    assert [fault for fault in FAULTS if f'"{fault}"' not in text and fault not in ("429", "400")] == []
