"""The command and what operators read: explain, costs, learn, key, serve, metrics, traces."""

import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from factorylm_router.cli import main
from factorylm_router.config import key_digest, load_config
from factorylm_router.errors import ConfigError
from factorylm_router.service import Service
from factorylm_router.simulated import Said

pytestmark = pytest.mark.anyio


@pytest.fixture
async def used(plant: Any, public: str, script: Any) -> Any:
    """A router that has answered two requests and was stopped."""
    plant.outside.models["premium"] = script("premium", lambda chat: Said(text="x" * 400))
    async with plant.running(public):
        _, _, first = await plant.chat("cheap", "hello")
        _, _, second = await plant.chat("premium", "hello")
    plant.ids = [first["X-FactoryLM-Request-Id"], second["X-FactoryLM-Request-Id"]]
    return plant


async def ran(*command: str) -> int:
    return await asyncio.to_thread(main, list(command))


async def test_explain_says_why_a_request_went_where_and_what_premium_would_have_cost(used: Any, capsys: Any):
    assert await ran("explain", "--config", str(used.file), "--request", used.ids[0]) == 0
    told = capsys.readouterr().out
    assert "client named cheap" in told
    assert re.search(r"cost \$0\.0000\d\d; premium alone would have cost about \$0\.000\d+", told)
    assert await ran("explain", "--config", str(used.file), "--request", "nope") == 1
    assert "no request 'nope' in the ledger" in capsys.readouterr().err


async def test_explain_a_prompt_sends_nothing_and_tells_the_route(used: Any, capsys: Any):
    before = len(used.outside.requests)
    assert await ran("explain", "--config", str(used.file), "--prompt", "hello", "--json") == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["prompt_looks"], told["mode"], told["data_class"]) == ("trivial", "single", "public")
    command = (
        "explain",
        "--config",
        str(used.file),
        "--prompt",
        "How many?",
        "--data-class",
        "plant",
        "--json",
    )
    assert await ran(*command) == 0
    assert orjson.loads(capsys.readouterr().out)["models"] == ["local"]
    assert len(used.outside.requests) == before


async def test_costs_are_those_of_the_ledger(used: Any, capsys: Any):
    assert await ran("costs", "--config", str(used.file), "--by", "model", "--json") == 0
    told = orjson.loads(capsys.readouterr().out)
    assert [line["group"] for line in told] == ["premium", "cheap"]
    assert sum(line["cost_micro"] for line in told) == sum(charge.micro for charge in used.outside.books)
    assert await ran("costs", "--config", str(used.file)) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[0] == "model"


async def test_learning_needs_samples_and_says_how_many(used: Any, capsys: Any, tmp_path: Path):
    assert await ran("learn", "--config", str(used.file), "--out", str(tmp_path / "v.json")) == 1
    assert "too few. 200 are needed" in capsys.readouterr().err


async def test_learning_writes_a_verifier_that_serves(plant: Any, public: str, capsys: Any, tmp_path: Path):
    out = tmp_path / "learned.json"
    async with plant.running(public):
        await plant.rows()
        for number in range(400):
            sample = {"at_ms": 1, "chance": 0.95, "agreed": number % 3 > 0, "kind": "number"}
            await plant.service.state.sample_put(sample)
        await plant.service.state.samples(1)  # on disk
        assert await ran("learn", "--config", str(plant.file), "--out", str(out)) == 0, capsys.readouterr().err
        assert await plant.service.judge_drift() < 1
        plant.file.write_text(plant.file.read_text() + f'[routing]\nverifier_file = "{out}"\n')
        assert plant.service.reload()
        assert "shadow samples" in plant.service.chooser.verifier.fitted_on
    assert "premium agreed with 66.5%" in capsys.readouterr().out


def test_a_new_key_is_shown_once_and_its_table_is_taken(capsys: Any, tmp_path: Path):
    assert main(["key", "ops-laptop"]) == 0
    told = capsys.readouterr().out
    key = re.search(r"key \(shown only now\): (\S+)", told)
    assert key is not None
    path = tmp_path / "router.toml"
    path.write_text("[providers]\n[models]\n" + told.partition("configuration:")[2])
    assert load_config(path).keys["ops-laptop"].sha256 == key_digest(key[1])


def test_wrong_usage_is_2_and_every_command_has_an_example(capsys: Any):
    for command in ("serve", "explain", "eval", "compare", "costs", "learn", "key"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert "example: factorylm-router" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--nonsense"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models.x]\n", "providers: Field required"),
        ('[providers.p]\nurl = "ftp://x"\n[models]\n', "providers.p.url: must look like https://host/v1"),
        ('[providers.p]\nurl = "http://u:p@x/v1"\n[models]\n', "use key_env or key_file"),
        (
            '[providers.p]\nurl = "http://x/v1"\n[models.m]\nprovider = "p"\n',
            "models.m.price: Field required",
        ),
        ("[providers]\n[models]\n[server]\nhost = '0.0.0.0'\n", "add at least one key"),
        ("[providers]\n[models]\n[roles]\ncheap = ['x']\n", "roles.cheap names 'x'; known are none"),
        ("[providers]\n[models]\n[policy]\ndefault_class = 'secret'\n", "'plant', 'redacted' or 'public'"),
        ("[providers]\n[models]\n[[policy.rules]]\npattern = '('\n", "is not a regular expression"),
        ("[providers\n", "is not TOML"),
    ],
)
def test_a_wrong_configuration_names_the_key_and_what_would_be_right(tmp_path: Path, capsys: Any, text: str, told: str):
    path = tmp_path / "router.toml"
    path.write_text(text)
    assert main(["serve", "--config", str(path)]) == 1
    assert told in capsys.readouterr().err


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, capsys: Any, monkeypatch: Any):
    secret = tmp_path / "key"
    secret.write_text("sk-very-secret")
    secret.chmod(0o644)
    path = tmp_path / "router.toml"
    path.write_text(
        f'[server]\nport = 0\n[providers.p]\nurl = "http://127.0.0.1/v1"\nkey_file = "{secret}"\n[models]\n'
    )
    monkeypatch.setenv("FACTORYLM_HOME", str(tmp_path / "home"))
    assert main(["serve", "--config", str(path)]) == 1
    told = capsys.readouterr().err
    assert "others may read" in told
    assert not (tmp_path / "home").exists(), "a router that does not start leaves nothing behind"
    assert "sk-very-secret" not in told


@pytest.mark.parametrize(
    ("server", "books"),
    [
        ("", "home/router/router.db"),
        ('data = "books"', "books/router.db"),
        ('state = "sqlite:a.db"', "home/router/a.db"),
    ],
)
async def test_the_books_lie_in_a_data_folder_and_never_where_the_command_was_given(
    tmp_path: Path, monkeypatch: Any, server: str, books: str
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("FACTORYLM_HOME", str(tmp_path / "home"))
    path = tmp_path / "router.toml"
    path.write_text(f"[server]\nport = 0\n{server}\n[providers]\n[models]\n")
    async with Service(path).running():
        assert (tmp_path / books).is_file()
        with pytest.raises(ConfigError, match="another router keeps its books in"):
            async with Service(path).running():
                pass
    assert await ran("costs", "--config", str(path)) == 0
    assert list(here.iterdir()) == []


async def test_the_simulated_router_answers_and_ends_cleanly(free_port: int):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "factorylm_router.cli", "serve", "--simulate", "--port", str(free_port),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while b"serves" not in await process.stdout.readline():
            pass
    body = {"model": "auto", "messages": [{"role": "user", "content": "How much is 6 * 7?"}]}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://127.0.0.1:{free_port}/v1/chat/completions", json=body) as response,
    ):
        answer = await response.json()
        headers = response.headers
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert answer["choices"][0]["message"]["content"] == "6 * 7 = 42. The answer is 42."
    assert headers["X-FactoryLM-Route"] == "cascade"
    assert process.returncode == 0
    assert b"Traceback" not in errors


async def test_prometheus_reads_what_happened(plant: Any, public: str):
    async with plant.running(public):
        await plant.chat("cheap")
        await plant.chat("cheap", headers={"X-FactoryLM-Data-Class": "plant"})
        async with plant.http.get(plant.url + "/metrics") as response:
            text = await response.text()
    assert 'factorylm_router_attempts_total{model="cheap",status="ok",purpose="answer"} 1' in text
    assert 'factorylm_router_refusals_total{reason="data_policy"} 1' in text
    assert 'factorylm_router_attempt_seconds_count{model="cheap"} 1' in text
    assert re.fullmatch(r"(#.*\n|[a-z_]+(\{[^\n]*\})? [-+.0-9eE]+\n)*", text)


async def test_traces_reach_a_collector_without_any_text(plant: Any, public: str):
    received: list[Any] = []

    async def collect(request: web.Request) -> web.Response:
        received.append(orjson.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with plant.running(public, server=f'otlp_url = "http://127.0.0.1:{runner.addresses[0][1]}"'):
            await plant.chat("cheap", "secret recipe 4711")
    finally:
        await runner.cleanup()
    span = received[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    told = {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}
    assert span["name"] == "chat cheap"
    assert told["gen_ai.request.model"] == "cheap"
    assert int(told["gen_ai.usage.input_tokens"]) > 0
    assert "4711" not in str(received)


def test_the_configuration_in_the_readme_is_one(tmp_path: Path):
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    path = tmp_path / "router.toml"
    path.write_text(readme.partition("```toml\n")[2].partition("```")[0])
    config = load_config(path)
    assert config.roles.premium == ("opus",)
    assert config.providers["site"].where == "plant"
