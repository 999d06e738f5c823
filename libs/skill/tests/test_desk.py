"""Writes that wait on the operator's desk, for clients that cannot ask their user."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from factorylm_schema import BadRequestError, UnknownNameError, WriteRefusedError
from factorylm_skill import ApprovalDesk, build_server
from factorylm_skill.desk import Decision, WriteRequest
from factorylm_skill.testing import approving, connected
from mcp import Client


@pytest.fixture(autouse=True)
def _no_document(monkeypatch) -> None:
    from factorylm_skill.skill_documents import SkillDocument

    document = SkillDocument(text="---\nname: x\n---\n", head={"name": "x", "description": "x"})
    monkeypatch.setattr("factorylm_skill.command.document_of", lambda _: document)


@pytest.fixture
def laid() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def desk(laid) -> ApprovalDesk:
    return ApprovalDesk(clock=lambda: datetime.now(UTC), changed=laid.set)


async def waiting(desk: ApprovalDesk, laid: asyncio.Event) -> WriteRequest:
    await asyncio.wait_for(laid.wait(), 5)
    return next(request for request, decision, _ in desk.requests() if decision is Decision.WAITING)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_write_approved_at_the_desk_arrives_once(skill, writing, memory, audit, desk, laid, era) -> None:
    async with connected(skill, replace(writing, desk=desk), era=era) as client:
        asking = asyncio.create_task(client.ask("shed_write_tag", tag="d.setpoint", value=60, reason="Too hot"))
        request = await waiting(desk, laid)
        assert (request.tag, request.before, request.value, request.unit) == ("d.setpoint", 50, 60, "/min")
        assert request.reason == "Too hot"
        assert desk.decide(request.id, approve=True, by="anna") is Decision.APPROVED
        assert (await asyncio.wait_for(asking, 5))["outcome"] == "written"
        with pytest.raises(BadRequestError, match="already done"):
            desk.decide(request.id, approve=True, by="bert")
        again = await client.refused("shed_write_tag", tag="d.setpoint", value=60, plan_id=request.id)
        assert "already used" in again
    assert memory.writes == [("setpoint", 60)]
    assert [entry["event"] for entry in audit.entries()] == ["sending", "written", "refused"]


async def test_a_write_refused_at_the_desk_sends_nothing_and_names_who(skill, writing, memory, desk, laid) -> None:
    async with connected(skill, replace(writing, desk=desk)) as client:
        asking = asyncio.create_task(client.refused("shed_write_tag", tag="d.setpoint", value=60))
        desk.decide((await waiting(desk, laid)).id, approve=False, by="anna")
        assert "anna refused this write" in await asyncio.wait_for(asking, 5)
    assert memory.writes == []


async def test_an_undecided_write_may_be_waited_for_again(skill, writing, memory, desk, laid, monkeypatch) -> None:
    monkeypatch.setattr("factorylm_skill.writing._PATIENCE_S", 0.05)
    async with connected(skill, replace(writing, desk=desk)) as client:
        text = await client.refused("shed_write_tag", tag="d.setpoint", value=60)
        assert text.startswith("CONFIRMATION_REQUIRED: an operator has not yet decided")
        request = await waiting(desk, laid)
        other = await client.refused("shed_write_tag", tag="d.setpoint", value=61, plan_id=request.id)
        assert "not yet decided" in other
        desk.decide(request.id, approve=True, by="anna")
        wrong = await client.refused("shed_write_tag", tag="d.setpoint", value=61, plan_id=request.id)
        assert "given for another write" in wrong
    assert memory.writes == []


async def test_a_client_that_can_ask_its_user_does_not_trouble_the_desk(skill, writing, desk) -> None:
    async with connected(skill, replace(writing, desk=desk), person=approving) as client:
        assert (await client.ask("shed_write_tag", tag="d.setpoint", value=60))["outcome"] == "written"
    assert desk.requests() == []


def request(number: int, now: datetime) -> WriteRequest:
    return WriteRequest(
        id=str(number), tag="t", description="", unit="", before=0, value=1, reason="", principal="p", client="c",
        asked=now, expires=now + timedelta(seconds=120),
    )  # fmt: skip


async def test_what_nobody_decides_expires_and_can_be_decided_no_more() -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    changes: list[int] = []
    desk = ApprovalDesk(clock=lambda: now[0], changed=lambda: changes.append(1))
    desk.put(request(1, now[0]))
    assert await desk.wait("1", 0.01) is False
    now[0] += timedelta(seconds=121)
    with pytest.raises(BadRequestError, match="already expired"):
        desk.decide("1", approve=True, by="anna")
    with pytest.raises(WriteRefusedError, match="nobody decided"):
        await desk.wait("1", 0.01)
    assert [decision for _, decision, _ in desk.requests()] == [Decision.EXPIRED]
    assert len(changes) == 2
    with pytest.raises(UnknownNameError):
        desk.decide("2", approve=True, by="anna")


def test_the_desk_keeps_the_latest_hundred() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    desk = ApprovalDesk(clock=lambda: now)
    for number in range(120):
        desk.put(request(number, now))
    kept = desk.requests()
    assert (len(kept), kept[0][0].id, kept[-1][0].id) == (100, "119", "20")


async def test_every_call_is_observed_with_its_outcome_and_size(skill, settings) -> None:
    seen = []
    opened = skill.open(settings)
    server = build_server([opened], name="x", title="x", version="1", observer=seen.append)
    async with Client(server, mode="legacy") as client:
        await client.call_tool("shed_read_tags", {"tags": ["d.level"]})
        await client.call_tool("shed_read_tags", {"tags": ["d.nothing"]})
    assert [(record.tool, record.outcome) for record in seen] == [
        ("shed_read_tags", "ok"),
        ("shed_read_tags", "UNKNOWN_NAME"),
    ]
    assert seen[0].arguments == '{"tags": ["d.level"]}'
    assert seen[0].answered > 50
    assert opened.devices
    assert opened.devices.health() == {"d": True}
