"""Recorded answers of many models to the same questions: read them, and let a policy decide on them.

A policy gets a `Caller` that hands out an answer only when it is called, so it cannot look at anything
else."""

import gzip
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from factorylm_router.answers import comparable, final_answer
from factorylm_router.cascade import worth_cascading
from factorylm_router.errors import ConfigError
from factorylm_router.features import Observation, Question
from factorylm_router.fitting import Batch, Compared

USUAL_TOKENS = (200.0, 130.0)
MOST_ROWS = 1500
MOST_BATCHES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Roles for a replay: cheap models in the order they are asked, premium, and the price of each."""

    cheap: tuple[str, ...]
    premium: str
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def shares(self, tokens: tuple[float, float] = USUAL_TOKENS) -> tuple[float, ...]:
        """What a call of each cheap model is expected to cost beside one of premium; from the price list
        alone."""
        into, out = tokens
        if any(name not in self.prices for name in (*self.cheap, self.premium)):
            return tuple(0.05 for _ in self.cheap)
        dear = self.prices[self.premium]
        whole = dear[0] * into + dear[1] * out
        return tuple((p[0] * into + p[1] * out) / whole for p in (self.prices[name] for name in self.cheap))

    def by_price(self) -> "Case":
        """The cheapest first: order matters for cost, not for quality."""
        shares = dict(zip(self.cheap, self.shares(), strict=True))
        return Case(cheap=tuple(sorted(self.cheap, key=shares.__getitem__)), premium=self.premium, prices=self.prices)

    @property
    def is_worth_it(self) -> bool:
        return worth_cascading(self.shares())


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    id: str
    dataset: str
    kind: str
    question: Question
    models: Mapping[str, Mapping[str, Any]]

    def observation(self, model: str) -> Observation:
        record = self.models[model]
        answer, text = comparable(self.kind, record.get("answer")), record.get("response") or ""
        return Observation(
            answer=answer,
            text=text,
            out_tokens=int(record.get("out_tokens") or 0),
            # Some sources record no extracted answers: that says nothing against the text.
            ends_in_one=answer is not None or final_answer(self.kind, {"content": text})[1] is not None,
        )

    def score(self, model: str) -> float | None:
        score = self.models.get(model, {}).get("score")
        return None if score is None else float(score)


def read_rows(path: Path) -> Iterator[Row]:
    """One row a line, gzip or plain; a bad line is named by its number."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(path, number, line)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", hint="give .jsonl or .jsonl.gz files"
        ) from error


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        told = orjson.loads(line)
        models = told["models"]
        if not isinstance(models, dict) or not isinstance(told["id"], str):
            raise TypeError("'models' must be an object and 'id' a text")  # noqa: TRY301 -- told with its line
        question = Question(prompt=told.get("prompt") or "", options=int(told.get("options") or 0))
        dataset, kind = str(told.get("dataset") or path.name.split(".")[0]), str(told.get("kind") or "text")
        return Row(id=told["id"], dataset=dataset, kind=kind, question=question, models=models)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}, line {number}: not a row of recorded answers: {error}") from error


def read_sets(path: Path) -> dict[str, Any]:
    try:
        told = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="give the sets.json beside the data with --sets"
        ) from error
    if not isinstance(told, dict):
        raise ConfigError(f"{path} must hold an object of data sets")
    return told


def case_of(sets: Mapping[str, Any], dataset: str, name: str) -> Case:
    if dataset not in sets:
        raise ConfigError(f"no data set {dataset!r} in the sets file", hint=f"it holds {', '.join(sets)}")
    cases = sets[dataset].get("cases") or {}
    if name not in cases:
        raise ConfigError(f"no case {name!r} for {dataset}", hint=f"its cases are {', '.join(cases)}")
    return _case(cases[name], sets[dataset])


def _case(roles: Mapping[str, Any], table: Mapping[str, Any]) -> Case:
    listed = table.get("usd_per_million_tokens_in_out") or {}
    prices = {name: (float(p[0]), float(p[1])) for name, p in listed.items()}
    return Case(cheap=tuple(roles["cheap"]), premium=roles["premium"], prices=prices)


# -- deciding -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Caller:
    """The only way a policy gets at answers; it keeps the list of calls."""

    row: Row
    called: list[str] = field(default_factory=list)

    def call(self, model: str) -> Observation | None:
        """None if nobody recorded this model's answer: then there is nothing to look at."""
        self.called.append(model)
        return self.row.observation(model) if model in self.row.models else None


Policy = Callable[[Question, Case, Caller], str | None]


@dataclass(frozen=True, slots=True)
class Decision:
    id: str
    accepted: str | None
    called: tuple[str, ...]

    def line(self) -> bytes:
        return orjson.dumps({"id": self.id, "accepted": self.accepted, "called": self.called}) + b"\n"


def decide(policy: Policy, row: Row, case: Case) -> Decision:
    caller = Caller(row)
    accepted = policy(row.question, case, caller)
    return Decision(row.id, accepted, tuple(caller.called))


# -- fitting ------------------------------------------------------------------------------------------


def batches_of(
    paths: Sequence[Path], sets: Mapping[str, Any], *, leave_out: frozenset[str] = frozenset()
) -> list[Batch]:
    """Every usable choice of three cheap models and a premium in these files; `leave_out` are question
    texts."""
    found: list[Batch] = []
    for path in paths:
        rows = [row for row in read_rows(path) if same_question(row.question) not in leave_out]
        for name, case in fitting_cases(rows, sets):
            batch = _batch(f"{path.name.split('.')[0]}/{name}", rows, case.by_price())
            if batch.rows:
                found.append(batch)
    return found


def same_question(question: Question) -> str:
    """The same question may stand in several files under several ids: compare the text."""
    return "".join(c for c in question.prompt.casefold() if c.isalnum())


def fitting_cases(rows: Sequence[Row], sets: Mapping[str, Any]) -> list[tuple[str, Case]]:
    """The cases of the sets file, and more from the same models: a verifier that has seen many teams
    transfers better."""
    datasets = dict.fromkeys(row.dataset for row in rows)
    found = [
        (name, case_of(sets, dataset, name))
        for dataset in datasets
        if dataset in sets
        for name, roles in (sets[dataset].get("cases") or {}).items()
        if len(roles["cheap"]) == 3
    ]
    seen = {(frozenset(case.cheap), case.premium) for _, case in found}
    for number, case in enumerate(_more_cases(rows, [case for _, case in found])):
        if (frozenset(case.cheap), case.premium) not in seen and len(found) < MOST_BATCHES:
            found.append((f"team {number + 1}", case))
    return found


def _more_cases(rows: Sequence[Row], known: Sequence[Case]) -> Iterator[Case]:
    """Teams of three neighbours in cost below the dearest models."""
    costs = mean_costs(rows)
    ranked = sorted(costs, key=costs.__getitem__)
    prices = {name: (0.0, cost) for name, cost in costs.items()}
    dearest = list(dict.fromkeys([*reversed(ranked[-2:]), *(case.premium for case in known)]))
    for place in range(0, len(ranked) - 2, 2):
        premium = dearest[(place // 2) % len(dearest)]
        team = [name for name in ranked if name != premium][place : place + 3]
        if len(team) == 3 and costs[team[-1]] < 0.4 * costs[premium]:
            yield Case(cheap=tuple(team), premium=premium, prices=prices)


def mean_costs(rows: Sequence[Row]) -> dict[str, float]:
    """Mean cost of each model that answered and was scored on nearly all rows."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        for name, record in row.models.items():
            if record.get("score") is not None and record.get("cost_usd") is not None:
                sums.setdefault(name, []).append(float(record["cost_usd"]))
    return {name: math.fsum(found) / len(found) for name, found in sums.items() if len(found) > 0.9 * len(rows)}


def _batch(name: str, rows: Iterable[Row], case: Case) -> Batch:
    models = (*case.cheap, case.premium)
    usable = [row for row in rows if all(row.score(model) is not None for model in models)]
    usable = usable[:: max(1, len(usable) // MOST_ROWS)][:MOST_ROWS]
    compared = [
        Compared(
            question=row.question,
            cheap=tuple(row.observation(model) for model in case.cheap),
            scores=tuple(float(row.score(model) or 0) for model in case.cheap),
            premium_score=float(row.score(case.premium) or 0),
        )
        for row in usable
    ]
    return Batch(name=name, rows=compared, costs=case.shares())
