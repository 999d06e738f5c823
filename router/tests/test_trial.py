"""What changes the router's mind while it runs: a verifier on trial, and quality that drifts."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factorylm_router.cli import main
from factorylm_router.simulated import Said
from factorylm_router.trial import standing
from factorylm_router.verifier import load_verifier

pytestmark = pytest.mark.anyio
ASK = "How many litres are 3 cubic metres? Answer with a number."


def always(text: str) -> Any:
    return lambda chat: Said(text=text)


def samples(old: float, new: float, count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Newest first, as a state gives them."""
    rnd = random.Random(seed)
    told = []
    for _ in range(count):
        arm = rnd.choice(("old", "new"))
        right = rnd.random() < (new if arm == "new" else old)
        told.append({"trial": "t", "arm": arm, "agreed": right, "cost_micro": 40 if arm == "new" else 60})
    return told[::-1]


def test_the_trial_finds_the_better_one_and_rarely_a_difference_that_is_not_there():
    assert [standing(samples(0.7, 0.95, 600, s), "t").decided for s in range(20)].count("better") >= 19
    assert [standing(samples(0.95, 0.7, 600, s), "t").decided for s in range(20)].count("worse") >= 19
    same = [standing(samples(0.9, 0.9, 600, s), "t").decided for s in range(100)]
    assert same.count("better") + same.count("worse") <= 10


def test_only_samples_of_this_trial_that_could_be_compared_count():
    told = [
        {"trial": "t", "arm": "new", "agreed": None, "escalated": True, "cost_micro": 900},
        {"trial": "t", "arm": "new", "agreed": None, "cost_micro": 1},
        {"trial": "earlier", "arm": "new", "agreed": False, "cost_micro": 1},
        {"trial": "t", "arm": "old", "agreed": False, "cost_micro": 100},
        {"agreed": True},
    ]
    found = standing(told, "t")
    assert (found.pairs, found.decided) == (1, "undecided")
    assert found.new.quality is not None
    assert (found.new.quality.share, found.new.quality.samples, found.new.cost_micro) == (1.0, 1, 900)
    assert found.old.cost_micro == 100


@pytest.fixture
def careful(tmp_path: Path) -> Path:
    """A verifier that trusts nobody but premium."""
    path, shipped = tmp_path / "careful.json", load_verifier()
    right = {
        stage: {who: replace(model, bias=30.0 if who == "premium" else -30.0) for who, model in models.items()}
        for stage, models in shipped.right.items()
    }
    path.write_bytes(replace(shipped, right=right, premium_calls_per_right_answer=900.0).as_json())
    return path


async def test_a_challenger_gets_its_share_and_takes_over_when_it_has_won(
    plant: Any, public: str, script: Any, careful: Path, capsys: Any
):
    """The cheap models agree on what premium denies; only who asks premium is right."""
    for name in ("cheap", "second"):
        plant.outside.models[name] = script(name, always("3 * 100 = 300. The answer is 300."))
    plant.site.models["local"] = script("local", always("The answer is 300."))
    plant.outside.models["premium"] = script("premium", always("The answer is 3000."))
    tables = public + f'[routing]\nshadow_share = 1\nchallenger_file = "{careful}"\n'
    async with plant.running(tables):
        chooser = plant.service.chooser
        told: list[tuple[str, str]] = []
        for _ in range(60):
            chooser.draw = iter([0.9 if len(told) % 2 else 0.1, 0.0]).__next__  # the arm, then the sample
            _, _, headers = await plant.chat("auto", ASK)
            told.append((headers["X-FactoryLM-Trial"], headers["X-FactoryLM-Model"]))
            await chooser.settled()
        assert set(told) == {("new", "premium"), ("old", told[1][1])}
        assert told[1][1] != "premium"
        assert await asyncio.to_thread(main, ["trial", "--config", str(plant.file)]) == 0
        assert await plant.service.judge_trial() == "better"
        assert chooser.verifier.premium_calls_per_right_answer == 900.0
        _, _, after = await plant.chat("auto", ASK)
    assert after["X-FactoryLM-Model"] == "premium"
    assert "X-FactoryLM-Trial" not in after
    said = capsys.readouterr().out
    assert "the challenger is better after" in said
    assert "new: premium agreed with 100.0%" in said


async def test_a_challenger_that_lost_gets_no_more_requests(plant: Any, public: str, careful: Path):
    async with plant.running(public + f'[routing]\nchallenger_file = "{careful}"\n'):
        name = plant.service.chooser.trial.name
        before = plant.service.chooser.verifier
        for sample in reversed(samples(0.95, 0.6, 400)):
            await plant.service.state.sample_put({**sample, "trial": name, "at_ms": 1, "chance": 0.9})
        assert await plant.service.judge_trial() == "worse"
        assert plant.service.chooser.trial is None
        assert plant.service.chooser.verifier is before


async def test_drift_sends_up_what_was_accepted_before(plant: Any, public: str, script: Any):
    for model, text in (("cheap", "The answer is 30"), ("second", "The answer is 300")):
        plant.outside.models[model] = script(model, always(text))
    plant.site.models["local"] = script("local", always("The answer is 3"))
    plant.outside.models["premium"] = script("premium", always("The answer is 3000."))
    tables = public + "[routing]\nshadow_share = 0\npremium_calls_per_right_answer = 1.5\n"
    async with plant.running(tables):
        _, _, before = await plant.chat("auto", ASK)
        for _ in range(100):
            await plant.service.state.sample_put({"at_ms": 1, "chance": 0.95, "agreed": False, "kind": "number"})
        assert await plant.service.judge_drift() == 0.25
        _, _, after = await plant.chat("auto", ASK)
    assert before["X-FactoryLM-Model"] != "premium"
    assert after["X-FactoryLM-Model"] == "premium"
