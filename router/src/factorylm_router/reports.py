"""Answers on the command line: why, how much, what was learned. They read the state; they change nothing
but estimates."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from factorylm_router.config import KeyConfig, key_digest, load_config
from factorylm_router.errors import ConfigError
from factorylm_router.learning import quality_of, recalibrated
from factorylm_router.ledger import LedgerRow, Total
from factorylm_router.money import dollars, micro_from_dollars
from factorylm_router.places import Places
from factorylm_router.policy import Caller, judge_class
from factorylm_router.routes import AutoQuestion, auto_route, named_route
from factorylm_router.scorer import guess_text
from factorylm_router.state import State, open_state
from factorylm_router.trial import as_text, on_trial, standing
from factorylm_router.verifier import load_verifier


@asynccontextmanager
async def _state_of(path: Path) -> AsyncIterator[State]:
    places = Places.of(load_config(path).server, path)
    state = open_state(places.state, places.spool)
    await state.open()
    try:
        yield state
    finally:
        await state.close()


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def table(head: list[str], lines: list[list[str]]) -> str:
    """Columns as wide as they must be; numbers to the right."""
    widths = [max(len(line[n]) for line in [head, *lines]) for n in range(len(head))]
    told = [
        "  ".join(c.ljust(w) if n == 0 else c.rjust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in [head, *lines]
    ]
    return "\n".join(line.rstrip() for line in told)


async def explain_request(path: Path, request_id: str, *, as_json: bool) -> str:
    async with _state_of(path) as state:
        rows = sorted(await state.rows(request_id=request_id), key=lambda row: (row.at_ms, row.attempt_id))
    if not rows:
        raise ConfigError(
            f"no request {request_id!r} in the ledger", hint="take the X-FactoryLM-Request-Id of an answer"
        )
    if as_json:
        return _json([row.as_dict() for row in rows])
    return _explained(rows)


def _explained(rows: list[LedgerRow]) -> str:
    decided = next((row for row in rows if row.premium_micro), rows[-1])
    cost, premium = sum(row.cost_micro for row in rows), sum(row.premium_micro for row in rows)
    lines = [f"{decided.request_id}: {decided.why}", f"data class {decided.data_class}, key {decided.key}"]
    lines += [
        f"  {row.purpose:10s} {row.model:24s} {row.status:8s} {row.trouble:12s} {row.latency_ms:6d} ms  "
        f"{row.in_tokens} + {row.out_tokens} tokens  ${dollars(row.cost_micro)} ({row.cost_source})"
        for row in rows
    ]
    lines.append(f"cost ${dollars(cost)}; premium alone would have cost about ${dollars(premium)}")
    return "\n".join(lines)


def explain_prompt(path: Path, prompt: str, model: str, data_class: str | None, *, stream: bool, as_json: bool) -> str:
    """Where this would go, without sending anything."""
    config = load_config(path)
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    ruling = judge_class(config.policy, Caller(name="you", rules=None), data_class, body)
    guess = guess_text(prompt)
    question = AutoQuestion(
        stream=stream, has_tools=False, surface="chat", guess=guess, pinned=None, short_deadline=False
    )
    route = auto_route(config, ruling, question) if model == "auto" else named_route(config, ruling, model)
    told = {
        "data_class": ruling.data_class.value,
        "because": ruling.reason,
        "prompt_looks": guess,
        "mode": route.mode,
        "models": list(route.models),
        "why": route.why,
    }
    return _json(told) if as_json else "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in told.items())


async def costs(path: Path, by: str, days: float, *, as_json: bool) -> str:
    since = int((time.time() - days * 86400) * 1000)
    async with _state_of(path) as state:
        totals = await state.totals(by, since)
    if as_json:
        return _json([{**asdict(total), "saved_micro": total.premium_micro - total.cost_micro} for total in totals])
    head = [by, "requests", "attempts", "tokens in", "tokens out", "cost $", "premium $"]
    return table(head, [_cost_line(total) for total in totals])


def _cost_line(total: Total) -> list[str]:
    counts = (total.requests, total.attempts, total.in_tokens, total.out_tokens)
    return [total.group or "-", *map(str, counts), dollars(total.cost_micro), dollars(total.premium_micro)]


async def settle_statement(path: Path, statement: Path) -> str:
    """Put the provider's own amounts in place of ours."""
    told = _read_statement(statement)
    async with _state_of(path) as state:
        found = [await state.correct(attempt, micro) for attempt, micro in told]
    return f"{sum(found)} attempts settled, {len(found) - sum(found)} unknown here"


def _read_statement(statement: Path) -> list[tuple[str, int]]:
    try:
        lines = [orjson.loads(line) for line in statement.read_bytes().splitlines() if line.strip()]
        return [(str(line["attempt_id"]), micro_from_dollars(line["cost_usd"])) for line in lines]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ArithmeticError) as error:
        raise ConfigError(
            f"{statement} is no statement: {error!r}", hint='lines of {"attempt_id": …, "cost_usd": …}'
        ) from error


async def learn(path: Path, out: Path) -> str:
    config = load_config(path)
    async with _state_of(path) as state:
        samples = await state.samples()
    told = [sample for sample in samples if sample.get("agreed") is not None]
    quality = quality_of(sum(bool(s["agreed"]) for s in told), len(told))
    refit = recalibrated(load_verifier(config.routing.verifier_file), samples)
    if quality is None or refit is None:
        raise ConfigError(
            f"{len(told)} comparable shadow samples are too few",
            hint="200 are needed; raise routing.shadow_share",
        )
    interval = f"{quality.low:.1%} to {quality.high:.1%}, {len(told)} samples"
    said = f"premium agreed with {quality.share:.1%} of accepted answers ({interval})"
    compared = f"log loss on the half not fitted on: {refit.loss_before:.4f} before, {refit.loss_after:.4f} after"
    if not refit.is_better:
        return f"{said}\n{compared}\nthe verifier in use stays"
    await asyncio.to_thread(out.write_bytes, refit.verifier.as_json())
    return f"{said}\n{compared}\nwritten: {out}; name it as routing.verifier_file to use it"


async def trial(path: Path) -> str:
    challenger = on_trial(load_config(path).routing)
    if challenger is None:
        raise ConfigError("no verifier is on trial", hint="name one as routing.challenger_file")
    async with _state_of(path) as state:
        return as_text(standing(await state.samples(), challenger.name))


def new_key(name: str) -> str:
    key = "flm-" + secrets.token_urlsafe(32)
    KeyConfig(sha256=key_digest(key))
    return (
        f"key (shown only now): {key}\n\nput into the configuration:\n\n"
        f'[keys.{name}]\nsha256 = "{key_digest(key)}"\ndata_class = "plant"   # plant, redacted or public\n'
        f'budget_usd = 10\nperiod = "month"'
    )


def config_for_simulation(outside: str, site: str, port: int, folder: Path) -> str:
    """A whole configuration in front of scripted models; also an example to start from."""
    return f"""[server]
port = {port}
state = "sqlite:{(folder / "router.db").as_posix()}"
plant = "Simulated plant"

[providers.outside]
url = "{outside}"

[providers.site]
url = "{site}"
where = "plant"

[models.tiny-local]
provider = "site"
price = {{ input = 0, output = 0, as_of = 2026-11-01 }}

[models.small-one]
provider = "outside"
price = {{ input = 0.10, output = 0.50, as_of = 2026-11-01 }}

[models.big-one]
provider = "outside"
price = {{ input = 4, output = 20, as_of = 2026-11-01 }}

[roles]
local = ["tiny-local"]
cheap = ["small-one"]
premium = ["big-one"]

[policy]
default_class = "public"   # nothing here is real; leave this line out in a plant
"""
