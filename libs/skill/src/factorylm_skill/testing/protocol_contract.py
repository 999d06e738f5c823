"""The contract of a protocol skill, shown through MCP on the skill's own simulator."""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

from factorylm_schema import NotConnectedError, Plant, Quality

from factorylm_skill.audit import AuditLog
from factorylm_skill.command import simulated_plant
from factorylm_skill.faults import FaultKind
from factorylm_skill.protocol import ProtocolSkill
from factorylm_skill.skill import Settings
from factorylm_skill.testing.clients import Era, SkillClient, approving, connected, declining, simulated
from factorylm_skill.testing.tokens import count_tokens

MOST_TOKENS_PER_READING = 15
_SLACK_S = 1.0

# Faults whose answer must not be believed: no value may come of them
_LIES = (FaultKind.GARBAGE, FaultKind.SHORT, FaultKind.LONG, FaultKind.WRONG_SEQUENCE, FaultKind.WRONG_UNIT)
_LOSSES = (FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.TRUNCATED, FaultKind.LATE)
_HARMLESS = (FaultKind.DELAY, FaultKind.TRICKLE)


async def _names(client: SkillClient, prefix: str, *, writable: bool | None = None) -> list[str]:
    table = await client.ask(f"{prefix}_list_tags", limit=500)
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return [row["tag"] for row in rows if writable is None or row["writable"] is writable]


async def serving_loads_no_protocol_library_and_no_numpy(skill: ProtocolSkill) -> None:
    libraries = {_canonical(text) for text in requires(skill.package.replace("_", "-")) or []}
    modules = {module for module, names in packages_distributions().items() if libraries & set(map(_canonical, names))}
    # what the kit has loaded anyway costs nothing more
    load = f"before = set(sys.modules); import {skill.package}; print(set(sys.modules) - before)"
    program = f"import sys, factorylm_skill; {load}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    shown, _ = await process.communicate()
    loaded = {name.split(".")[0] for name in re.findall(r"'([^']*)'", shown.decode())}
    assert skill.package in loaded, "the package cannot be imported"
    heavy = ({"numpy"} | {name for name in modules if not name.startswith("factorylm")}) & loaded
    assert not heavy, f"loaded before the first call: {heavy}"


async def every_configured_tag_reads_good_in_both_eras(skill: ProtocolSkill) -> None:
    for era in _eras():
        async with simulated(skill, era=era) as (client, _):
            tags = await _names(client, skill.name)
            answer = await client.ask(f"{skill.name}_read_tags", tags=tags)
            assert answer["problems"] == [], answer["problems"]
            assert [row[0] for row in answer["rows"]] == tags
            assert answer["columns"][:3] == ["tag", "value", "unit"]


async def a_reading_costs_few_tokens(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, _):
        tags = await _names(client, skill.name)
        answer = await client.ask(f"{skill.name}_read_tags", tags=tags)
    head = {**answer, "rows": []}
    tokens = count_tokens(_json(answer)) - count_tokens(_json(head))
    assert tokens <= MOST_TOKENS_PER_READING * len(tags), f"{tokens} tokens for {len(tags)} readings"


async def an_unknown_tag_names_the_nearest(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, _):
        known = (await _names(client, skill.name))[0]
        text = await client.refused(f"{skill.name}_read_tags", tags=[known[:-1]])
        assert text.startswith("UNKNOWN_NAME"), text
        assert known in text, text


async def an_unknown_tag_does_not_spoil_the_others(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, _):
        known = (await _names(client, skill.name))[0]
        for tool, more in (("read_tags", {}), ("sample_tags", {"seconds": 1, "interval_s": 0.5})):
            answer = await client.ask(f"{skill.name}_{tool}", tags=[known, known[:-1]], **more)
            assert [row[0] for row in answer["rows"]] == [known], answer
            [problem] = answer["problems"]
            assert problem["tag"] == known[:-1], answer
            assert known in problem["problem"], answer


async def a_bad_raw_address_is_that_tags_problem_alone(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, _):
        good = (await _names(client, skill.name))[0]
        bad = good.split(".")[0] + "/this is no address"
        answer = await client.ask(f"{skill.name}_read_tags", tags=[good, bad])
        assert [row[0] for row in answer["rows"]] == [good], answer
        assert [problem["tag"] for problem in answer["problems"]] == [bad], answer
        assert answer["problems"][0]["hint"], "the problem names no address that would be right"


async def tags_are_listed_page_by_page(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, _):
        every = await _names(client, skill.name)
        seen: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            table = await client.ask(f"{skill.name}_list_tags", limit=3, **cursor)
            seen += [row[0] for row in table["rows"]]
            if not table["truncated"]:
                break
            cursor = {"cursor": table["cursor"]}
        assert seen == every
        text = await client.refused(f"{skill.name}_list_tags", limit=3, cursor="bm9uc2Vuc2U")
        assert "cursor" in text, text


async def samples_have_statistics_and_handles(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, _):
        tags = (await _names(client, skill.name))[:2]
        answer = await client.ask(f"{skill.name}_sample_tags", tags=tags, seconds=1, interval_s=0.2)
        rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
        assert [row["tag"] for row in rows] == tags
        assert all(row["count"] >= 1 and row["series"].startswith("series:") for row in rows), rows
        assert answer["samples"]["columns"] == ["s", *tags]


async def a_lie_is_never_a_value(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, simulation):
        tags = await _names(client, skill.name, writable=None)
        good = await _values(client, skill, tags)
        for kind in _LIES:
            simulation.faults.set(kind, times=None)
            answer = await client.ask(f"{skill.name}_read_tags", tags=tags)
            assert answer["rows"] == [], f"{kind}: {answer['rows']}"
            assert all(problem["problem"] for problem in answer["problems"]), answer
            simulation.faults.clear()
            assert set(await _values(client, skill, tags)) == set(good), f"not back after {kind}"


async def a_silent_device_costs_its_timeout_and_comes_back(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, simulation):
        tags = await _names(client, skill.name)
        await _values(client, skill, tags)
        allowed = _timeout(skill, simulation.plant_toml) + _SLACK_S
        for kind in _LOSSES:
            simulation.faults.late_s = 2 * allowed
            simulation.faults.set(kind, times=None)
            begun = time.monotonic()
            answer = await client.ask(f"{skill.name}_read_tags", tags=tags)
            took = time.monotonic() - begun
            # a bound on the promise made to the caller, not a measurement of speed
            assert took <= allowed, f"{kind}: {took:.1f} s of {allowed:.1f} s"
            assert answer["rows"] == [], f"{kind}: {answer['rows']}"
            assert all("last_value" in problem for problem in answer["problems"]), answer["problems"][0]
            simulation.faults.clear()
            assert len(await _values(client, skill, tags)) == len(tags), f"not back after {kind}"


async def slow_answers_are_right_answers(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, simulation):
        tags = await _names(client, skill.name)
        for kind in _HARMLESS:
            simulation.faults.set(kind, times=1)
            assert len(await _values(client, skill, tags)) == len(tags), kind


async def a_refusal_keeps_the_connection(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, simulation):
        tags = await _names(client, skill.name)
        simulation.faults.set(FaultKind.REFUSE, times=None)
        answer = await client.ask(f"{skill.name}_read_tags", tags=tags)
        assert answer["rows"] == [], answer["rows"]
        assert all(not Quality[problem["quality"]].is_good for problem in answer["problems"])
        simulation.faults.clear()
        assert len(await _values(client, skill, tags)) == len(tags)


async def twenty_calls_at_once_get_their_own_answers(skill: ProtocolSkill) -> None:
    async with simulated(skill) as (client, _):
        tags = await _names(client, skill.name)
        chosen = [tags[i % len(tags)] for i in range(20)]
        answers = await asyncio.gather(*(client.ask(f"{skill.name}_read_tags", tags=[tag]) for tag in chosen))
        assert [answer["rows"][0][0] for answer in answers] == chosen


async def diagnose_passes_on_a_healthy_device_and_names_the_step_on_a_dead_one(skill: ProtocolSkill) -> None:
    async with skill.simulate() as simulation:
        plant = _plant(skill, simulation.plant_toml)
        device = next(iter(plant.devices))
        async with connected(skill, Settings(plant=plant)) as client:
            healthy = await client.ask(f"{skill.name}_diagnose", device=device)
            assert all(row[1] != "failed" for row in healthy["rows"]), healthy["rows"]
    async with connected(skill, Settings(plant=plant)) as client:
        dead = await client.ask(f"{skill.name}_diagnose", device=device)
        failed = [row for row in dead["rows"] if row[1] == "failed"]
        assert failed, dead
        assert failed[0][3], "the failed step names nothing to try"
        assert failed[0][0] in dead["verdict"], dead["verdict"]


async def an_approved_write_arrives_once_and_is_audited(skill: ProtocolSkill) -> None:
    for era in _eras():
        with tempfile.TemporaryDirectory() as folder:
            audit = Path(folder) / "audit.jsonl"
            async with simulated(skill, audit=audit, era=era, person=approving) as (client, simulation):
                tag, value, before = await _change(client, skill, simulation.plant_toml)
                receipt = await client.ask(f"{skill.name}_write_tag", tag=tag, value=value)
                assert receipt["outcome"] == "written", receipt
                assert (receipt["before"], receipt["after"]) == (before, value), receipt
            log = AuditLog(audit)
            assert log.verify().intact
            assert [entry["event"] for entry in log.entries()] == ["sending", "written"]


async def a_write_without_a_connection_says_that_nothing_was_sent(skill: ProtocolSkill) -> None:
    async with skill.simulate() as simulation:
        plant = _plant(skill, simulation.plant_toml)
    tag = next(tag for tag in plant.tags() if tag.write and tag.write.min is not None)
    assert tag.write
    assert tag.write.min is not None
    driver = skill.connect(plant.device(tag.device))
    try:
        await driver.write(tag, tag.write.min)
    except NotConnectedError:
        return
    finally:
        await driver.close()
    raise AssertionError("a write to a device that is not there was told as done")


async def a_declined_write_sends_nothing(skill: ProtocolSkill) -> None:
    with tempfile.TemporaryDirectory() as folder:
        audit = Path(folder) / "audit.jsonl"
        async with simulated(skill, audit=audit, person=declining) as (client, simulation):
            tag, value, before = await _change(client, skill, simulation.plant_toml)
            text = await client.refused(f"{skill.name}_write_tag", tag=tag, value=value)
            assert "declined" in text, text
            assert (await _values(client, skill, [tag]))[tag] == before
        assert [entry["event"] for entry in AuditLog(audit).entries()] == ["refused"]


async def a_client_that_cannot_ask_is_refused(skill: ProtocolSkill) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with simulated(skill, audit=Path(folder) / "audit.jsonl") as (client, simulation):
            tag, value, before = await _change(client, skill, simulation.plant_toml)
            text = await client.refused(f"{skill.name}_write_tag", tag=tag, value=value)
            assert text.startswith("WRITE_REFUSED"), text
            assert (await _values(client, skill, [tag]))[tag] == before


async def an_unanswered_write_is_never_repeated(skill: ProtocolSkill) -> None:
    with tempfile.TemporaryDirectory() as folder:
        audit = Path(folder) / "audit.jsonl"
        async with simulated(skill, audit=audit, person=approving) as (client, simulation):
            tag, value, _ = await _change(client, skill, simulation.plant_toml)
            simulation.faults.set(FaultKind.DROP, times=None, writes_only=True)
            receipt = await client.ask(f"{skill.name}_write_tag", tag=tag, value=value)
            assert simulation.faults.writes == 1, f"sent {simulation.faults.writes} times"
            assert receipt["outcome"] in ("unknown", "written"), receipt
            assert receipt["note"], "the missing answer is not told"
        assert [entry["event"] for entry in AuditLog(audit).entries()] == ["sending", receipt["outcome"]]


CHECKS: list[Callable[[ProtocolSkill], Awaitable[None]]] = [
    serving_loads_no_protocol_library_and_no_numpy,
    every_configured_tag_reads_good_in_both_eras,
    a_reading_costs_few_tokens,
    an_unknown_tag_names_the_nearest,
    an_unknown_tag_does_not_spoil_the_others,
    a_bad_raw_address_is_that_tags_problem_alone,
    tags_are_listed_page_by_page,
    samples_have_statistics_and_handles,
    a_lie_is_never_a_value,
    a_silent_device_costs_its_timeout_and_comes_back,
    slow_answers_are_right_answers,
    a_refusal_keeps_the_connection,
    twenty_calls_at_once_get_their_own_answers,
    diagnose_passes_on_a_healthy_device_and_names_the_step_on_a_dead_one,
    an_approved_write_arrives_once_and_is_audited,
    a_write_without_a_connection_says_that_nothing_was_sent,
    a_declined_write_sends_nothing,
    a_client_that_cannot_ask_is_refused,
    an_unanswered_write_is_never_repeated,
]


def _canonical(requirement: str) -> str:
    """The distribution's name in `pymodbus>=3.16,<4; extra == "x"`."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _eras() -> tuple[Era, ...]:
    return ("legacy", "auto")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


async def _values(client: SkillClient, skill: ProtocolSkill, tags: list[str]) -> dict[str, Any]:
    answer = await client.ask(f"{skill.name}_read_tags", tags=tags)
    return {row[0]: row[1] for row in answer["rows"]}


async def _change(client: SkillClient, skill: ProtocolSkill, plant_toml: str) -> tuple[str, float, Any]:
    """A writable number's name, a value that its limits allow, and its present value."""
    plant = _plant(skill, plant_toml)
    for name in await _names(client, skill.name, writable=True):
        limits = plant.tag(name).write
        if limits and limits.min is not None and limits.max is not None:
            before = (await _values(client, skill, [name]))[name]
            step = min(limits.max_step or 1, 1)
            return name, before + step if before + step <= limits.max else before - step, before
    raise AssertionError("the simulator's plant has no writable number")


def _plant(skill: ProtocolSkill, plant_toml: str) -> Plant:
    return simulated_plant(plant_toml, skill)


def _timeout(skill: ProtocolSkill, plant_toml: str) -> float:
    return max(device.timeout_s for device in _plant(skill, plant_toml).devices.values())
