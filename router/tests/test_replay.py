"""`eval` and what it is made of: the schema, the rule of looking only at what was called, fitting,
honesty."""

import gzip
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from factorylm_router.answers import comparable, final_answer, kind_of
from factorylm_router.cascade import caution
from factorylm_router.cli import main
from factorylm_router.features import Observation, Question
from factorylm_router.learning import drift_factor, quality_of, recalibrated, sequential_test
from factorylm_router.policies import PLAIN, POLICY_NAMES, router_policy
from factorylm_router.replay import Caller, case_of, decide, read_rows
from factorylm_router.verifier import features_of, load_verifier

MODELS = {"small": (0.1, 0.72), "middle": (0.3, 0.78), "other": (0.2, 0.75), "big": (8.0, 0.93)}
SETS = {
    "sums": {
        "usd_per_million_tokens_in_out": {name: [price, price] for name, (price, _) in MODELS.items()},
        "cases": {
            "default": {"cheap": ["small", "middle", "other"], "premium": "big"},
            "dear": {"cheap": ["big", "big", "big"], "premium": "big"},
        },
    }
}
SETS["more"] = SETS["sums"]


def rows_of(dataset: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Sums that models get right by chance; wrong answers differ from each other and hedge."""
    rnd = random.Random(seed)
    rows = []
    for number in range(count):
        first, second = rnd.randrange(100), rnd.randrange(100)
        models = {}
        for name, (price, skill) in MODELS.items():
            right = rnd.random() < skill
            answer = first + second if right else first + second + rnd.randrange(1, 60)
            text = (
                f"{first} + {second} = {answer}."
                if right or rnd.random() < 0.6
                else f"It might be {answer}, I am not sure."
            )
            tokens = {"in_tokens": 100, "out_tokens": 50, "cost_usd": price * 150e-6}
            models[name] = {"score": float(right), "answer": str(answer), "response": text, **tokens}
        told = {
            "id": f"{dataset}-{number}",
            "dataset": dataset,
            "domain": "d",
            "kind": "number",
            "options": None,
        }
        rows.append({**told, "prompt": f"What is {first} + {second}? ({seed})", "models": models})
    return rows


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress(b"\n".join(orjson.dumps(row) for row in rows)))
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    written(tmp_path / "sums.jsonl.gz", rows_of("sums", 300, 1))
    written(tmp_path / "more.jsonl.gz", rows_of("more", 600, 2))
    (tmp_path / "sets.json").write_bytes(orjson.dumps(SETS))
    return tmp_path


def run(folder: Path, *more: str, data: str = "sums.jsonl.gz", case: str = "default") -> list[dict[str, Any]]:
    out = folder / "decisions.jsonl"
    command = ["eval", "--data", str(folder / data), "--sets", str(folder / "sets.json"), "--case", case]
    assert main([*command, "--out", str(out), "--json", *more]) == 0
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


def test_a_policy_decides_on_every_row_and_accepts_only_what_it_called(recorded: Path, capsys: Any):
    for policy in POLICY_NAMES:
        decisions = run(recorded, "--policy", policy)
        assert [d["id"] for d in decisions] == [f"sums-{n}" for n in range(300)]
        assert all(d["accepted"] in d["called"] for d in decisions)
    capsys.readouterr()


def test_the_fitted_router_beats_always_cheap_and_costs_less_than_agreement(recorded: Path, capsys: Any):
    reports = {}
    fit = ("--fit", str(recorded / "more.jsonl.gz"))
    for policy, more in (("router", fit), ("two-of-three", ()), ("always-cheap", ()), ("always-premium", ())):
        run(recorded, "--policy", policy, *more)
        reports[policy] = orjson.loads(capsys.readouterr().out)
    assert reports["always-premium"]["quality_percent"] == pytest.approx(100)
    assert reports["always-premium"]["saved_percent"] == pytest.approx(0)
    assert reports["router"]["quality_percent"] > reports["always-cheap"]["quality_percent"] + 5
    assert reports["router"]["saved_percent"] > 60
    assert reports["router"]["verifier"].startswith("more/default")


def test_rows_without_scores_and_without_premiums_answer_get_the_same_decisions(recorded: Path, capsys: Any):
    labelled = run(recorded)
    rows = rows_of("sums", 300, 1)
    for row in rows:
        del row["models"]["big"]
        for record in row["models"].values():
            record["score"] = record["cost_usd"] = None
    written(recorded / "bare.jsonl.gz", rows)
    bare = run(recorded, data="bare.jsonl.gz")
    assert bare == labelled
    reports = capsys.readouterr().out
    assert '"quality_percent":null' in reports.replace(" ", "")


def test_what_was_not_called_cannot_change_a_decision(recorded: Path):
    policy, case = router_policy(load_verifier()), case_of(SETS, "sums", "default")
    for row in read_rows(recorded / "sums.jsonl.gz"):
        decision = decide(policy, row, case)
        hidden = {name: record for name, record in row.models.items() if name in decision.called}
        blind = type(row)(id=row.id, dataset=row.dataset, kind=row.kind, question=row.question, models=hidden)
        assert decide(policy, blind, case) == decision


def test_a_cascade_that_would_lose_money_says_so_and_does_not_cascade(recorded: Path, capsys: Any):
    decisions = run(recorded, case="dear")
    assert all(d["called"] == ["big"] for d in decisions)
    assert orjson.loads(capsys.readouterr().out)["cascades"] is False


def test_two_policies_are_compared_by_a_test_that_stops_when_it_knows(recorded: Path, capsys: Any):
    for policy in ("always-cheap", "always-premium"):
        run(recorded, "--policy", policy)
        (recorded / "decisions.jsonl").rename(recorded / f"{policy}.jsonl")
    capsys.readouterr()
    command = ["compare", "--data", str(recorded / "sums.jsonl.gz"), "--old", str(recorded / "always-cheap.jsonl")]
    assert main([*command, "--new", str(recorded / "always-premium.jsonl")]) == 0
    assert capsys.readouterr().out.startswith("the new one is better")
    assert main([*command, "--new", str(recorded / "always-cheap.jsonl")]) == 0
    assert capsys.readouterr().out.startswith("undecided after 300 rows: 0 won, 0 lost")
    assert main([*command, "--new", str(recorded / "sets.json")]) == 1
    assert "holds no decisions" in capsys.readouterr().err


def test_a_question_that_is_judged_is_never_fitted_on(recorded: Path, capsys: Any):
    out = recorded / "x.jsonl"
    command = [
        "eval",
        "--data",
        str(recorded / "sums.jsonl.gz"),
        "--sets",
        str(recorded / "sets.json"),
        "--out",
        str(out),
    ]
    assert main([*command, "--fit", str(recorded / "sums.jsonl.gz")]) == 1
    assert "no compared answers to fit on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("--case", "nope"), "its cases are default, dear"),
        (("--data", "missing.jsonl"), "cannot read missing.jsonl"),
        (("--sets", "missing.json"), "give the sets.json"),
    ],
)
def test_wrong_names_are_told_with_the_right_ones(recorded: Path, capsys: Any, change: Any, told: str):
    command = {
        "--data": str(recorded / "sums.jsonl.gz"),
        "--sets": str(recorded / "sets.json"),
        "--case": "default",
    }
    command |= {change[0]: change[1], "--out": str(recorded / "x.jsonl")}
    assert main(["eval", *(part for pair in command.items() for part in pair)]) == 1
    assert told in capsys.readouterr().err


def test_a_broken_line_is_named(recorded: Path, capsys: Any):
    (recorded / "bad.jsonl").write_text('{"id": "1", "dataset": "sums", "models": {}}\n{"id": 2}\n')
    command = ["eval", "--data", str(recorded / "bad.jsonl"), "--sets", str(recorded / "sets.json")]
    assert main([*command, "--out", str(recorded / "x.jsonl")]) == 1
    assert "bad.jsonl, line 2" in capsys.readouterr().err


def test_the_agreement_rules_follow_their_definitions():
    def row(*answers: str | None) -> Any:
        models = {name: {"answer": answer} for name, answer in zip(("small", "middle", "other"), answers, strict=True)}
        return type(
            "R",
            (),
            {
                "models": models,
                "id": "x",
                "observation": lambda self, name: Observation(answer=models[name]["answer"], text="", out_tokens=0),
            },
        )()

    case = case_of(SETS, "sums", "default")
    for answers, accepted, called in [
        (("1", "1", "2"), "small", 2),
        (("1", "2", "2"), "middle", 3),
        (("1", "2", "1"), "small", 3),
        (("1", "2", "3"), "big", 4),
        ((None, None, "1"), "big", 4),
    ]:
        caller = Caller(row(*answers))
        assert PLAIN["two-of-three"](Question(prompt=""), case, caller) == accepted
        assert len(caller.called) == called


@pytest.mark.parametrize(
    ("kind", "first", "second", "same"),
    [
        ("number", "1,000", "1e3", True),
        ("number", "ten", "ten", False),
        ("choice", "A", "B", False),
        ("literal", "'x' ", "x", True),
        ("text", "Pump No. 1!", "pump no 1", True),
        ("judged", "same", "same", False),
    ],
)
def test_answers_are_compared_by_kind(kind: str, first: str, second: str, same: bool):
    one, two = comparable(kind, first), comparable(kind, second)
    assert (one is not None and one == two) is same


@pytest.mark.parametrize(
    ("prompt", "answer", "final"),
    [
        ("How many litres are 3 m3?", "So 3 * 1000 = 3000.\nThe answer is 3,000 litres.", ("number", "3000")),
        ("Which?\nA. red\nB. green\nC. blue", "I think so. The answer is (B).", ("choice", "B")),
        ("Which?\nA. red\nB. green", "**B**", ("choice", "B")),
        ("Name the pump.", "P-101", ("text", "P-101")),
        ("Describe the pump.", "It is a pump. " * 20, ("text", None)),
        ("How many bolts?", "Enough of them", ("number", None)),
    ],
)
def test_what_live_answers_come_down_to(prompt: str, answer: str, final: Any):
    kind, _ = kind_of({"messages": [{"role": "user", "content": prompt}]})
    assert final_answer(kind, {"content": answer}) == final


def test_the_verifier_that_ships_prefers_agreement_and_distrusts_hedging():
    verifier, question = load_verifier(), Question(prompt="What is 3 * 1000?")
    right = Observation(answer="3000", text="3 * 1000 = 3000. The answer is 3000.", out_tokens=20)
    unsure = Observation(answer="300", text="It might be 3 * 1000 = 300, I am not sure.", out_tokens=20)
    agreeing = verifier.right[2]["0"].chance(features_of(question, [right, right]))
    alone = verifier.right[2]["0"].chance(features_of(question, [right, unsure]))
    assert agreeing > 0.85 > alone
    assert verifier.right[1]["0"].chance(features_of(question, [unsure])) < verifier.right[1]["0"].chance(
        features_of(question, [right])
    )


def test_quality_comes_with_an_interval_that_narrows():
    few, many = quality_of(19, 20), quality_of(1900, 2000)
    assert few is not None
    assert many is not None
    assert few.low < many.low < 0.95 < many.high < few.high <= 1
    assert quality_of(0, 0) is None


def samples(chance: float, agreed: float, count: int, seed: int = 1) -> list[dict[str, Any]]:
    rnd = random.Random(seed)
    return [{"chance": chance, "agreed": rnd.random() < agreed} for _ in range(count)]


def test_drift_raises_the_share_sent_up_only_when_shadows_say_so():
    assert drift_factor(samples(0.9, 0.9, 100)) == 1.0
    assert drift_factor(samples(0.95, 0.6, 100)) < 0.6
    assert drift_factor(samples(0.95, 0.0, 20)) == 1.0


def test_a_refit_is_taken_only_if_it_is_better_on_what_it_did_not_see():
    verifier = load_verifier()
    overconfident = recalibrated(verifier, samples(0.95, 0.7, 1000))
    assert overconfident is not None
    assert overconfident.is_better
    assert overconfident.verifier.right[1]["0"].bias < verifier.right[1]["0"].bias
    assert recalibrated(verifier, samples(0.9, 0.9, 50)) is None


def test_the_sequential_test_decides_rightly_and_rarely_wrongly():
    def run_test(share: float, seed: int) -> str:
        rnd, wins = random.Random(seed), 0
        for number in range(1, 2000):
            wins += rnd.random() < share
            verdict = sequential_test(wins, number - wins)
            if verdict.decided != "undecided":
                return verdict.decided
        return "undecided"

    assert [run_test(0.75, seed) for seed in range(40)].count("better") >= 38
    assert [run_test(0.25, seed) for seed in range(40)].count("worse") >= 38
    assert [run_test(0.5, seed) for seed in range(200)].count("better") <= 20


def test_the_cheaper_the_team_the_more_caution_it_leaves_room_for():
    assert caution([0.1, 0.1, 0.1]) == 1.0
    assert caution([0.0, 0.02, 0.04]) == 2.0
    assert caution([0.3]) == 4.0, "one model has nobody to disagree with"
    assert 1.0 < caution([0.05, 0.05, 0.05]) < caution([0.03, 0.04, 0.05]) < 2.0
    assert caution([0.1, 0.1, 0.0, 0.9]) == 1.0, "more than three are never asked"
