"""Collecting from real simulators: paces, changes, failures, and nobody waiting for anybody."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from factorylm_edge.collector import Collector
from factorylm_edge.gateway import Gateway
from factorylm_edge.reporting import BackOff, Reports, next_due
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import EdgeSettings, Scan, load_settings, paced
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_schema import (
    Device,
    Identity,
    NotConnectedError,
    Plant,
    PlantDialect,
    PlantFileError,
    Quality,
    Reading,
    Tag,
    Value,
)
from factorylm_skill import ProtocolSkill
from factorylm_skill.simulation import Simulation
from pydantic import BaseModel

BEGIN_US = 1_767_225_600 * SECOND
LAST_KNOWN = Quality.UncertainNoCommunicationLastUsableValue


class NoOptions(BaseModel):
    pass


class Field:
    """A protocol of its own: `value` answers at once, `slow` after a while, `down` not at all, `wild` breaks."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.reads: dict[str, int] = {}
        self.value: Value = 1.0
        self.held = asyncio.Event()

    @property
    def skill(self) -> ProtocolSkill:
        return ProtocolSkill(
            name="field",
            title="Field",
            version="0.1.0",
            instructions="",
            package="factorylm_edge",
            dialect=PlantDialect(schemes=frozenset({"field"}), device_options=NoOptions, tag_options=NoOptions),
            connect=lambda device: FieldDriver(self, device),
            simulate=nothing_simulated,
            address_example="",
        )


class FieldDriver:
    def __init__(self, field: Field, device: Device) -> None:
        self.field, self.device = field, device

    async def identify(self) -> Identity:
        return Identity()

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        name = self.device.name
        self.field.reads[name] = self.field.reads.get(name, 0) + 1
        if name == "slow":
            await self.field.held.wait()
        if name == "wild":
            raise ZeroDivisionError("a partner's bug")
        if name in self.field.down:
            raise NotConnectedError("nobody there")
        return [Reading(tag=tag.id, value=self.field.value, time=datetime.now(UTC)) for tag in tags]

    async def write(self, tag: Tag, value: Value) -> None:
        raise AssertionError("a collector never writes")

    async def close(self) -> None:
        return None


@asynccontextmanager
async def nothing_simulated(**_: object) -> AsyncIterator[Simulation]:
    raise AssertionError("not asked for")
    yield


def device(name: str, scheme: str = "field") -> Device:
    tag = Tag(device=name, name="x", address="1")
    return Device(name=name, url=f"{scheme}://{name}", tags={"x": tag})


def plant(*names: str) -> Plant:
    return Plant(devices={name: device(name) for name in names})


@asynccontextmanager
async def running(work: object) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work.run())  # type: ignore[attr-defined]
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_device_that_hangs_fails_or_breaks_slows_no_other(until):
    field, got = Field(), []
    field.down = {"down"}
    collector = Collector(plant("good", "slow", "down", "wild"), [field.skill], Scan(interval_s=0.05), got.extend)
    async with running(collector):
        await until(lambda: collector.states["good"].scans >= 10)
    assert field.reads["slow"] == 1
    assert field.reads["down"] <= 2  # a second of pause after the first failure
    assert collector.states["down"].problem == "nobody there"
    assert "ZeroDivisionError" in collector.states["wild"].problem
    assert {s.tag for s in got if s.is_good} == {"good.x"}


async def test_a_lost_device_leaves_its_last_good_value_as_uncertain_and_comes_back(until):
    field, got = Field(), []
    collector = Collector(plant("good"), [field.skill], Scan(interval_s=0.05), got.extend)
    async with running(collector):
        await until(lambda: collector.states["good"].scans >= 2)
        field.down = {"good"}
        await until(lambda: collector.states["good"].up is False)
        field.down = set()
        await until(lambda: collector.states["good"].up)
    found = [(s.value, s.quality) for s in got]
    assert found == [(1.0, 0), (1.0, LAST_KNOWN.code), (1.0, 0)]


async def test_scans_that_take_longer_than_their_interval_are_counted(until):
    field = Field()
    collector = Collector(plant("slow"), [field.skill], Scan(interval_s=0.05), lambda _: None)
    async with running(collector):
        await until(lambda: field.reads.get("slow"))
        await asyncio.to_thread(__import__("time").sleep, 0.2)
        field.held.set()
        await until(lambda: collector.states["slow"].overruns >= 2)


def test_a_device_nobody_speaks_to_is_said_so():
    mixed = Plant(devices={"odd": device("odd", "martian")})
    collector = Collector(mixed, [Field().skill], Scan(), lambda _: None)
    assert collector.states["odd"].problem == "no installed skill speaks martian://"


async def test_every_installed_protocol_is_collected_through_its_simulator(tmp_path, until):
    """Real sockets: polled where the protocol is asked, subscribed where it tells."""
    from factorylm_modbus import SKILL as MODBUS
    from factorylm_opcua import SKILL as OPCUA
    from factorylm_skill.command import simulated_plant

    history = SqliteHistory(tmp_path / "history.db")
    async with MODBUS.simulate() as polled, OPCUA.simulate() as telling:
        devices = {
            "polled": simulated_plant(polled.plant_toml, MODBUS).devices["pump1"],
            "telling": simulated_plant(telling.plant_toml, OPCUA).devices["pump1"],
        }
        renamed = {
            name: d.model_copy(
                update={"name": name, "tags": {k: t.model_copy(update={"device": name}) for k, t in d.tags.items()}}
            )
            for name, d in devices.items()
        }
        settings = EdgeSettings(scan=Scan(interval_s=0.1))
        gateway = Gateway(Plant(devices=renamed), [MODBUS, OPCUA], settings, history, flush_s=0.05)
        async with running(gateway):
            await until(lambda: all(history.latest(f"{name}.speed", 1 << 60) for name in renamed))
    for name in renamed:
        found = history.latest(f"{name}.speed", 1 << 60)
        assert found.is_good
        assert 0 <= found.value <= 1800
    assert {tag.name: tag.unit for tag in history.tags()}["polled.speed"] == "/min"
    history.close()


async def test_what_was_collected_is_committed_when_the_gateway_ends(tmp_path, until):
    field = Field()
    history = SqliteHistory(tmp_path / "history.db")
    gateway = Gateway(plant("good"), [field.skill], EdgeSettings(), history, flush_s=3600)
    async with running(gateway):
        await until(lambda: gateway.recorder.waiting)
    assert history.latest("good.x", 1 << 60).value == 1.0
    history.close()


async def test_a_plant_file_edited_while_running_is_taken_over_and_a_faulty_edit_is_not(tmp_path, until, monkeypatch):
    monkeypatch.setattr("factorylm_edge.gateway._LOOK_AT_PLANT_S", 0.02)
    field, file = Field(), tmp_path / "plant.toml"
    one = '[devices.a]\nurl = "field://a"\ntags.x = {{ address = "1", unit = "{}" }}\n'
    file.write_text(one.format("bar"))
    from factorylm_schema import load_plant

    history = SqliteHistory(tmp_path / "history.db")
    known = load_plant(file, [field.skill.dialect])
    scan = EdgeSettings(scan=Scan(interval_s=0.05))
    gateway = Gateway(known, [field.skill], scan, history, plant_file=file, flush_s=0.02)
    async with running(gateway):
        await until(lambda: history.latest("a.x", 1 << 60))
        file.write_text(one.format("bar") + "[devices.b]\n")
        await until(lambda: "url is missing" in gateway.plant_problem)
        scans = gateway.collector.states["a"].scans
        await until(lambda: gateway.collector.states["a"].scans > scans)
        file.write_text(one.format("kPa") + one.format("bar").replace(".a]", ".b]").replace("//a", "//b"))
        await until(lambda: history.latest("b.x", 1 << 60))
    assert [(tag.name, tag.unit) for tag in history.tags()] == [("a.x", "kPa"), ("b.x", "bar")]
    assert gateway.plant_problem == ""
    history.close()


# -- decisions ----------------------------------------------------------------------------------


def kept(*values: Value | None, deadband: float = 0.0, **more: object) -> list[Value | None]:
    reports = Reports([Tag(device="d", name="x", address="1", deadband=deadband)], **more)  # type: ignore[arg-type]
    given = [Sample("d.x", BEGIN_US + at * SECOND, value) for at, value in enumerate(values)]
    return [sample.value for one in given for sample in reports.worth_keeping([one])]


def test_a_value_is_kept_when_it_leaves_the_deadband_around_the_last_one_kept():
    assert kept(1.0, 1.4, 1.5, 1.51, 2.0, 2.1, deadband=0.5) == [1.0, 1.51, 2.1]
    assert kept(1, 1, 2, 2, 1) == [1, 2, 1]
    assert kept("a", "a", "b") == ["a", "b"]
    assert kept(*[1, 1.0, True, "1"]) == [1, 1.0, True, "1"]  # a tag that changes its type
    assert kept(1.0, 1.0, 1.0, everything=True) == [1.0, 1.0, 1.0]
    assert kept(*[5.0] * 25, most_silence_s=10) == [5.0] * 3


def test_a_change_of_quality_is_always_kept():
    reports = Reports([])
    codes = [0, 0, 0x40900000, 0x40900000, 0]
    given = [Sample("d.x", BEGIN_US, 1.0, code) for code in codes]
    assert [s.quality for one in given for s in reports.worth_keeping([one])] == [0, 0x40900000, 0]


def test_a_clock_that_went_back_does_not_silence_a_tag():
    reports = Reports([])
    given = [Sample("d.x", BEGIN_US, 1.0), Sample("d.x", BEGIN_US - 7200 * SECOND, 1.0)]
    assert [s for one in given for s in reports.worth_keeping([one])] == given


def test_what_holds_is_said_again_for_sources_that_tell_only_changes():
    reports = Reports([], most_silence_s=60)
    reports.worth_keeping([Sample("d.x", BEGIN_US, 1.0)])
    assert reports.still(BEGIN_US + 59 * SECOND) == []
    assert reports.still(BEGIN_US + 60 * SECOND) == [Sample("d.x", BEGIN_US + 60 * SECOND, 1.0)]
    assert reports.still(BEGIN_US + 61 * SECOND) == []


@pytest.mark.parametrize(("now", "expected"), [(0.4, (1.0, 0)), (1.0, (2.0, 1)), (3.7, (4.0, 3))])
def test_moments_that_passed_during_a_scan_are_counted_and_not_made_up_for(now, expected):
    assert next_due(0.0, 1.0, now) == expected


def test_a_silent_device_is_asked_less_and_less_often_and_at_once_again_when_it_answers():
    back_off = BackOff()
    assert [back_off.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    back_off.answered()
    assert back_off.failed() == 1


def test_the_first_group_that_names_a_tag_gives_it_its_pace(tmp_path: Path):
    file = tmp_path / "edge.toml"
    file.write_text(
        "[scan]\ninterval_s = 5\n[scan.devices.a]\ninterval_s = 2\n"
        "[[scan.devices.a.groups]]\ntags = ['x*']\ninterval_s = 0.5\n"
    )
    tags = {name: Tag(device="a", name=name, address="1") for name in ("x1", "y")}
    whole = Plant(devices={"a": device("a").model_copy(update={"tags": tags}), "b": device("b")})
    scan = load_settings(file, whole).scan
    assert paced(list(tags.values()), scan, "a") == {0.5: [tags["x1"]], 2.0: [tags["y"]]}
    assert list(paced([], scan, "b")) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[scan]\nintervall_s = 1\n", "edge.toml:2: scan.intervall_s"),
        ("[scan]\ninterval_s = 0\n", "edge.toml:2: scan.interval_s"),
        ("[scan.devices.pmp]\ninterval_s = 1\n", "the plant has no device 'pmp'; it has good"),
        ("[[scan.devices.good.groups]]\ntags = ['z*']\ninterval_s = 1\n", "no tag of good is called like 'z*'"),
        ("[[forward]]\nto = 'ftp://x'\ntags = ['*']\n", "forward.0.to"),
        ("[[forward]]\nto = 'mqtt://x'\n", "forward.0.tags"),
        ("[scan\n", "edge.toml:1"),
    ],
)
def test_a_faulty_setting_is_named_with_its_line(tmp_path, text, told):
    file = tmp_path / "edge.toml"
    file.write_text(text)
    with pytest.raises(PlantFileError) as refused:
        load_settings(file, plant("good"))
    assert told in str(refused.value)
