"""Counters in memory: what Prometheus scrapes and what the dashboard shows between two looks at the books."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from factorylm_router.attempt import Job
from factorylm_router.ledger import LedgerRow, Purpose, Status

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
Labels = tuple[str, ...]


class Meters:
    """Sums only; one update per request. Labels are configured names, never anything a client wrote."""

    def __init__(self) -> None:
        self.requests: dict[Labels, int] = defaultdict(int)
        self.attempts: dict[Labels, int] = defaultdict(int)
        self.tokens: dict[Labels, int] = defaultdict(int)
        self.cost_micro: dict[Labels, int] = defaultdict(int)
        self.premium_micro = 0
        self.escalations = 0
        self.refusals: dict[Labels, int] = defaultdict(int)
        self.seconds: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))
        self.seconds_sum: dict[str, float] = defaultdict(float)

    def see(self, job: Job, rows: Sequence[LedgerRow]) -> None:
        """One request's books have closed."""
        if not rows:
            return
        status = Status.OK if any(row.status == Status.OK for row in rows) else rows[-1].status
        self.requests[job.surface, status, job.ruling.data_class] += 1
        for row in rows:
            self._see_row(row)

    def _see_row(self, row: LedgerRow) -> None:
        if row.status == Status.REFUSED:
            self.refusals[(row.trouble,)] += 1
            return
        self.attempts[row.model, row.status, row.purpose] += 1
        self.tokens[row.model, "in"] += row.in_tokens
        self.tokens[row.model, "out"] += row.out_tokens
        self.cost_micro[row.model, row.cost_source] += row.cost_micro
        self.premium_micro += row.premium_micro
        self.escalations += row.purpose == Purpose.ESCALATION
        seconds = row.latency_ms / 1000
        place = next((n for n, bound in enumerate(BUCKETS_S) if seconds <= bound), len(BUCKETS_S))
        self.seconds[row.model][place] += 1
        self.seconds_sum[row.model] += seconds


def exposition(meters: Meters, gauges: Mapping[str, float], breakers: Mapping[str, str]) -> str:
    """Prometheus' text format, version 0.0.4."""
    return "\n".join(_lines(meters, gauges, breakers)) + "\n"


def _lines(meters: Meters, gauges: Mapping[str, float], breakers: Mapping[str, str]) -> Iterator[str]:
    yield from _counter("requests_total", "Client requests", meters.requests, ("surface", "status", "data_class"))
    yield from _counter("attempts_total", "Calls to models", meters.attempts, ("model", "status", "purpose"))
    yield from _counter("tokens_total", "Tokens", meters.tokens, ("model", "direction"))
    yield from _counter("cost_microdollars_total", "Cost", meters.cost_micro, ("model", "source"))
    yield from _counter("refusals_total", "Requests refused here", meters.refusals, ("reason",))
    premium: dict[Labels, int] = {(): meters.premium_micro}
    yield from _counter("premium_microdollars_total", "What premium alone would have cost", premium, ())
    escalations: dict[Labels, int] = {(): meters.escalations}
    yield from _counter("escalations_total", "Requests sent up", escalations, ())
    yield "# TYPE factorylm_router_attempt_seconds histogram"
    for model, counts in sorted(meters.seconds.items()):
        yield from _histogram(model, counts, meters.seconds_sum[model])
    for name, value in gauges.items():
        yield f"# TYPE factorylm_router_{name} gauge"
        yield f"factorylm_router_{name} {value:g}"
    yield "# TYPE factorylm_router_breaker_open gauge"
    for name, state in sorted(breakers.items()):
        yield f'factorylm_router_breaker_open{{model="{_escaped(name)}"}} {int(state != "closed")}'


def _counter(name: str, told: str, values: Mapping[Labels, int], labels: Labels) -> Iterator[str]:
    yield f"# HELP factorylm_router_{name} {told}"
    yield f"# TYPE factorylm_router_{name} counter"
    for key, value in sorted(values.items()):
        pairs = ",".join(f'{label}="{_escaped(part)}"' for label, part in zip(labels, key, strict=True))
        yield f"factorylm_router_{name}{{{pairs}}} {value}" if pairs else f"factorylm_router_{name} {value}"


def _histogram(model: str, counts: list[int], seconds_sum: float) -> Iterator[str]:
    name, label = "factorylm_router_attempt_seconds", f'model="{_escaped(model)}"'
    total = 0
    for bound, count in zip((*BUCKETS_S, float("inf")), counts, strict=True):
        total += count
        told = "+Inf" if bound == float("inf") else f"{bound:g}"
        yield f'{name}_bucket{{{label},le="{told}"}} {total}'
    yield f"{name}_sum{{{label}}} {seconds_sum:g}"
    yield f"{name}_count{{{label}}} {total}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
