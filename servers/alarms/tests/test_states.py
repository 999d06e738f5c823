"""Journals of states: alarms that need no acknowledgement, alarms the operator does not see, events as JSON lines."""

import json
from pathlib import Path

import pytest

HEADER = "Time,SourceName,ConditionName,ActiveState,AckedState,SuppressedOrShelved,Severity\n"
EVENT = {"source": "P-101", "name": "HI"}


def opcua(tmp_path: Path, *rows: tuple[int, bool, bool, bool]) -> Path:
    """A journal of (minute, active, acknowledged, hidden) of one alarm."""
    path = tmp_path / "ac.csv"
    told = {True: "True", False: "False"}
    lines = [f"2026-01-01T00:{m:02d}:00Z,P-101,HI,{told[a]},{told[k]},{told[h]},700\n" for m, a, k, h in rows]
    path.write_text(HEADER + "".join(lines))
    return path


def test_an_alarm_that_needs_no_acknowledgement_counts_each_time_it_comes(tmp_path, report):
    rows = [(1, True, True, False), (2, False, True, False), (3, True, True, False), (4, False, True, False)]
    found = report(opcua(tmp_path, *rows))
    assert (found["activations"], found["acknowledge_s"]) == (2, None)
    assert found["priority_pct"] == {"700": 100.0}
    assert found["data_quality"]["unpaired"] == dict.fromkeys(found["data_quality"]["unpaired"], 0)


def test_active_and_acknowledged_after_active_is_an_acknowledgement(tmp_path, report):
    rows = [(1, True, False, False), (2, True, True, False), (9, False, True, False), (10, True, True, False)]
    found = report(opcua(tmp_path, *rows))
    assert found["activations"] == 2
    assert (found["acknowledge_s"]["count"], found["acknowledge_s"]["median"]) == (1, 60.0)


def test_an_alarm_needing_no_acknowledgement_does_not_start_an_acknowledge_time(tmp_path, report):
    rows = [(1, True, True, False), (5, False, True, False), (8, True, False, False), (9, True, True, False)]
    found = report(opcua(tmp_path, *rows))
    assert (found["acknowledge_s"]["count"], found["acknowledge_s"]["median"]) == (1, 60.0)


def test_what_the_operator_does_not_see_is_no_activation(tmp_path, report):
    found = report(opcua(tmp_path, (1, True, False, False), (3, False, False, False), (4, True, False, True)))
    assert found["activations"] == 1
    assert found["changes"] == [{"class": "suppression", "what": "P-101.HI", "rows": 1}]


def events_file(tmp_path: Path, *events: dict[str, object]) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(EVENT | event) + "\n" for event in events))
    return path


def test_what_an_event_leaves_out_has_its_default_however_late_another_says_it(tmp_path, report):
    many = [{"time": f"2026-01-01T{n // 60:02d}:{n % 60:02d}:00Z", "active": n % 2 == 0} for n in range(200)]
    late = {"time": "2026-01-01T12:00:00Z", "active": True, "acknowledged": False}
    acked = {"time": "2026-01-01T12:01:00Z", "active": True}
    found = report(events_file(tmp_path, *many, late, acked))
    assert found["format"] == "FactoryLM alarm events"
    assert found["activations"] == 101
    assert (found["acknowledge_s"]["count"], found["acknowledge_s"]["median"]) == (1, 60.0)


@pytest.mark.parametrize("broken", ["[1, 2]", '{"time": ', '"text"'])
def test_a_line_that_is_no_event_is_rejected_and_counted(tmp_path, report, broken):
    path = events_file(tmp_path, {"time": "2026-01-01T00:00:00Z", "active": True})
    path.write_text(path.read_text() + broken + "\n" + json.dumps(EVENT | {"time": "2026-01-01T00:01:00Z"}) + "\n")
    found = report(path)
    assert (found["activations"], found["rejected"]) == (1, 1)
