"""The alarm analyzer over the history store, while a gateway still writes it."""

from datetime import UTC, datetime, timedelta

from factorylm_alarms import SKILL
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_schema import AlarmEvent
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
