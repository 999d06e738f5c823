"""No plant-class byte reaches an outside provider: on any surface, path or fault. At least 500 generated
cases."""

import asyncio
import itertools
import random
import re
import socket
from typing import Any

import orjson
import pytest
from factorylm_router.config import DataClass, RedactConfig, key_digest
from factorylm_router.dialing import addresses
from factorylm_router.errors import ConfigError, PolicyRefusedError
from factorylm_router.redact import Redaction, StreamRestorer
from factorylm_router.simulated import Said

pytestmark = pytest.mark.anyio
CASES = 600
SECRET = "recipe-4711-pump1.speed"
MODELS = ("auto", "cheap", "second", "premium", "claude", "local", "medium", "unheard-of")
SURFACES = ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings")
FAULTS = ("", "", "500", "429-after", "close", "garbage", "cut", "redirect", "error-in-stream", "no-usage")
KEYS = {
    "plant": "flm-plant-key-000000000000",
    "public": "flm-public-key-00000000000",
    "redacted": "flm-redacted-key-000000",
}


def request_of(rnd: random.Random, surface: str, words: str) -> dict[str, Any]:
    """The words somewhere a plant's data may stand: text, system, tool results, tool schemas, unknown
    fields, keys."""
    where = rnd.choice(("user", "system", "tool", "schema", "field", "key", "part", "escaped"))
    text = {"escaped": words.replace("r", "\\u0072"), "part": "see part"}.get(
        where, words if where == "user" else "look"
    )
    body: dict[str, Any] = {"model": rnd.choice(MODELS), "stream": rnd.random() < 0.4}
    content: Any = [{"type": "text", "text": words}] if where == "part" else text
    if surface.endswith("embeddings"):
        return {"model": body["model"], "input": [words, "x"]}
    if surface.endswith("responses"):
        body |= {"input": words if where == "user" else [{"role": "user", "content": words}]}
    else:
        body |= {"messages": [{"role": "user", "content": content}], "max_tokens": 50}
    if where == "system":
        body["instructions" if surface.endswith("responses") else "system"] = words
    if where == "schema":
        body["tools"] = [{"type": "function", "function": {"name": "t", "description": words, "parameters": {}}}]
    if where == "field":
        body["unknown"] = {"deep": [words]}
    if where == "key":
        body["metadata"] = {words: "x"}
    return body


def headers_of(rnd: random.Random) -> tuple[dict[str, str], str]:
    """Headers and the class they come to; headers may claim what they like."""
    key = rnd.choice(["plant", "public", "redacted"])
    headers = {"Authorization": f"Bearer {KEYS[key]}"}
    claim = rnd.choice(["", "", "plant", "redacted", "public", "PUBLIC ", "secret"])
    if claim:
        headers["X-FactoryLM-Data-Class"] = claim
    if rnd.random() < 0.3:
        headers["X-FactoryLM-Skill"] = rnd.choice(["alarms", "lunch"])
    order = ["plant", "redacted", "public"]
    classes = [key, *([claim.strip().lower()] if claim.strip().lower() in order else [])]
    if headers.get("X-FactoryLM-Skill") == "alarms":
        classes.append("plant")
    return headers, min(classes, key=order.index)


TABLES = """
[policy]
skills = { alarms = "plant" }
[[policy.rules]]
pattern = "(?i)confidential"
[policy.redact]
names = ["Herr Maier", "recipe-4711"]
tags = ["pump1.speed"]
[routing]
shadow_share = 1
premium_calls_per_right_answer = 100
""" + "".join(f'[keys.{name}]\nsha256 = "{key_digest(key)}"\ndata_class = "{name}"\n' for name, key in KEYS.items())


async def test_no_plant_byte_leaves_in_600_generated_cases(plant: Any, script: Any):
    rnd = random.Random(20261120)
    everything = itertools.cycle(FAULTS)
    for name in ("cheap", "second", "premium", "claude"):
        plant.outside.models[name] = script(name, lambda chat: Said(text="The answer is 5."), faults=everything)
    plant.site.models["local"] = script(
        "local", lambda chat: Said(text=""), faults=itertools.cycle(("", "500", "close"))
    )
    plant.outside.redirect_to = "http://127.0.0.1:9/v1/chat/completions"
    statuses: dict[int, int] = {}
    async with plant.running(TABLES):
        text = plant.file.read_text().replace("[models.local]", '[models.local]\nfallbacks = ["cheap", "premium"]')
        plant.file.write_text(text.replace("stall_timeout_s = 5", "stall_timeout_s = 5\nretries = 1"))
        assert plant.service.reload()

        async def one(number: int) -> None:
            headers, data_class = headers_of(rnd)
            words = f"{SECRET} case-{number}-{data_class}" + (" Confidential" if rnd.random() < 0.2 else "")
            surface = SURFACES[number % 4] if number % 7 else SURFACES[0]
            body = request_of(rnd, surface, words)
            async with plant.http.post(plant.url + surface, json=body, headers=headers) as response:
                await response.read()
                statuses[response.status] = statuses.get(response.status, 0) + 1

        for start in range(0, CASES, 20):
            await asyncio.gather(*(one(number) for number in range(start, start + 20)))
            for name in plant.service.providers._providers.values():
                name.breakers.clear()  # every batch meets closed breakers
        await plant.service.chooser.settled()
        await plant.service.gateway.settled()
    sent = [orjson.dumps(request).decode() for request in plant.outside.requests]
    assert not [request for request in sent if re.search(r"case-\d+-plant", request)]
    assert not [request for request in sent if "Confidential" in request]
    redacted = [request for request in sent if re.search(r"case-\d+-redacted", request)]
    assert redacted
    assert not [request for request in redacted if "4711" in request or "pump1" in request]
    assert [request for request in sent if re.search(r"case-\d+-public", request)], "public data does leave"
    assert [r for r in plant.site.requests if "case-" in str(r) and "-plant" in str(r)], (
        "plant data is answered on site"
    )
    told = [value for headers in plant.outside.headers for value in headers.values()]
    assert not [value for value in told if "flm-" in value and not value.startswith("flm-0") and value in KEYS.values()]
    assert {200, 400, 403} <= set(statuses)


async def test_without_a_model_on_site_plant_requests_open_no_socket_at_all(plant: Any, monkeypatch: Any):
    async with plant.running():
        text = plant.file.read_text().replace('local = ["local"]', "")
        plant.file.write_text(text)
        assert plant.service.reload()
        opened: list[Any] = []
        real = socket.socket.connect

        def connect(self: Any, address: Any) -> Any:
            opened.append(address)
            return real(self, address)

        monkeypatch.setattr(socket.socket, "connect", connect)
        before = len(opened)
        status, body, _ = await plant.chat("auto", SECRET)
    assert (status, body["error"]["code"]) == (403, "data_policy")
    assert [address for address in opened[before:] if address[1] == plant.outside.port] == []


@pytest.mark.parametrize("url", ["https://8.8.8.8/v1", "https://[2001:4860:4860::8888]/v1"])
def test_an_address_of_the_internet_is_not_on_site(tmp_path: Any, url: str):
    from factorylm_router.config import load_config

    path = tmp_path / "router.toml"
    path.write_text(f'[providers.x]\nurl = "{url}"\nwhere = "plant"\n[models]\n')
    with pytest.raises(ConfigError, match="is a public address"):
        load_config(path)


async def test_a_name_on_site_that_resolves_to_the_internet_is_never_dialled(plant: Any, monkeypatch: Any):
    async def poisoned(host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    async with plant.running():
        plant.file.write_text(plant.file.read_text().replace(plant.urls[1], "http://llm.plant.local/v1"))
        assert plant.service.reload()
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", poisoned)
        status, body, _ = await plant.chat("local", SECRET)
        with pytest.raises(OSError, match="resolves to a public address"):
            await addresses("llm.plant.local", 443, on_site=True)
    assert (status, body["error"]["code"]) == (502, "upstream_failed")


CONFIG = RedactConfig(names=("Herr Maier", "Müller & Söhne"), tags=("pump1.speed", "tank 2 level"))


@pytest.mark.parametrize(
    "text",
    [
        "Herr Maier set pump1.speed = 1450.5 at 10.0.0.5:502",
        'rows: [["pump1.speed", 1450, "/min"], ["tank 2 level", -3.5, "m"]]',
        "write to m.maier@plant.example or https://scada.plant.example/x?y=1, MAC 00:1b:44:11:3a:b7",
        "fe80::1ff:fe23:4567:890a and 2001:db8::1 answer; PUMP1.SPEED is 7",
        "Müller & Söhne wrote [[TAG-1]] and [[NAME-2]] themselves",
    ],
)
def test_what_was_hidden_comes_back_whole_and_nothing_named_leaves(text: str):
    redaction = Redaction(CONFIG)
    hidden = redaction.hidden({"messages": [{"role": "user", "content": text}]})["messages"][0]["content"]
    for secret in ("Maier", "pump1", "1450", "10.0.0.5", "plant.example", "3a:b7", "fe80", "Söhne", "tank 2"):
        assert secret.lower() not in hidden.lower()
    assert redaction.shown(hidden) == text


def test_a_value_beside_its_tag_in_tool_arguments_is_hidden():
    hidden = Redaction(CONFIG).hidden({"input": {"tag": "pump1.speed", "value": 1450}})
    assert "1450" not in str(hidden)


@pytest.mark.parametrize("size", range(1, 12))
def test_a_placeholder_cut_over_chunks_is_put_back(size: int):
    redaction = Redaction(CONFIG)
    hidden = redaction.hidden('pump1.speed of "Herr Maier" [ok] [[x]]')
    restorer, out = StreamRestorer(redaction), ""
    pieces = [hidden[start : start + size] for start in range(0, len(hidden), size)]
    for number, piece in enumerate([*pieces, ""]):
        finish = "stop" if number == len(pieces) else None
        delta = {"content": piece, "reasoning_content": piece}
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        restorer.restore(chunk)
        assert delta["reasoning_content"] == delta["content"]
        out += delta["content"]
    assert out == 'pump1.speed of "Herr Maier" [ok] [[x]]'


def test_pictures_of_class_redacted_stay():
    with pytest.raises(PolicyRefusedError, match="cannot be redacted"):
        Redaction(CONFIG).hidden([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}])


async def test_redacted_requests_are_answered_with_the_real_names(plant: Any, script: Any):
    def parrot(chat: dict[str, Any]) -> Said:
        words = chat["messages"][-1]["content"]
        return Said(text=words, calls=(("write_tag", orjson.dumps({"tag": words.split()[0]}).decode()),), pieces=9)

    plant.outside.models["cheap"] = script("cheap", parrot)
    key = {"Authorization": f"Bearer {KEYS['redacted']}"}
    async with plant.running(TABLES):
        _, whole, _ = await plant.chat("cheap", "pump1.speed = 1450 says Herr Maier", headers=key)
        body = {
            "model": "cheap",
            "stream": True,
            "messages": [{"role": "user", "content": "pump1.speed = 1450"}],
        }
        async with plant.http.post(plant.url + "/v1/chat/completions", json=body, headers=key) as response:
            stream = [
                orjson.loads(line[6:]) for line in (await response.text()).splitlines() if line.startswith("data: {")
            ]
    message = whole["choices"][0]["message"]
    assert message["content"] == "pump1.speed = 1450 says Herr Maier"
    assert orjson.loads(message["tool_calls"][0]["function"]["arguments"]) == {"tag": "pump1.speed"}
    deltas = [choice["delta"] for chunk in stream for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "pump1.speed = 1450"
    calls = [call["function"].get("arguments", "") for delta in deltas for call in delta.get("tool_calls", [])]
    assert orjson.loads("".join(calls)) == {"tag": "pump1.speed"}
    assert "pump1" not in str(plant.outside.requests)


def test_every_class_has_its_place_in_the_order():
    from factorylm_router.config import STRICTNESS

    assert set(STRICTNESS) == set(DataClass)
