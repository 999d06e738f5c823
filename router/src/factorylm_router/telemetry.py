"""OpenTelemetry GenAI spans, one per attempt, sent as OTLP/JSON in the background. No prompt, no answer,
no key.

Attribute names follow the GenAI semantic conventions 1.38, which are still in development: pinned here."""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp
import orjson

from factorylm_router.attempt import Job
from factorylm_router.ledger import LedgerRow, Status

log = logging.getLogger("factorylm.router")
BATCH = 512
KEPT = 10_000
EVERY_S = 2.0
SCHEMA_URL = "https://opentelemetry.io/schemas/1.38.0"
OPERATIONS = {"chat": "chat", "messages": "chat", "responses": "chat", "embeddings": "embeddings"}


class SpanSender:
    """Collects finished rows and posts them. A collector that is away costs spans, never traffic."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/v1/traces"
        self._rows: deque[LedgerRow] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None
        self._was_away = False

    def see(self, _job: Job, rows: Sequence[LedgerRow]) -> None:
        self._rows.extend(rows)

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.send()
            await self._session.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.send()

    async def send(self) -> None:
        while self._rows:
            batch = [self._rows.popleft() for _ in range(min(BATCH, len(self._rows)))]
            try:
                async with self._session.post(
                    self._url,
                    data=orjson.dumps(spans_of(batch)),
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,
                ) as response:
                    away = response.status >= 300
            except (aiohttp.ClientError, OSError, TimeoutError):
                away = True
            if away is not self._was_away:
                self._was_away = away
                log.warning("the trace collector is away" if away else "the trace collector is back")
            if away:
                return


def spans_of(rows: Iterable[LedgerRow]) -> dict[str, Any]:
    """An OTLP/JSON ExportTraceServiceRequest."""
    scope = {"name": "factorylm-router", "version": "0.1.0"}
    spans = [_span(row) for row in rows]
    resource = {"attributes": [_attribute("service.name", "factorylm-router")]}
    scoped = {"scope": scope, "spans": spans, "schemaUrl": SCHEMA_URL}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}


def _span(row: LedgerRow) -> dict[str, Any]:
    operation = OPERATIONS.get(row.surface, row.surface)
    told: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": row.provider,
        "gen_ai.request.model": row.model,
        "gen_ai.response.id": row.upstream_id,
        "gen_ai.usage.input_tokens": row.in_tokens,
        "gen_ai.usage.output_tokens": row.out_tokens,
        "factorylm.cost_microdollars": row.cost_micro,
        "factorylm.purpose": row.purpose,
        "factorylm.data_class": row.data_class,
        "factorylm.status": row.status,
    }
    failed = row.status in (Status.FAILED, Status.REFUSED)
    if failed:
        told["error.type"] = row.trouble
    return {
        "traceId": hashlib.sha256(row.request_id.encode()).hexdigest()[:32],
        "spanId": hashlib.sha256(row.attempt_id.encode()).hexdigest()[:16],
        "name": f"{operation} {row.model}".strip(),
        "kind": 3,
        "startTimeUnixNano": str(row.at_ms * 1_000_000),
        "endTimeUnixNano": str((row.at_ms + row.latency_ms) * 1_000_000),
        "attributes": [_attribute(name, value) for name, value in told.items() if value != ""],
        "status": {"code": 2 if failed else 1},
    }


def _attribute(name: str, value: str | int) -> dict[str, Any]:
    told = {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}
    return {"key": name, "value": told}
