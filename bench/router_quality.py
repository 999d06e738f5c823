"""How good and how cheap the router's cascade is on recorded answers of sets it was not fitted on.

Every set is judged by a verifier fitted on the other sets only; no threshold is chosen on what is judged,
every call
counts, and questions that stand in both are left out of the fit by their text. Beside: always cheap,
always premium,
random, agreement rules and oracles. The worst set stands beside every mean.

    ./run bench router-quality --data DIR
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from factorylm_router.evaluation import Report, Tally
from factorylm_router.fitting import DEFAULT_RATE, Batch, fit_verifier
from factorylm_router.policies import PLAIN, longest_prompts, random_split, router_policy
from factorylm_router.replay import (
    Case,
    Policy,
    Row,
    batches_of,
    case_of,
    decide,
    read_rows,
    read_sets,
    same_question,
)

COLUMNS = "quality %   saved %   escalated %   $/query at premium $0.020"


@dataclass(frozen=True)
class Judged:
    dataset: str
    case: str
    policy: str
    report: Report

    def line(self) -> str:
        told = self.report
        at_two_cents = 0.02 * (1 - (told.saved_percent or 0) / 100)
        return (
            f"{self.policy:28s} {told.quality_percent:9.1f} {told.saved_percent:9.1f}"
            f" {told.escalated_percent:9.1f}       {at_two_cents:9.4f}"
        )


def oracle_checks(row: Row, case: Case) -> Sequence[str]:
    """Perfect checks: ask in order, stop at the first right answer, else pay premium too."""
    called = []
    for name in (*case.cheap, case.premium):
        called.append(name)
        if row.score(name):
            break
    return called


def oracle_choice(row: Row, case: Case) -> Sequence[str]:
    """Knows everything and pays one call: the cheapest right model, else the cheapest."""
    right = [name for name in (*case.cheap, case.premium) if row.score(name)]
    return [min(right or case.cheap, key=lambda name: float(row.models[name]["cost_usd"]))]


def as_policy(oracle: Callable[[Row, Case], Sequence[str]]) -> Policy:
    def decided(_question: object, case: Case, caller: object) -> str:
        called = list(oracle(caller.row, case))  # type: ignore[attr-defined]
        caller.called.extend(called)  # type: ignore[attr-defined]
        return called[-1]

    return decided


def judge(rows: Sequence[Row], case: Case, policy: Policy) -> Report:
    tally = Tally()
    for row in rows:
        tally.add(row, case, decide(policy, row, case))
    return tally.into(Report(policy="", case=""))


def median_words(rows: Sequence[Row]) -> int:
    words = sorted(len(row.question.prompt.split()) for row in rows)
    return words[len(words) // 2] if words else 0


def policies(rows: Sequence[Row], case: Case, batches: Sequence[Batch], rates: Sequence[float]) -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    if batches:
        shares = [*case.by_price().shares(), 0.05, 0.05][:3]
        for rate in rates:
            note = "" if rate == DEFAULT_RATE else f" at {rate:g}"
            found[f"router{note}"] = router_policy(fit_verifier(batches, shares, rate))
    found |= {
        "two of three, else premium": PLAIN["two-of-three"],
        "two agree, else premium": PLAIN["two-agree"],
        "always the first cheap": PLAIN["always-cheap"],
        "random half": random_split(0.5),
        "longer half to premium": longest_prompts(median_words(rows)),
        "always premium": PLAIN["always-premium"],
        "oracle: perfect checks": as_policy(oracle_checks),
        "oracle: perfect choice": as_policy(oracle_choice),
    }
    return found


def run(data: Path, only: Sequence[str], rates: Sequence[float]) -> list[Judged]:
    sets = read_sets(data / "sets.json")
    files = {name: data / told["file"] for name, told in sets.items()}
    useful = [name for name, told in sets.items() if any(len(c["cheap"]) > 2 for c in told["cases"].values())]
    judged: list[Judged] = []
    for dataset in useful:
        all_rows = list(read_rows(files[dataset]))
        left_out = frozenset(same_question(row.question) for row in all_rows)
        others = [files[name] for name in useful if name != dataset]
        batches = batches_of(others, sets, leave_out=left_out)
        for name in sets[dataset]["cases"]:
            if only and name not in only:
                continue
            case = case_of(sets, dataset, name)
            rows = [r for r in all_rows if all(r.score(m) is not None for m in (*case.cheap, case.premium))]
            print(f"\n{dataset}, case {name}: {len(rows)} rows; fitted on {', '.join(p.name for p in others)}")
            print(f"{'':28s} {COLUMNS}")
            if not case.is_worth_it:
                print("break-even test: the cheap models cost too much here; the router does not cascade")
            for policy_name, policy in policies(rows, case, batches, rates).items():
                found = Judged(dataset, name, policy_name, judge(rows, case, policy))
                judged.append(found)
                print(found.line(), flush=True)
    return judged


def summary(judged: Sequence[Judged]) -> None:
    """Means over the sets' default cases, every set weighing the same, and the worst set beside them."""
    print("\nmean over the default cases of all sets, each unseen by its fit (worst set)")
    print(f"{'':28s} quality %        saved %          escalated %")
    for policy in dict.fromkeys(found.policy for found in judged):
        found = [j.report for j in judged if j.policy == policy and j.case == "default"]
        if not found:
            continue
        quality = [r.quality_percent or 0.0 for r in found]
        saved = [r.saved_percent or 0.0 for r in found]
        escalated = [r.escalated_percent or 0.0 for r in found]
        mean_quality, mean_saved = sum(quality) / len(quality), sum(saved) / len(saved)
        print(
            f"{policy:28s} {mean_quality:5.1f} ({min(quality):5.1f})    {mean_saved:5.1f} ({min(saved):5.1f})"
            f"    {sum(escalated) / len(escalated):5.1f} ({max(escalated):5.1f})"
        )


def promised(judged: Sequence[Judged]) -> bool:
    """The figures this project stands for, each with its bound; False if one is broken."""
    found = [j.report for j in judged if j.policy == "router" and j.case == "default"]
    if not found:
        return True
    quality = [r.quality_percent or 0.0 for r in found]
    saved = [r.saved_percent or 0.0 for r in found]
    lines = [
        ("mean quality on unseen sets, % of premium", sum(quality) / len(quality), 98.5),
        ("quality on the worst unseen set, % of premium", min(quality), 97.0),
        ("mean saved on unseen sets, % of premium's cost", sum(saved) / len(saved), 72.0),
    ]
    print()
    for what, figure, bound in lines:
        print(f"{what:50s} {figure:7.2f}   at least {bound:<6g} {'kept' if figure >= bound else 'BROKEN'}")
    return all(figure >= bound for _, figure, bound in lines)


def write_verifier(data: Path, out: Path) -> None:
    """The verifier that ships: fitted on every set, for cheap calls of usual price."""
    sets = read_sets(data / "sets.json")
    useful = [name for name, told in sets.items() if any(len(c["cheap"]) > 2 for c in told["cases"].values())]
    batches = batches_of([data / sets[name]["file"] for name in useful], sets)
    out.write_bytes(fit_verifier(batches, (0.04, 0.08, 0.12)).as_json())
    print(f"written: {out}, fitted on {', '.join(batch.name for batch in batches)}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: --data recorded/",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with sets.json and the files it names")
    parser.add_argument("--case", nargs="*", default=[], help="only these cases")
    parser.add_argument(
        "--rate", type=float, nargs="*", default=[DEFAULT_RATE], help="premium calls a right answer is worth"
    )
    parser.add_argument("--write-verifier", type=Path, help="fit on all sets and write the verifier that ships")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    arguments = parser.parse_args(argv)
    if arguments.write_verifier:
        write_verifier(arguments.data, arguments.write_verifier)
        return 0
    judged = run(arguments.data, arguments.case, arguments.rate)
    summary(judged)
    kept = promised(judged)
    if arguments.json:
        told = [{"dataset": j.dataset, "case": j.case, "policy": j.policy, **vars_of(j.report)} for j in judged]
        arguments.json.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return 0 if kept else 1


def vars_of(report: Report) -> dict[str, object]:
    return {name: getattr(report, name) for name in ("judged", "quality_percent", "saved_percent", "escalated_percent")}


if __name__ == "__main__":
    sys.exit(main())
