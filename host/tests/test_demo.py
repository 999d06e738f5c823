"""`factorylm demo` once, as a person runs it; what its transcript says is held against the plant it was asked of."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx2
import pytest
from factorylm.demo_plant import PlantFault
from factorylm.demo_plant.machines import Pump
from factorylm_skill.testing import count_tokens

# what the sensors add, as the demo plant's own equations have it (sigma)
NOISE = {
    "drive1.vibration": 0.05, "drive1.bearing_temperature": 0.15, "drive1.power": 0.03, "drive1.flow": 0.15,
    "drive1.suction_pressure": 0.01, "drive1.speed_setpoint": 1e-3,
}  # fmt: skip
NUMBER = re.compile(r"(?<![\w.:-])-?\d+(?:\.\d+)?(?![\w:.]*\d)")
CLOCK = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d|\d\d:\d\d:\d\d")


@dataclass(frozen=True)
class Walk:
    """One run: what it printed, and the transcript it wrote."""

    printed: str
    told: dict[str, Any]

    def steps(self, kind: str) -> list[dict[str, Any]]:
        return [step for step in self.told["steps"] if step["kind"] == kind]

    def answers(self, kind: str, tool: str) -> list[dict[str, Any]]:
        return [call["answer"] for step in self.steps(kind) for call in step["calls"] if call["tool"] == tool]

    @property
    def wear(self) -> PlantFault:
        fault = next(fault for fault in self.told["truth"]["faults"] if fault["name"] == "bearing_wear")
        return PlantFault(name=fault["name"], begin_h=fault["begin_h"], grows_h=fault["grows_h"])

    def true_vibration(self, at: datetime) -> float:
        """Of the pump at 1200 /min, from its equations alone."""
        hours = (at - datetime.fromisoformat(self.told["truth"]["begin"])).total_seconds() / 3600
        return Pump(setpoint=1200.0, speed=1200.0).vibration(self.wear.strength(hours), 0.0)


@dataclass(frozen=True)
class Kept:
    """A demo after its walk: it goes on, with its console, until it is told to end."""

    process: subprocess.Popen[bytes]
    folder: Path
    ports: tuple[int, int]


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("demo")
    homes = dict.fromkeys(("HOME", "FACTORYLM_HOME", "XDG_CONFIG_HOME", "TMPDIR"), str(folder))
    port, page = free_port(), free_port()
    command = [sys.executable, "-m", "factorylm", "demo", "--json", str(folder / "walk.json")]
    command += ["--keep", "--port", str(port), "--console", f"127.0.0.1:{page}"]
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(
            command,
            env={**os.environ, **homes, "PYTHONUTF8": "1"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
        )
    with process:
        try:
            assert process.stderr is not None
            # the console says that it listens when the walk is over; before that nothing is said here but a failure
            said = process.stderr.readline().decode()
            assert said.startswith(f"console: http://127.0.0.1:{page}/"), (folder / "printed").read_text()[
                -2000:
            ] + said
            yield Kept(process, folder, (port, page))
        finally:
            # gently: what is killed leaves its server and collector behind
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


@pytest.fixture(scope="module")
def walk(kept: Kept) -> Walk:
    """What it printed is read to where the walk ended."""
    printed = (kept.folder / "printed").read_text(encoding="utf-8")
    return Walk(printed, json.loads((kept.folder / "walk.json").read_text(encoding="utf-8")))


def test_every_kind_of_question_is_asked_in_order_and_answered(walk: Walk) -> None:
    order = list(dict.fromkeys(step["kind"] for step in walk.told["steps"]))
    assert order == ["plant", "wrong", "since_when", "why", "when_fails", "what_if", "may_i", "proof"]
    assert all(step["calls"] or step["kind"] == "proof" for step in walk.told["steps"])
    refused = [(call["tool"], call["arguments"]["value"]) for call in calls(walk) if call["refused"]]
    assert refused == [("modbus_write_tag", 1800)]
    assert all(call["answer"] for call in calls(walk) if not call["refused"])


def test_the_plant_is_told_whole(walk: Walk) -> None:
    listed = {row[0] for kind in ("modbus", "s7", "enip", "opcua") for row in rows(walk, f"{kind}_list_tags")}
    assert {tag.partition(".")[0] for tag in listed} == {"drive1", "cell1", "pack1", "util1"}
    assert len(listed) == 32


def test_the_loudest_alarm_is_the_mis_set_one_and_the_buried_one_is_the_pumps(walk: Walk) -> None:
    [step] = walk.steps("wrong")
    true = {fault["name"]: fault["alarms"] for fault in walk.told["truth"]["faults"]}
    assert step["found"]["loudest"].partition(".")[2] in true["chattering_limit"]
    assert [name.partition(".")[2] for name in step["found"]["buried"]] == true["bearing_wear"][:1]


def test_since_when_agrees_with_the_wear_that_is_in_the_plant(walk: Walk) -> None:
    [step] = walk.steps("since_when")
    [answer] = walk.answers("since_when", "history_read")
    width = timedelta(seconds=answer["rows"][1][0] - answer["rows"][0][0])
    above = datetime.fromisoformat(step["found"]["above_limit"])
    assert walk.true_vibration(above - width) < step["given"]["limit"] < walk.true_vibration(above + width)
    left = datetime.fromisoformat(step["found"]["left_normal"])
    begun = next(f["begin"] for f in walk.told["truth"]["faults"] if f["name"] == "bearing_wear")
    assert datetime.fromisoformat(begun) < left < above
    # a window's mean is some thirty samples: four of its standard errors
    assert walk.true_vibration(left + width) == pytest.approx(step["found"]["normal"], abs=4 * 0.05 / 30**0.5)


def test_the_evidence_is_what_the_history_holds_and_speaks_for_what_is_wrong(walk: Walk) -> None:
    [step] = walk.steps("why")
    then, now = walk.answers("why", "history_stats")
    found = {tag: pair for tag, pair in step["found"].items() if tag != "cause"}
    assert found == {tag: [mean_of(then, tag), mean_of(now, tag)] for tag in NOISE if tag != "drive1.speed_setpoint"}
    truth = step["calls"][-1]["plant"]
    for tag in NOISE.keys() - {"drive1.speed_setpoint"}:
        # the wear goes on by some per cent within the five minutes of the mean
        assert mean_of(now, tag) == pytest.approx(truth[tag], rel=0.03), tag
    assert "worn bearing" in step["found"]["cause"]


def test_what_is_read_is_the_plants_physical_state(walk: Walk) -> None:
    read = [call for call in calls(walk) if call["tool"] == "modbus_read_tags"]
    assert len(read) == 2
    for call in read:
        for tag, value, *_ in call["answer"]["rows"]:
            assert value == pytest.approx(call["plant"][tag], abs=6 * NOISE[tag]), tag


def test_the_trend_to_the_limit_ends_where_the_plant_reaches_it(walk: Walk) -> None:
    step = walk.steps("when_fails")[0]
    until = datetime.fromisoformat(walk.told["truth"]["lived_until"])
    hours = next(h / 100 for h in range(300) if walk.true_vibration(until + timedelta(hours=h / 100)) >= 4.5)
    low, middle, high = step["found"]["hours"]
    assert [low, middle, high] == [step["calls"][0]["answer"][key] for key in ("p5", "p50", "p95")]
    assert 0.75 * hours < middle < 1.35 * hours
    assert 0.9 * low < hours < high


def test_what_the_twin_foresaw_is_what_the_plant_then_did(walk: Walk) -> None:
    answered, far = walk.answers("what_if", "twin_what_if")
    [effect] = answered["effects"]
    assert (answered["refused"], far["refused"]) == (False, True)
    assert "outside_envelope" in far["reason"]
    step = walk.steps("may_i")[-1]
    [sampled] = [call["answer"]["samples"] for call in step["calls"] if call["tool"] == "modbus_sample_tags"]
    at = sampled["columns"].index("drive1.flow")
    happened = fmean(row[at] for row in sampled["rows"] if row[0] >= effect["settling"])
    assert step["found"]["happened"] == pytest.approx(happened)
    assert effect["lo"] <= happened <= effect["hi"]
    assert Pump.steady_flow(1050.0) == pytest.approx(happened, abs=0.2)
    assert effect["hi"] - effect["lo"] < 0.05 * abs(effect["change"]) * 2 + 6 * NOISE["drive1.flow"]
    assert step["found"]["inside"] is True
    assert step["found"]["vibration"][1] < step["found"]["vibration"][0]


def test_the_history_holds_the_simulated_past_and_the_live_minutes(walk: Walk) -> None:
    found = walk.steps("may_i")[-1]["found"]
    until = datetime.fromisoformat(walk.told["truth"]["lived_until"])
    assert datetime.fromisoformat(found["first"][0]) < until < datetime.fromisoformat(found["last"][0])
    assert found["first"][1] == pytest.approx(Pump.steady_flow(1200.0), abs=0.5)
    assert found["last"][1] == pytest.approx(Pump.steady_flow(1050.0), abs=0.5)


def test_the_approved_write_arrived_once_and_its_reason_was_shown(walk: Walk) -> None:
    writes = [(write["signal"], write["value"]) for write in walk.told["truth"]["writes"]]
    assert writes == [("drive1.speed_setpoint", 1050.0)]
    [receipt] = [answer for answer in walk.answers("may_i", "modbus_write_tag") if answer]
    assert (receipt["outcome"], receipt["before"], receipt["after"]) == ("written", 1200.0, 1050.0)
    [asked] = walk.told["asked_of_person"]
    assert asked.startswith("Write 1050.0 /min to drive1.speed_setpoint")
    [reason] = [c["arguments"]["reason"] for c in calls(walk) if "reason" in c["arguments"]]
    assert asked.endswith(f'which nobody has checked: "{reason}"')
    assert walk.steps("proof")[0]["found"] == {
        "lines": 3, "events": ["refused", "sending", "written"], "intact": True,
    }  # fmt: skip


def test_the_tokens_are_those_of_each_call_and_answer_and_their_sum(walk: Walk) -> None:
    for call in calls(walk):
        asked = call["tool"] + json.dumps(call["arguments"], ensure_ascii=False)
        assert call["tokens"] == count_tokens(asked) + count_tokens(call["text"])
        assert f"({call['tokens']:,} tokens)" in walk.printed
    assert walk.told["tokens"] == sum(call["tokens"] for call in calls(walk))
    assert f"{len(calls(walk))} tool calls, {walk.told['tokens']:,} tokens" in walk.printed


def test_every_printed_number_stands_in_an_answer_a_question_or_a_conclusion(walk: Walk) -> None:
    known = json.dumps([[s["question"], s["said"], s["calls"]] for s in walk.told["steps"]], ensure_ascii=False)
    known += " ".join(walk.told["asked_of_person"])
    begin = walk.printed.index(walk.told["steps"][0]["question"])
    end = walk.printed.rindex("\n\n")
    for line in walk.printed[begin:end].splitlines():
        if line.strip().startswith("…") or line.strip().endswith("tokens)"):
            continue
        for number in NUMBER.findall(re.sub(r"\S*…", "", line)):
            assert number in known, line


def test_every_number_of_a_conclusion_comes_from_an_answer_of_its_question(walk: Walk) -> None:
    for step in walk.told["steps"]:
        stands = [*numbers([call["answer"] for call in step["calls"]]), *numbers(step["given"])]
        stands += [n for pair in pairs(step["found"]) for n in (*pair, pair[1] - pair[0], percent(pair))]
        if step["kind"] in ("may_i", "proof"):
            stands += numbers(step["found"])  # held against the plant in tests of their own
        for said in step["said"]:
            for text in NUMBER.findall(CLOCK.sub("", said.replace("+", ""))):
                digits = len(text.partition(".")[2])
                assert any(abs(float(text) - n) <= 0.51 * 10.0**-digits for n in stands), (said, text)


def calls(walk: Walk) -> list[dict[str, Any]]:
    return [call for step in walk.told["steps"] for call in step["calls"]]


def rows(walk: Walk, tool: str) -> list[list[Any]]:
    return [row for call in calls(walk) if call["tool"] == tool for row in call["answer"]["rows"]]


def mean_of(stats: dict[str, Any], tag: str) -> float:
    [row] = [row for row in stats["rows"] if row[0] == tag]
    return float(row[stats["columns"].index("mean")])


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return numbers(list(value.values()))
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def pairs(found: dict[str, Any]) -> list[list[float]]:
    return [pair for pair in found.values() if isinstance(pair, list) and len(numbers(pair)) == len(pair) == 2]


def percent(pair: list[float]) -> float:
    return 100 * (pair[1] - pair[0]) / pair[0]


@pytest.mark.skipif(sys.platform == "win32", reason="there a process is ended without being told")
def test_a_demo_that_is_kept_serves_its_console_with_the_past_and_leaves_nothing_behind(kept: Kept) -> None:
    asked = httpx2.get(f"http://127.0.0.1:{kept.ports[1]}/api/past", params={"tag": "drive1.vibration", "hours": "13"})
    values = [value for _, value in asked.json()["points"] if value is not None]
    assert max(values) > 3 > 1.1 > min(values)
    kept.process.terminate()
    assert kept.process.wait(60) == 0
    assert not list(kept.folder.glob("factorylm-demo-*"))
    for closed in kept.ports:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", closed), 5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
