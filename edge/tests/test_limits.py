"""Alarm events from limits: raised once, ended once, also across a restart, and never by a doubtful value."""

import time
from pathlib import Path

import pytest
from factorylm_edge.command import run
from factorylm_edge.gateway import Gateway
from factorylm_edge.limits import LimitAlarms
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import EdgeSettings, Limits, load_settings
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_schema import AlarmState, Device, Plant, PlantFileError, Tag

BEGIN_US = 1_790_000_000 * SECOND
SPEED = "pump1.speed"
PLANT = Plant(
    devices={
        "pump1": Device(
            name="pump1",
            url="modbus-tcp://127.0.0.1:5020",
            tags={"speed": Tag(device="pump1", name="speed", address="1")},
        )
    }
)


def course(*values: object, quality: int = 0) -> list[Sample]:
    return [Sample(SPEED, BEGIN_US + at * SECOND, value, quality) for at, value in enumerate(values)]  # type: ignore[arg-type]


def told(alarms: LimitAlarms, samples: list[Sample]) -> list[tuple[int, str, bool]]:
    return [(round(e.time.timestamp()) - BEGIN_US // SECOND, e.name, e.active) for e in alarms.judge(samples)]


def test_a_limit_is_told_when_it_is_passed_and_when_the_value_is_back_by_the_hysteresis():
    alarms = LimitAlarms({SPEED: Limits(low=10, high=90, high_high=100, hysteresis=5)})
    assert told(alarms, course(50, 90, 91, 89, 101, 96, 94, 85, 84, 9, 12, 15, 16)) == [
        (2, "high", True),
        (4, "high_high", True),
        (6, "high_high", False),
        (7, "high", False),
        (9, "low", True),
        (11, "low", False),
    ]


def test_what_is_doubtful_or_no_number_neither_raises_an_alarm_nor_ends_one():
    value_of_a_switch = False
    alarms = LimitAlarms({SPEED: Limits(high=90)})
    assert told(alarms, course(95, quality=0x40000000)) == []
    assert told(alarms, course(95)) == [(0, "high", True)]
    assert told(alarms, [*course(5, quality=0x80310000), *course(None, "off", value_of_a_switch)]) == []
    assert told(alarms, course(5)) == [(0, "high", False)]


async def test_events_stand_in_the_history_beside_the_values_and_a_restart_knows_what_is_active(tmp_path: Path):
    settings = EdgeSettings(alarms={SPEED: Limits(high=90, severity=700)})
    for values in ((50, 95), (96, 80)):
        history = SqliteHistory(tmp_path / "history.db")
        gateway = Gateway(PLANT, [], settings, history)
        start_us = time.time_ns() // 1000 - (60 if values[0] == 50 else 30) * SECOND
        gateway.recorder.put([Sample(SPEED, start_us + at * SECOND, float(v)) for at, v in enumerate(values)])
        await gateway.recorder.flush()
        assert gateway.status()["alarms"] == ([f"{SPEED} high"] if values[0] == 50 else [])
        found = history.events(0, 1 << 60, 10)
        history.close()
    assert [(e.source, e.name, e.active, e.severity) for e in found] == [
        (SPEED, "high", True, 700),
        (SPEED, "high", False, 700),
    ]
    assert [e.text for e in found] == ["95 is beyond high 90", "80 is back within high 90"]
    assert found[1].state is AlarmState.NORMAL
    assert run(["export", "--events", "--data", str(tmp_path), "--to", str(tmp_path / "alarms.csv")]) == 0
    rows = (tmp_path / "alarms.csv").read_text().splitlines()
    assert rows[0] == "time,source,name,active,severity,text"
    assert rows[2].endswith(f",{SPEED},high,0,700,80 is back within high 90")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[alarms."pump1.sped"]\nhigh = 1', "the plant has no tag 'pump1.sped'"),
        ('[alarms."pump1.speed"]\nseverity = 5', "no limit: give one of"),
        ('[alarms."pump1.speed"]\nhigh = 5\nlow = 6', "not in order"),
    ],
)
def test_limits_that_cannot_be_meant_are_said_with_their_place(tmp_path: Path, text, said):
    file = tmp_path / "edge.toml"
    file.write_text(text)
    with pytest.raises(PlantFileError, match=said):
        load_settings(file, PLANT)
