"""The alarm analyzer over the history store, while a gateway still writes it; from OPC UA all the way."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from factorylm_alarms import SKILL
from factorylm_edge.gateway import Gateway
from factorylm_edge.settings import EdgeSettings, Scan
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_opcua import SKILL as OPCUA
from factorylm_opcua.pump_station import PumpServer
from factorylm_schema import AlarmEvent, load_plant
from factorylm_skill import Settings
from factorylm_skill.testing import connected

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def event(minute: int, *, active: bool, **more: bool) -> AlarmEvent:
    when = BEGUN + timedelta(minutes=minute)
    return AlarmEvent(time=when, source="P-101", name="HI", active=active, event_id=f"{minute}", **more)


async def test_collected_alarm_events_are_analysed_while_more_come(tmp_path):
    history = SqliteHistory(tmp_path / "history.db")
    try:
        async with connected(SKILL, Settings(data=(tmp_path,))) as client:
            assert "history without alarm events" in await client.refused("alarms_load_log", log="history.db")
            history.append_events([event(n, active=n % 2 == 0) for n in range(6)])
            first = await client.ask("alarms_load_log", log="history.db")
            history.append_events([event(7, active=True, acknowledged=False), event(8, active=True)])
            second = await client.ask("alarms_load_log", log="history.db")
            kpis = await client.ask("alarms_show_kpis", log_id=second["log_id"])
    finally:
        history.close()
    assert first["headline"].startswith("3 activations of 1 alarms")
    assert second["headline"].startswith("4 activations of 1 alarms")
    assert dict(row[:2] for row in second["rows"])["format"].startswith("FactoryLM alarm events")
    assert dict(row[:2] for row in kpis["rows"])["acknowledge s: median / 90 %"] == "60 / 60"


class TellingHistory(SqliteHistory):
    """Says when events are on the disk."""

    async def kept(self) -> list[AlarmEvent]:
        """The next events kept."""
        return await asyncio.wait_for(self.news.get(), 60)

    def tell(self) -> "TellingHistory":
        """Into the running loop."""
        self.news, self.loop = asyncio.Queue(), asyncio.get_running_loop()
        return self

    def append_events(self, events):
        super().append_events(events)
        self.loop.call_soon_threadsafe(self.news.put_nowait, list(events))


async def test_alarms_of_an_opc_ua_server_are_collected_and_analysed_live(tmp_path, monkeypatch):
    monkeypatch.setenv("FACTORYLM_HOME", str(tmp_path / "home"))
    server = PumpServer(clock=lambda: 0.0)
    await server.start(live=False)
    (tmp_path / "plant.toml").write_text(f'[devices.pump1]\nurl = "opc.tcp://127.0.0.1:{server.port}"\n')
    history = TellingHistory(tmp_path / "history.db").tell()
    plant = load_plant(tmp_path / "plant.toml", [OPCUA.dialect])
    gateway = Gateway(plant, [OPCUA], EdgeSettings(scan=Scan(alarms_interval_s=0.05)), history)
    running = asyncio.create_task(gateway.run())
    try:
        events = []
        for _ in range(2):
            await server.raise_alarm(active=True)
            events += await history.kept()
            await server.raise_alarm(active=False)
            events += await history.kept()
            setattr(server.alarm.event, "AckedState/Id", True)
            server.alarm.event.Retain = False
            await server.alarm.trigger(message="acknowledged")
            events += await history.kept()
        async with connected(SKILL, Settings(data=(tmp_path,))) as client:
            loaded = await client.ask("alarms_load_log", log="history.db")
            ranked = await client.ask("alarms_rank_alarms", log_id=loaded["log_id"])
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        history.close()
        await server.stop()
    assert [(event.active, event.acknowledged) for event in events] == 2 * [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert loaded["headline"].startswith("2 activations of 1 alarms")
    assert ranked["rows"][0][:2] == ["pump1.Pump.BearingHot", 2]
    facts = dict(row[:2] for row in loaded["rows"])
    assert (facts["activation after activation"], facts["returns without activation"]) == (0, 0)


@pytest.fixture
def anyio_backend():
    return "asyncio"
