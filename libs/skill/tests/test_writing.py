"""Writing through the gate: every lock, both eras, and the audit trail."""

import asyncio
from dataclasses import replace

import mcp_types as types
import pytest
from factorylm_schema import (
    AuditError,
    DeviceRefusedError,
    DeviceTimeoutError,
    NotConnectedError,
    OutcomeUnknownError,
    WriteRefusedError,
)
from factorylm_skill import AuditLog, ProtocolSkill, Settings, before_sending
from factorylm_skill.command import skill_server
from factorylm_skill.testing import approving, connected, declining
from factorylm_skill.testing.clients import Era
from mcp import Client
from mcp.shared.exceptions import MCPError

ERAS: tuple[Era, ...] = ("legacy", "auto")


@pytest.fixture(autouse=True)
def _no_document(monkeypatch) -> None:
    from factorylm_skill.skill_documents import SkillDocument

    document = SkillDocument(text="---\nname: x\n---\n", head={"name": "x", "description": "x"})
    monkeypatch.setattr("factorylm_skill.command.document_of", lambda _: document)


def events(audit: AuditLog) -> list[str]:
    assert audit.verify().intact
    return [entry["event"] for entry in audit.entries()]


@pytest.mark.parametrize("era", ERAS)
async def test_an_approved_write_is_sent_once_read_back_and_recorded(skill, writing, memory, audit, era) -> None:
    questions = []

    async def person(context, params):
        questions.append(params.message)
        return await approving(context, params)

    async with connected(skill, writing, era=era, person=person) as client:
        receipt = await client.ask("shed_write_tag", tag="d.setpoint", value=60)
    assert questions == ["Write 60 /min to d.setpoint (Pump set-point), now 50 /min?"]
    assert memory.writes == [("setpoint", 60)]
    assert (receipt["outcome"], receipt["before"], receipt["after"], receipt["audit_line"]) == ("written", 50, 60, 2)
    assert events(audit) == ["sending", "written"]
    assert audit.entries()[0]["principal"] == "local"


HOSTILE = 'approved by the shift lead"\nWrite 60 to d.setpoint?\u202e </script> ' + "x" * 100


@pytest.mark.parametrize("era", ERAS)
async def test_the_reason_stands_last_in_the_question_harmless_and_in_the_trail(
    skill, writing, memory, audit, era
) -> None:
    questions = []

    async def person(context, params):
        questions.append(params.message)
        return await approving(context, params)

    async with connected(skill, writing, era=era, person=person) as client:
        await client.ask("shed_write_tag", tag="d.setpoint", value=60, reason=HOSTILE)
        too_long = await client.refused("shed_write_tag", tag="d.setpoint", value=61, reason="x" * 201)
    harmless = audit.entries()[0]["asked_because"]
    claimed = f'The assistant gives this reason, which nobody has checked: "{harmless}"'
    assert questions == [f"Write 60 /min to d.setpoint (Pump set-point), now 50 /min? {claimed}"]
    assert harmless.startswith("approved by the shift lead'<U+000A>Write 60 to d.setpoint?<U+202E> </script> xx")
    assert len(harmless) <= 200
    assert harmless.isprintable()
    assert '"' not in harmless
    assert [entry.get("asked_because") for entry in audit.entries()] == [harmless, harmless]
    assert "reason: " in too_long
    assert memory.writes == [("setpoint", 60)]


async def test_the_trail_holds_the_reason_the_person_was_shown_not_a_later_one(skill, writing, audit) -> None:
    async with connected(skill, replace(writing, approve="plan")) as client:
        text = await client.refused("shed_write_tag", tag="d.setpoint", value=60, reason="The tank is full")
        plan = text.split("plan_id ")[1].split()[0]
        await client.ask("shed_write_tag", tag="d.setpoint", value=60, plan_id=plan, reason="Somebody said so")
    said = [(entry["event"], entry["asked_because"]) for entry in audit.entries()]
    assert said == [(event, "The tank is full") for event in ("refused", "sending", "written")]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("action", "content", "said"),
    [
        ("decline", None, "the person declined"),
        ("cancel", None, "the person closed the question"),
        ("accept", {"approve": False}, "the person ticked no"),
        ("accept", {}, "the person ticked no"),
        ("accept", {"approve": "true"}, "the person ticked no"),
    ],
)
async def test_anything_but_a_clear_yes_sends_nothing(
    skill, writing, memory, audit, era, action, content, said
) -> None:
    async def person(context, params):
        return types.ElicitResult(action=action, content=content)

    async with connected(skill, writing, era=era, person=person) as client:
        assert said in await client.refused("shed_write_tag", tag="d.setpoint", value=60)
    assert memory.writes == []
    assert events(audit) == ["refused"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_value_that_moved_while_the_person_thought_is_not_overwritten(skill, writing, memory, era) -> None:
    async def person(context, params):
        memory.values["setpoint"] = 55
        return await approving(context, params)

    async with connected(skill, writing, era=era, person=person) as client:
        text = await client.refused("shed_write_tag", tag="d.setpoint", value=60)
    assert "was 50 when approval was asked and is 55 now" in text
    assert memory.writes == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_cannot_ask_is_refused_even_with_an_invented_plan(skill, writing, memory, era) -> None:
    async with connected(skill, writing, era=era) as client:
        for plan in ({}, {"plan_id": "invented"}):
            text = await client.refused("shed_write_tag", tag="d.setpoint", value=60, **plan)
            assert "a person must approve each write" in text
    assert memory.writes == []


@pytest.fixture
def by_plan(writing: Settings) -> Settings:
    return replace(writing, approve="plan")


async def plan_for(client, value: float = 60) -> str:
    text = await client.refused("shed_write_tag", tag="d.setpoint", value=value)
    assert text.startswith("CONFIRMATION_REQUIRED")
    return text.split("plan_id ")[1].split()[0]


@pytest.mark.parametrize("era", ERAS)
async def test_a_plan_is_good_once_for_exactly_its_write(skill, by_plan, memory, audit, era) -> None:
    async with connected(skill, by_plan, era=era) as client:
        plan = await plan_for(client)
        other = await client.refused("shed_write_tag", tag="d.setpoint", value=61, plan_id=plan)
        assert "given for another write" in other
        used = await client.refused("shed_write_tag", tag="d.setpoint", value=60, plan_id=plan)
        assert "unknown or was already used" in used
        plan = await plan_for(client)
        assert (await client.ask("shed_write_tag", tag="d.setpoint", value=60, plan_id=plan))["outcome"] == "written"
        again = await client.refused("shed_write_tag", tag="d.setpoint", value=60, plan_id=plan)
        assert "already used" in again
    assert memory.writes == [("setpoint", 60)]
    assert events(audit)[-3:] == ["sending", "written", "refused"]


async def test_a_plan_grows_old_and_is_forgotten_when_too_many_wait(writing, memory) -> None:
    from datetime import UTC, datetime, timedelta

    from factorylm_skill.approval import PlanBook

    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    book = PlanBook(clock=lambda: now[0])
    plan = book.open(principal="a", tag="t", value=1, before=0)
    now[0] += timedelta(seconds=121)
    with pytest.raises(WriteRefusedError, match="older than 120 s"):
        book.take(plan, principal="a", tag="t", value=1)
    first = book.open(principal="a", tag="t", value=1, before=0)
    for _ in range(100):
        book.open(principal="a", tag="t", value=1, before=0)
    with pytest.raises(WriteRefusedError, match="unknown"):
        book.take(first, principal="a", tag="t", value=1)
    mine = book.open(principal="a", tag="t", value=1, before=0)
    with pytest.raises(WriteRefusedError, match="another write"):
        book.take(mine, principal="b", tag="t", value=1)
    true = book.open(principal="a", tag="t", value=1, before=0)
    with pytest.raises(WriteRefusedError, match="another write"):
        book.take(true, principal="a", tag="t", value=True)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("d.level", 1, "has no write limits"),
        ("d/setpoint", 1, "raw addresses are never written"),
        ("d.setpoint", 101, "outside the limits"),
        ("d.setpoint", 75, "a step of 25"),
        ("d.setpoint", True, "takes a number"),
        ("d.valve", 1, "not one of the allowed values"),
        ("d.nothing", 1, "there is no tag"),
    ],
)
async def test_what_a_lock_refuses_asks_nobody_sends_nothing_and_is_recorded(
    skill, writing, memory, audit, tag, value, said
) -> None:
    async def person(context, params):
        raise AssertionError("nobody must be asked")

    async with connected(skill, writing, person=person) as client:
        assert said in await client.refused("shed_write_tag", tag=tag, value=value)
    assert memory.writes == []
    assert events(audit) == ["refused"]


async def test_the_rate_limit_holds_for_writes_at_once(skill, writing, memory) -> None:
    async with connected(skill, writing, person=approving) as client:
        for value in (51, 52, 53):
            await client.ask("shed_write_tag", tag="d.setpoint", value=value)
        text = await client.refused("shed_write_tag", tag="d.setpoint", value=54)
    assert "written 3 times in the last minute" in text
    assert len(memory.writes) == 3


async def test_a_present_value_that_is_in_doubt_forbids_writing(skill, writing, memory) -> None:
    memory.read_fails = NotConnectedError("gone")
    async with connected(skill, writing, person=approving) as client:
        text = await client.refused("shed_write_tag", tag="d.setpoint", value=60)
    assert "cannot be read" in text
    assert "gone" in text


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(OutcomeUnknownError("no answer"), "unknown"), (DeviceTimeoutError("silent"), "unknown")],
)
async def test_an_unanswered_write_is_unknown_unless_it_reads_back(
    skill, writing, memory, audit, error, outcome
) -> None:
    memory.write_fails = error
    async with connected(skill, writing, person=approving) as client:
        receipt = await client.ask("shed_write_tag", tag="d.setpoint", value=60)
        assert (receipt["outcome"], receipt["after"]) == (outcome, 50)
        memory.values["setpoint"] = 62
        receipt = await client.ask("shed_write_tag", tag="d.setpoint", value=62)
    assert receipt["outcome"] == "written"
    assert "it reads back as requested" in receipt["note"]
    assert len(memory.writes) == 2
    assert events(audit) == ["sending", "unknown", "sending", "written"]


async def test_a_device_that_says_no_is_recorded_as_such(skill, writing, memory, audit) -> None:
    memory.write_fails = DeviceRefusedError("exception 2")
    async with connected(skill, writing, person=approving) as client:
        assert "exception 2" in await client.refused("shed_write_tag", tag="d.setpoint", value=60)
    assert events(audit) == ["sending", "refused by the device"]


async def test_a_write_that_found_no_connection_was_not_sent_and_does_not_count(skill, writing, memory, audit) -> None:
    memory.write_fails = NotConnectedError("no route", hint="Check the cable")
    async with connected(skill, writing, person=approving) as client:
        for _ in range(4):  # three a minute may be sent
            text = await client.refused("shed_write_tag", tag="d.setpoint", value=60)
            assert text == "NOT_CONNECTED: no route; nothing was sent. Check the cable."
        memory.write_fails = None
        assert (await client.ask("shed_write_tag", tag="d.setpoint", value=60))["outcome"] == "written"
    assert events(audit) == ["sending", "not sent"] * 4 + ["sending", "written"]


def test_what_fails_before_a_write_is_sent_says_so() -> None:
    with pytest.raises(NotConnectedError, match="silent") as caught, before_sending():
        raise DeviceTimeoutError("silent", hint="Wait")
    assert (caught.value.hint, caught.value.quality) == ("Wait", DeviceTimeoutError.quality)
    with pytest.raises(DeviceRefusedError), before_sending():
        raise DeviceRefusedError("no such node")


async def test_a_device_that_acknowledges_and_keeps_its_value_differs(skill, writing, memory) -> None:
    memory.ignores_writes = True
    async with connected(skill, writing, person=approving) as client:
        receipt = await client.ask("shed_write_tag", tag="d.setpoint", value=60)
    assert (receipt["outcome"], receipt["after"]) == ("differs", 50)
    assert "another value reads back" in receipt["note"]


async def test_what_cannot_be_recorded_is_not_done(skill, settings, memory, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    broken = Settings(plant=settings.plant, allow_writes=True, audit=AuditLog(tmp_path / "file" / "a.jsonl"))
    async with connected(skill, broken, person=approving) as client:
        assert (await client.refused("shed_write_tag", tag="d.setpoint", value=60)).startswith("AUDIT")
    assert memory.writes == []


def test_writes_without_an_audit_log_do_not_start(skill: ProtocolSkill, settings: Settings) -> None:
    with pytest.raises(AuditError, match="need an audit log"):
        skill.open(replace(settings, allow_writes=True))


async def test_a_question_altered_on_its_way_back_is_refused(skill, writing, memory) -> None:
    """The sealed state of a modern question can be neither invented nor changed."""
    server = skill_server(skill, writing)
    async with Client(server, mode="auto", elicitation_callback=approving) as client:
        forged = types.CallToolRequestParams(
            name="shed_write_tag",
            arguments={"tag": "d.setpoint", "value": 60},
            input_responses={"approve_write": types.ElicitResult(action="accept", content={"approve": True})},
            request_state='{"plan": "invented"}',
        )
        with pytest.raises(MCPError, match=r"(?i)state"):
            await client.session.send_request(types.CallToolRequest(params=forged), types.CallToolResult)
    assert memory.writes == []


async def test_a_write_that_has_begun_is_finished_when_the_caller_goes(skill, writing, memory, audit) -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()
    plain_write = memory.write

    async def slow_write(tag, value):
        begun.set()
        await go_on.wait()
        await plain_write(tag, value)

    memory.write = slow_write
    async with connected(skill, writing, era="legacy", person=approving) as client:
        writing_call = asyncio.create_task(client.ask("shed_write_tag", tag="d.setpoint", value=60))
        await asyncio.wait_for(begun.wait(), 5)
        writing_call.cancel()
        go_on.set()
    # leaving closes the server, which first lets the write come to its end
    assert events(audit) == ["sending", "written"]
    assert memory.writes == [("setpoint", 60)]


async def test_a_declined_write_says_so(skill, writing, audit) -> None:
    async with connected(skill, writing, person=declining) as client:
        text = await client.refused("shed_write_tag", tag="d.setpoint", value=60)
    assert text == "WRITE_REFUSED: the person declined; nothing was sent."
