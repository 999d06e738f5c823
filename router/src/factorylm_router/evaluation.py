"""`eval`: one decision per recorded row, and what it comes to where the scores are known."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from factorylm_router.errors import ConfigError
from factorylm_router.fitting import DEFAULT_RATE, Batch, fit_verifier
from factorylm_router.learning import sequential_test
from factorylm_router.policies import FITTED, PLAIN
from factorylm_router.replay import (
    Case,
    Decision,
    Policy,
    Row,
    batches_of,
    case_of,
    decide,
    read_rows,
    read_sets,
    same_question,
)
from factorylm_router.verifier import Verifier, load_verifier


@dataclass(slots=True, kw_only=True)
class Report:
    """Quality, saved and escalated as defined beside the data; None where nothing could be judged."""

    policy: str
    case: str
    rows: int = 0
    judged: int = 0
    escalated_percent: float | None = None
    quality_percent: float | None = None
    saved_percent: float | None = None
    usd_per_query: float | None = None
    premium_usd_per_query: float | None = None
    verifier: str = ""
    cascades: bool = True

    def as_json(self) -> str:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2).decode() + "\n"

    def as_text(self) -> str:
        lines = [f"{self.policy} on case {self.case}: {self.rows} rows, {self.judged} of them judged"]
        if self.quality_percent is not None and self.saved_percent is not None:
            lines.append(
                f"quality {self.quality_percent:.1f} % of premium, saved {self.saved_percent:.1f} %, "
                f"escalated {self.escalated_percent:.1f} %, ${self.usd_per_query:.6f} a query "
                f"(premium ${self.premium_usd_per_query:.6f})"
            )
        else:
            lines.append("quality unknown: no row has scores and costs of every model of the case")
        if not self.cascades:
            lines.append("no cascade: premium costs too little more than the cheap models, it would lose money")
        return "\n".join(lines) + "\n"


class Tally:
    """Sums over the rows that hold every model of the case with score and cost."""

    def __init__(self) -> None:
        self.rows = self.judged = self.escalated = 0
        self.score = self.premium_score = self.cost = self.premium_cost = 0.0

    def add(self, row: Row, case: Case, decision: Decision) -> None:
        self.rows += 1
        models = (*case.cheap, case.premium)
        records = [row.models.get(model, {}) for model in models]
        if any(record.get("score") is None or record.get("cost_usd") is None for record in records):
            return
        self.judged += 1
        self.escalated += case.premium in decision.called
        self.score += (row.score(decision.accepted) or 0.0) if decision.accepted else 0.0
        self.premium_score += row.score(case.premium) or 0.0
        self.cost += sum(float(row.models[name]["cost_usd"]) for name in decision.called)
        self.premium_cost += float(row.models[case.premium]["cost_usd"])

    def into(self, report: Report) -> Report:
        report.rows, report.judged = self.rows, self.judged
        if self.judged and self.premium_score and self.premium_cost:
            report.quality_percent = 100 * self.score / self.premium_score
            report.saved_percent = 100 * (1 - self.cost / self.premium_cost)
            report.escalated_percent = 100 * self.escalated / self.judged
            report.usd_per_query = self.cost / self.judged
            report.premium_usd_per_query = self.premium_cost / self.judged
        return report


def evaluate(
    data: Sequence[Path],
    sets_path: Path,
    case_name: str,
    policy_name: str,
    fit: Sequence[Path],
    out: Path,
    *,
    rate: float | None = None,
    split_by_text: bool = True,
) -> Report:
    """Decide on every row of `data` and write the decisions; fit on `fit`, never on a question that is
    judged."""
    sets = read_sets(sets_path)
    judged_questions = frozenset(
        same_question(r.question) for path in data for r in read_rows(path) if split_by_text and fit
    )
    batches = batches_of(fit, sets, leave_out=judged_questions) if fit and policy_name in FITTED else None
    report = Report(policy=policy_name, case=case_name)
    tally = Tally()
    policies: dict[str, tuple[Case, Policy]] = {}
    with out.open("wb") as lines:
        for row in _all_rows(data):
            if row.dataset not in policies:
                case = case_of(sets, row.dataset, case_name)
                verifier = _verifier_for(case, batches, rate)
                policies[row.dataset] = (case, _policy(policy_name, verifier))
                report.verifier = verifier.fitted_on
                report.cascades = case.is_worth_it or policy_name not in FITTED
            case, policy = policies[row.dataset]
            decision = decide(policy, row, case)
            lines.write(decision.line())
            tally.add(row, case, decision)
    return tally.into(report)


def _all_rows(data: Sequence[Path]) -> Iterator[Row]:
    for path in data:
        yield from read_rows(path)


def _policy(name: str, verifier: Verifier) -> Policy:
    if name in FITTED:
        return FITTED[name](verifier)
    if name in PLAIN:
        return PLAIN[name]
    raise ConfigError(f"no policy {name!r}", hint=f"there are {', '.join((*FITTED, *PLAIN))}")


def _verifier_for(case: Case, batches: list[Batch] | None, rate: float | None) -> Verifier:
    """Fitted for this case's prices, which are known before any call; or the one that ships."""
    if batches is None:
        return load_verifier()
    shares = [*case.by_price().shares(), 0.05, 0.05][:3]
    return fit_verifier(batches, shares, rate or DEFAULT_RATE)


def compare(data: Sequence[Path], old: Path, new: Path) -> str:
    """Two policies' decisions on the same rows: Wald's test on those where only one of them was right."""
    accepted = {name: _accepted(path) for name, path in (("old", old), ("new", new))}
    wins = losses = rows = 0
    for row in _all_rows(data):
        scores = [row.score(name) if (name := accepted[which].get(row.id)) else None for which in ("old", "new")]
        if None in scores:
            continue
        rows += 1
        wins += (scores[1] or 0) > (scores[0] or 0)
        losses += (scores[1] or 0) < (scores[0] or 0)
        verdict = sequential_test(wins, losses)
        if verdict.decided != "undecided":
            return f"the new one is {verdict.decided}: {wins} won, {losses} lost, decided after {rows} rows\n"
    return f"undecided after {rows} rows: {wins} won, {losses} lost; go on collecting\n"


def _accepted(path: Path) -> dict[str, str | None]:
    try:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
        return {line["id"]: line["accepted"] for line in lines}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} holds no decisions: {error!r}", hint="give files that eval --out wrote") from error
