"""The console without a browser: what it tells, who may decide, what a reconnecting browser gets."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from factorylm.console import Board, console_app
from factorylm.console.stream import Stream
from factorylm.guard import Guard
from factorylm.serve import operators_choice
from factorylm_schema import AlarmEvent, Device, FactoryLMError, Plant, Reading, Tag
from factorylm_skill import (
    ApprovalDesk,
    Arguments,
    AuditLog,
    Call,
    CallRecord,
    Devices,
    OpenSkill,
    StandingAlarms,
    Tool,
)
from factorylm_skill.desk import WriteRequest
from pydantic import BaseModel, ConfigDict

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>\u202e" + "x" * 10_000
PLANT = Plant(
    name="Shed\u202e",
    devices={
        "d": Device(
            name="d",
            url="memory://d",
            tags={
                "level": Tag(device="d", name="level", address="level", unit="m", description="How full"),
                "note": Tag(device="d", name="note", address="note"),
            },
        )
    },
)


class Memory:
    def __init__(self, _: Device) -> None:
        self.level: float = 1.5

    async def read(self, tags: list[Tag]) -> list[Reading]:
        values = {"level": self.level, "note": EVIL}
        return [Reading(tag=tag.id, value=values[tag.address], unit=tag.unit, time=NOW) for tag in tags]

    async def close(self) -> None:
        return None


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.jsonl")


@pytest.fixture
def board(audit: AuditLog) -> Board:
    board = Board(plant=PLANT, devices=[Devices(PLANT, Memory)], audit=audit)
    board.desk = ApprovalDesk(clock=lambda: NOW, changed=board.requests_changed)
    return board


def asked(number: int = 1) -> WriteRequest:
    return WriteRequest(
        id=f"w{number}", tag="d.level", description="How full", unit="m", before=1.5, value=2, reason=EVIL,
        principal="local", client=EVIL, asked=NOW, expires=NOW + timedelta(seconds=120),
    )  # fmt: skip


def browser(board: Board, **options) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=console_app(board, Guard(**options)))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8790")


OWN = {"Origin": "http://127.0.0.1:8790", "Content-Type": "application/json"}


async def test_the_snapshot_holds_values_trends_health_alarms_requests_audit_and_calls(board, audit) -> None:
    alarm = AlarmEvent(time=NOW, source="d", name="HI", text=EVIL, active=True, acknowledged=False)
    back = replace_event(alarm, name="LO", active=False)

    async def standing() -> StandingAlarms:
        return StandingAlarms(alarms=[alarm, back], keeping=["d"])

    board.alarms = [standing]
    board.desk.put(asked())
    audit.append("written", tag="d.level", value=2, asked_because=EVIL)
    record = CallRecord(
        time=NOW, principal="local", client="c", tool="t", arguments="{}", outcome="ok", answered=3, seconds=0.1
    )
    board.called(record)
    await board.look()
    async with browser(board) as web:
        told = (await web.get("/api/snapshot")).json()
    assert told["plant"] == "Shed<U+202E>"
    assert told["values"][0]["value"] == 1.5
    assert told["trends"]["d.level"] == [[NOW.timestamp(), 1.5]]
    assert told["health"] == {"d": True}
    assert [(alarm["name"], alarm["state"]) for alarm in told["alarms"]["alarms"]] == [
        ("HI", "unacknowledged"),
        ("LO", "returned unacknowledged"),
    ]
    assert told["requests"][0]["decision"] == "waiting"
    assert told["audit"]["verdict"] == "1 lines, the chain is intact"
    assert told["calls"][0]["tool"] == "t"
    request = told["requests"][0]
    hostile = (told["values"][1]["value"], told["alarms"]["alarms"][0]["text"], request["client"], request["reason"])
    hostile += (told["audit"]["lines"][0]["asked_because"],)
    assert all(len(text) <= 200 and "\u202e" not in text for text in hostile)


def replace_event(event: AlarmEvent, **changes) -> AlarmEvent:
    return event.model_copy(update=changes)


async def test_a_decision_is_taken_once_and_recorded(board, audit) -> None:
    board.desk.put(asked())
    async with browser(board) as web:
        first = await web.post("/api/requests/w1", json={"approve": True}, headers=OWN)
        second = await web.post("/api/requests/w1", json={"approve": False}, headers=OWN)
        unknown = await web.post("/api/requests/w9", json={"approve": True}, headers=OWN)
        nonsense = await web.post("/api/requests/w1", json={"approve": "yes"}, headers=OWN)
    assert (first.status_code, first.json()) == (200, {"decision": "approved"})
    assert (second.status_code, unknown.status_code, nonsense.status_code) == (409, 404, 400)
    assert "already approved" in second.json()["title"]
    [line] = audit.entries()
    assert (line["event"], line["tag"], line["value"]) == ("approved", "d.level", 2)
    assert line["by"].endswith("at the console")


async def test_an_approval_after_its_time_is_refused(board) -> None:
    board.desk = ApprovalDesk(clock=lambda: NOW + timedelta(seconds=121))
    board.desk.put(asked())
    async with browser(board) as web:
        late = await web.post("/api/requests/w1", json={"approve": True}, headers=OWN)
    assert (late.status_code, late.json()["title"]) == (409, "this write is already expired")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://evil.example", "Content-Type": "application/json"}, 403),
        ({"Origin": "http://127.0.0.1:8790", "Content-Type": "text/plain"}, 403),
        ({**OWN, "Host": "evil.example"}, 421),
    ],
)
async def test_no_other_site_can_decide(board, headers, status) -> None:
    board.desk.put(asked())
    async with browser(board) as web:
        answer = await web.post("/api/requests/w1", content=b'{"approve": true}', headers=headers)
    assert answer.status_code == status
    assert board.desk.requests()[0][1].value == "waiting"


async def test_a_token_is_demanded_where_one_is_set_and_remembered(board) -> None:
    async with browser(board, tokens=(("s3cret-" * 5, "anna"),)) as web:
        assert (await web.get("/")).status_code == 401
        assert (await web.get("/", params={"token": "s3cret-" * 5})).status_code == 200
        assert (await web.get("/api/snapshot")).status_code == 200
        web.cookies.clear()
        assert (await web.get("/api/snapshot")).status_code == 401


async def test_only_the_pages_own_files_are_served_and_nothing_may_be_loaded_from_elsewhere(board) -> None:
    async with browser(board) as web:
        page = await web.get("/")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (await web.get("/page/console.js")).headers["content-type"].startswith("text/javascript")
        for name in ("app.py", "..%2fapp.py", "nothing.js", "console"):
            assert (await web.get(f"/page/{name}")).status_code == 404


async def test_without_writes_there_is_nothing_to_decide(audit) -> None:
    board = Board(plant=PLANT, devices=[])
    async with browser(board) as web:
        assert (await web.post("/api/requests/w1", json={"approve": True}, headers=OWN)).status_code == 409
        told = (await web.get("/api/snapshot")).json()
    assert "nothing is recorded" in told["audit"]["verdict"]


async def test_a_browser_that_was_away_gets_every_event_once_and_in_order() -> None:
    stream = Stream()
    for number in range(5):
        stream.publish("values", number)
    follower = stream.follow(2)
    seen = [(await anext(follower)).number for _ in range(3)]
    waiting = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    stream.publish("values", "late")
    seen.append((await asyncio.wait_for(waiting, 5)).number)
    await follower.aclose()
    assert seen == [3, 4, 5, 6]
    assert stream.followers == 0


async def test_a_browser_that_was_away_too_long_or_knows_another_server_is_told_to_reload() -> None:
    stream = Stream()
    for number in range(2_100):
        stream.publish("values", number)
    for last in (-1, 1, 9_999):
        follower = stream.follow(last)
        event = await anext(follower)
        await follower.aclose()
        assert (event.kind, event.number) == ("reload", 2_100)


def test_a_restarted_server_does_not_go_on_with_the_old_ones_numbers() -> None:
    before, after = Stream(), Stream()
    for stream in (before, after):
        stream.publish("values", 1)
        stream.publish("values", 2)
    assert before.number_of(before.last_id) == 2
    for foreign in (before.last_id, "", "2", f"{after.life}.x", f"{after.life}.-1"):
        assert after.after(after.number_of(foreign)) is None


async def test_events_go_over_the_wire_as_they_happen(board) -> None:
    await board.look()
    events = {event.kind: event for event in board.stream.after(0)}
    assert set(events) == {"alarms", "values", "health", "audit"}
    number, kind, data = events["values"].wire("abc").split("\n")[:3]
    assert (number, kind) == (f"id: abc.{events['values'].number}", "event: values")
    assert json.loads(data.removeprefix("data: "))[0]["tag"] == "d.level"


async def test_a_plant_nobody_watches_is_not_read(board) -> None:
    board.period_s = 0.01
    running = asyncio.ensure_future(board.run())
    await asyncio.wait([running], timeout=0.05)
    assert board.stream.last == 0
    follower = board.stream.follow(0)
    seen: set[str] = set()
    while "values" not in seen:
        seen.add((await asyncio.wait_for(anext(follower), 5)).kind)
    await follower.aclose()
    running.cancel()


def test_writes_and_a_console_together_make_a_desk(tmp_path) -> None:
    from argparse import Namespace

    options = Namespace(
        allow_writes=True, approve="person", audit=tmp_path / "a.jsonl", read_only=False, console="127.0.0.1:1", data=[]
    )
    settings, board = operators_choice(options, PLANT)
    assert settings.desk is board.desk is not None
    options.read_only = True
    settings, board = operators_choice(options, PLANT)
    assert (settings.allow_writes, settings.desk, board.desk) == (False, None, None)


class Course(BaseModel):
    model_config = ConfigDict(frozen=True)

    time: str
    kind: str
    columns: list[str]
    rows: list[list[Any]]


class Asked(Arguments):
    tag: str
    start: str
    points: int


def history(answer: Course | FactoryLMError, asked: list[Asked]) -> OpenSkill:
    """A history skill as any package may bring it."""

    async def read(question: Asked, _: Call) -> Course:
        asked.append(question)
        if isinstance(answer, FactoryLMError):
            raise answer
        return answer

    tool = Tool(
        name="history_read",
        title="Read",
        description="The course of one tag.",
        arguments=Asked,
        result=Course,
        run=read,
    )
    return OpenSkill(tools=[tool])


async def test_the_past_of_a_tag_comes_from_the_history_skill_with_its_gaps(board) -> None:
    windows = Course(
        time=NOW.isoformat(), kind="windows", columns=["s", "mean", "not_good"],
        rows=[[0, 1.5, 0], [18, 1.6, 0], [180, None, 1]],
    )  # fmt: skip
    asked: list[Asked] = []
    board.show([history(windows, asked)])
    async with browser(board) as web:
        told = (await web.get("/api/past", params={"tag": "d.level", "hours": "1"})).json()
        assert (await web.get("/api/snapshot")).json()["past"] is True
    begin = NOW.timestamp()
    assert told == {"points": [[begin, 1.5], [begin + 18, 1.6], [begin + 36, None], [begin + 180, None]]}
    assert [(a.tag, a.start) for a in asked] == [("d.level", "-3600s")]


@pytest.mark.parametrize(
    ("tag", "hours", "status", "said"),
    [
        ("d.nothing", "1", 404, "no tag 'd.nothing'"),
        ("d.level", "soon", 400, "say hours"),
        ("d.level", "-1", 400, "say hours"),
        ("d.level", "nan", 400, "say hours"),
        ("d.level", "1", 404, "no history in /data"),
    ],
)
async def test_a_past_that_cannot_be_told_is_said_why(board, tag, hours, status, said) -> None:
    board.show([history(FactoryLMError("there is no history in /data"), [])])
    async with browser(board) as web:
        answer = await web.get("/api/past", params={"tag": tag, "hours": hours})
    assert answer.status_code == status
    assert said in answer.json()["title"]


async def test_a_server_without_a_history_offers_none(board) -> None:
    board.show([OpenSkill(tools=[])])
    async with browser(board) as web:
        assert (await web.get("/api/snapshot")).json()["past"] is False
        assert (await web.get("/api/past", params={"tag": "d.level", "hours": "1"})).status_code == 404
