"""Each journal format from its documented columns: the same story written in each is read back the same."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factorylm_alarms.command import main
from factorylm_schema import AlarmEvent

START = datetime(2025, 3, 14, 8, tzinfo=UTC)
STORY = [
    (0, "FIC101", "PVHI", "come"),
    (7, "FIC101", "PVHI", "ack"),
    (20, "FIC101", "PVHI", "go"),
    (25, "LIC7", "PVLO", "come"),
    (33, "LIC7", "PVLO", "go"),
    (40, "LIC7", "PVLO", "ack"),
    (61, "FIC101", "PVHI", "come"),
    (90, "FIC101", "PVHI", "go"),
]
Rows = list[list[object]]


def at(second: float, shape: str = "%Y-%m-%d %H:%M:%S") -> str:
    return (START + timedelta(seconds=second)).strftime(shape)


def experion() -> Rows:
    action = {"come": "", "ack": "ACK", "go": "OK"}
    header = "Event Time,Location Tag,Source,Condition,Action,Priority,Description,Value,Units".split(",")
    rows = [[at(s), "UNIT1", tag, cond, action[what], "U 00", "flow", "1.2", "m3/h"] for s, tag, cond, what in STORY]
    return [header, *rows, [at(95), "UNIT1", "FIC101", "CHANGE", "", "J 00", "SP", "5", "m3/h"]]


def wincc() -> Rows:
    header = "Time_ms MsgProc StateAfter MsgClass MsgNumber Var1 Var2 TimeString MsgText PLC".split()
    number, acked, rows = {"FIC101": 101, "LIC7": 7}, set(), []
    for second, tag, _, what in STORY:
        when = START + timedelta(seconds=second)
        serial = ((when - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1) + 25_569) * 1e6
        if what == "ack":
            acked.add(tag)
        state = {"come": "1", "ack": "3", "go": "2" if tag in acked else "0"}[what]
        if (second, tag) == (40, "LIC7"):
            state = "6"
        stamp = f"{serial:.6f}".replace(".", ",")
        rows.append([stamp, "2", state, "1", number[tag], "", "", when.strftime("%d.%m.%y %H:%M:%S"), "text", "PLC1"])
    return [header, *rows, [rows[-1][0], "1", "1", "3", "9001", "", "", "", "panel started", "PLC1"]]


def ignition() -> Rows:
    header = ["id", "eventid", "source", "displaypath", "priority", "eventtype", "eventflags", "eventtime"]
    ids, rows = {}, []
    for number, (second, tag, cond, what) in enumerate(STORY):
        if what == "come":
            ids[tag] = f"00000000-0000-0000-0000-{number:012d}"
        kind = {"come": 0, "go": 1, "ack": 2}[what]
        source = f"prov:default:/tag:{tag}:/alm:{cond}"
        rows.append([number, ids[tag], source, f"Area/{tag}", 3, kind, 0, at(second)])
    return [header, *rows]


def intouch() -> Rows:
    header = "EventStamp,AlarmState,TagName,Description,Area,Type,Value,CheckValue,Priority".split(",")
    rows, acked = [], {}
    for second, tag, cond, what in STORY:
        acked[tag] = what == "ack" if what in {"come", "ack"} else acked.get(tag, False)
        state = {"come": "UNACK", "ack": "ACK", "go": "ACK_RTN" if acked[tag] else "UNACK_RTN"}[what]
        if (second, tag) == (40, "LIC7"):
            state = "ACK_RTN"
        rows.append([at(second), state, tag, "text", "$System", cond, "1.0", "2.0", "1"])
    return [header, *rows]


def historian() -> Rows:
    words = {"come": "Alarm.Set", "go": "Alarm.Clear", "ack": "Alarm.Acknowledged"}
    header = ["EventTimeUtc", "Type", "IsAlarm", "Source_Object", "Source_ConditionVariable", "Priority", "Severity"]
    rows = [[at(s, "%Y-%m-%dT%H:%M:%SZ"), words[what], "true", tag, cond, "500", "2"] for s, tag, cond, what in STORY]
    return [header, *rows, [at(95, "%Y-%m-%dT%H:%M:%SZ"), "User.Write", "false", "FIC101", "SP", "", ""]]


def cimplicity() -> Rows:
    header = ["timestamp", "Alarm ID", "alarm_class", "resource", "prev_state", "log_action", "final_state"]
    letter = {"come": "G", "ack": "A", "go": "R"}
    return [header, *([at(s), tag, cond, "R1", "N", letter[what], "A"] for s, tag, cond, what in STORY)]


def deltav() -> Rows:
    header = "Date/Time,ms,Event Type,Category,Area,Node,Unit,Module,Attribute,State,Level,Desc1,Desc2".split(",")
    rows, acked = [], {}
    for second, tag, cond, what in STORY:
        acked[tag] = what == "ack" if what in {"come", "ack"} else acked.get(tag, False)
        state = {"come": "ACT/UNACK", "ack": "ACT/ACK", "go": "INACT/ACK" if acked[tag] else "INACT/UNACK"}[what]
        if (second, tag) == (40, "LIC7"):
            state = "INACT/ACK"
        rows.append(
            [at(second), "0", "PROCESS ALARM", "PROCESS", "A1", "CTL1", "", tag, cond, state, "WARNING", "", ""]
        )
    change = [at(95), "0", "CHANGE", "USER", "A1", "CTL1", "", "FIC101", "SP", "", "", "NEW VALUE = 5", ""]
    return [header, *rows, change]


def opcua() -> Rows:
    header = ["Time", "SourceName", "ConditionName", "ActiveState", "AckedState", "Severity", "Message"]
    rows, acked = [], {}
    for second, tag, cond, what in STORY:
        acked[tag] = what == "ack" if what in {"come", "ack"} else acked.get(tag, False)
        if (second, tag) == (40, "LIC7"):
            acked[tag] = True
        active = "Active" if what == "come" or (what == "ack" and second == 7) else "Inactive"
        acks = "Acknowledged" if acked[tag] else "Unacknowledged"
        rows.append([at(second, "%Y-%m-%dT%H:%M:%SZ"), tag, cond, active, acks, "700", "text"])
    return [header, *rows]


def event_text() -> Rows:
    rows = [
        [at(s), tag, cond if what == "come" else f"{cond} NR", "text"] for s, tag, cond, what in STORY if what != "ack"
    ]
    return [["timestamp", "tag", "type", "description"], *rows]


def interval() -> Rows:
    header = ["Start time", "End time", "Ack time", "Tag", "Condition"]
    spans = [(0, 20, 7, "FIC101", "PVHI"), (25, 33, 40, "LIC7", "PVLO"), (61, 90, None, "FIC101", "PVHI")]
    return [header, *([at(a), at(b), "" if c is None else at(c), tag, cond] for a, b, c, tag, cond in spans)]


def plant_scada() -> Rows:
    spans = [(0, 20, 7, "FIC101", "PVHI"), (25, 33, 40, "LIC7", "PVLO"), (61, 90, None, "FIC101", "PVHI")]
    header = ["Tag", "AlarmType", "Area", "ActiveTime", "InactiveTime", "AckTime", "DisabledTime"]
    return [header, *([tag, cond, "1", at(a), at(b), "" if c is None else at(c), ""] for a, b, c, tag, cond in spans)]


def numbers() -> Rows:
    word = {"come": "ACT", "go": "RTN", "ack": "ACK"}
    base = int(START.timestamp() * 1000)
    return [["ts", "tag", "alarm type", "event"], *([base + s * 1000, t, c, word[w]] for s, t, c, w in STORY)]


def two_columns() -> Rows:
    word = {"come": "ON", "go": "OFF", "ack": "ACK"}
    header = ["Date", "Time", "Tag", "Condition", "Status"]
    return [header, *([at(s, "%d.%m.%Y"), at(s, "%H:%M:%S"), t, c, word[w]] for s, t, c, w in STORY)]


FORMATS: dict[str, tuple[Callable[[], Rows], str, dict[str, object]]] = {
    "Honeywell Experion": (experion, ",", {"setting change": 1}),
    "Siemens WinCC": (wincc, ";", {"system event": 1}),
    "Ignition journal": (ignition, ",", {}),
    "AVEVA InTouch": (intouch, ",", {}),
    "AVEVA Historian": (historian, ",", {"setting change": 1}),
    "AVEVA Plant SCADA summary": (plant_scada, ",", {}),
    "GE CIMPLICITY": (cimplicity, ",", {}),
    "Emerson DeltaV Event Chronicle": (deltav, ",", {"setting change": 1}),
    "OPC UA alarms and conditions": (opcua, ",", {}),
    "event text": (event_text, ",", {}),
    "interval": (interval, ";", {}),
    "generic": (numbers, ",", {}),
    "generic, date and time apart": (two_columns, ";", {}),
}


def write_csv(path: Path, rows: Rows, delimiter: str) -> Path:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    path.write_text(buffer.getvalue(), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_the_story_is_read_back_from_every_format(name, tmp_path, report):
    make, delimiter, extra = FORMATS[name]
    found = report(write_csv(tmp_path / "log.csv", make(), delimiter))
    assert found["format"] == name.split(",")[0]
    assert (found["rejected"], found["duplicates"], found["activations"], found["alarms"]) == (0, 0, 3, 2)
    assert found["first"].removesuffix("Z") == "2025-03-14T08:00:00"
    unpaired = found["data_quality"]["unpaired"]
    assert unpaired == dict.fromkeys(unpaired, 0)
    if name != "event text":
        assert found["acknowledge_s"]["count"] == 2
        assert found["acknowledge_s"]["median"] == pytest.approx(11)
    assert {kind: found["data_quality"]["rows_by_class"].get(kind) for kind in extra} == extra


def test_durations_survive_the_round_trip(tmp_path, report):
    for name, (make, delimiter, _) in FORMATS.items():
        log = write_csv(tmp_path / "log.csv", make(), delimiter)
        fleeting = report(log)["fleeting"]
        assert [(one["count"], one["share_pct"]) for one in fleeting] == [(1, 100.0)], name


def test_an_ignition_database_is_read_and_paired_by_event_id(tmp_path, report):
    path = tmp_path / "journal.sqlite"
    rows = ignition()
    rows[4:6] = [rows[5], rows[4]]  # file order changes nothing: the event id pairs
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE alarm_events ({', '.join(map(str, rows[0]))})")
        database.executemany(f"INSERT INTO alarm_events VALUES ({','.join('?' * 8)})", rows[1:])
    database.close()
    found = report(path)
    assert (found["format"], found["activations"], found["acknowledge_s"]["count"]) == ("Ignition journal", 3, 2)
    assert found["top"][0]["alarm"] == "FIC101.PVHI"


def test_two_overlapping_ignition_events_of_one_alarm_are_paired_by_their_ids(tmp_path, report):
    header = ["id", "eventid", "source", "displaypath", "priority", "eventtype", "eventflags", "eventtime"]
    source = "prov:default:/tag:T:/alm:H"
    story = [("a", 0, 0), ("b", 0, 10), ("a", 1, 20), ("b", 1, 22)]
    rows = [[n, event, source, "", 3, kind, 0, at(s)] for n, (event, kind, s) in enumerate(story)]
    found = report(write_csv(tmp_path / "log.csv", [header, *rows], ","))
    assert found["data_quality"]["unpaired"] == dict.fromkeys(found["data_quality"]["unpaired"], 0)


def test_alarm_events_of_other_skills_are_read_as_json_lines(tmp_path, report):
    path, active = tmp_path / "events.jsonl", set()
    with path.open("w", encoding="utf-8") as file:
        for second, tag, cond, what in STORY:
            active = active | {tag} if what == "come" else active - {tag} if what == "go" else active
            acked = what == "ack" or (what == "go" and second != 33)
            event = AlarmEvent(
                time=START + timedelta(seconds=second), source=tag, name=cond, active=tag in active, acknowledged=acked
            )
            file.write(event.model_dump_json() + "\n")
    found = report(path)
    assert (found["format"], found["activations"], found["alarms"]) == ("FactoryLM alarm events", 3, 2)
    assert found["data_quality"]["zone"] == "UTC"
    assert found["data_quality"]["unpaired"]["orphan_returns"] == 0


@pytest.mark.parametrize(
    ("columns", "name"),
    [("Source,Alarm", "util1.AIR_LO"), ("Source,Alarm Name", "util1.AIR_LO"), ("Alarm,Area", "AIR_LO")],
)
def test_a_column_called_alarm_names_the_alarm(columns, name, tmp_path, report):
    log = tmp_path / "plant.csv"
    cells = {"Source": "util1", "Alarm": "AIR_LO", "Alarm Name": "AIR_LO", "Area": "hall"}
    row = ",".join(cells[column] for column in columns.split(","))
    other = row.replace("AIR_LO", "SUPPLY_LO")
    lines = [f"2026-01-05T06:12:0{n}+00:00,{one},ACTIVE,500,Low" for n, one in enumerate((row, other, row))]
    log.write_text("\n".join([f"Time,{columns},State,Severity,Message", *lines]) + "\n")
    found = report(log)
    assert [(one["alarm"], one["count"]) for one in found["top"]] == [(name, 2), (name.replace("AIR", "SUPPLY"), 1)]


def test_a_parquet_file_is_read_like_its_csv(tmp_path, report, needed):
    arrow_csv, parquet = needed("pyarrow.csv"), needed("pyarrow.parquet")
    log = write_csv(tmp_path / "log.csv", cimplicity(), ",")
    parquet.write_table(arrow_csv.read_csv(log), tmp_path / "log.parquet")
    plain, found = report(log), report(tmp_path / "log.parquet")
    assert {k: found[k] for k in ("rows", "activations", "hours")} == {
        k: plain[k] for k in ("rows", "activations", "hours")
    }


def test_an_unknown_format_is_proposed_then_read_when_confirmed(tmp_path, report, refused, capsys):
    word = {"come": "ein", "go": "aus", "ack": "gesehen"}
    rows = [["wann", "wo", "was"], *([at(s), f"{t}.{c}", word[w]] for s, t, c, w in STORY)]
    log = write_csv(tmp_path / "log.csv", rows, ";")
    assert "propose" in refused("report", str(log))
    capsys.readouterr()
    assert main(["propose", str(log)]) == 0
    proposal = capsys.readouterr().out
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(proposal)
    assert "not confirmed" in refused("report", str(log), "--mapping", str(mapping))
    done = proposal.replace("confirmed = false", "confirmed = true").replace('source = ""', 'source = "wo"')
    done = done.replace('event = ""', 'event = "was"').replace(
        "[time]", '"ein" = "activation"\n"aus" = "return"\n"gesehen" = "acknowledgement"\n\n[time]'
    )
    mapping.write_text(done)
    found = report(log, options=["--mapping", str(mapping)])
    assert (found["activations"], found["alarms"], found["acknowledge_s"]["count"]) == (3, 2, 2)


MAPPING = 'confirmed = true\n[columns]\ntime = "time"\nsource = "tag"\nevent = "event"\n'
WRONG_MAPPINGS = {
    MAPPING.replace('"tag"', '"nowhere"'): "its columns: time, tag, event",
    MAPPING + "wrong = 1\n": "unknown column meaning 'wrong'",
    MAPPING + '[events]\nON = "alarm"\n': "the classes: activation",
    MAPPING + '[time]\norder = "us"\n': "month-first",
    MAPPING + '[time]\nzone = "Mars/Olympus"\n': "Europe/Berlin",
    "confirmed = true\n": "no [columns]",
    "confirmed = ": "cannot be read",
    'confirmed = true\n[columns]\ntime = "time"\n': "needs the columns",
}


@pytest.mark.parametrize("text", WRONG_MAPPINGS)
def test_a_wrong_mapping_file_is_told_what_would_be_right(text, tmp_path, refused):
    log = write_csv(tmp_path / "log.csv", [["time", "tag", "event"], [at(0), "T", "ACT"]], ",")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(text)
    assert WRONG_MAPPINGS[text] in refused("report", str(log), "--mapping", str(mapping))


def test_rows_that_are_no_alarms_are_classified_before_anything_is_counted(tmp_path, report):
    words = ["ACT", "RTN", "ACK", "SHELVE", "CHANGE", "LOGIN", "EVENT", "peculiar"] + ["ACT", "RTN"] * 6
    rows = [["time", "tag", "event"], *([at(i), "T", word] for i, word in enumerate(words))]
    found = report(write_csv(tmp_path / "log.csv", rows, ","))
    assert found["activations"] == 7
    assert found["data_quality"]["rows_by_class"] == {
        "activation": 7,
        "return": 7,
        "acknowledgement": 1,
        "suppression": 1,
        "setting change": 1,
        "system event": 1,
        "other": 2,
    }
    assert found["data_quality"]["unknown_words"] == {"EVENT": 1, "peculiar": 1}
    assert {one["class"] for one in found["changes"]} == {"suppression", "setting change"}


def test_a_column_that_names_the_alarm_keeps_two_alarms_of_one_source_apart(tmp_path):
    rows = "Time,Source,Alarm,State,Severity,Message\n"
    for minute, name in enumerate(("VIB_HI", "TEMP_HI", "VIB_HI")):
        rows += f"2026-01-05T09:{minute:02}:00Z,drive1,{name},ACTIVE,500,text\n"
        rows += f"2026-01-05T09:{minute:02}:30Z,drive1,{name},RETURN,500,text\n"
    for header, expected in (("", 2), ("Time,Name,Alarm", 2)):
        log = tmp_path / "log.csv"
        text = rows.replace("Time,Source,Alarm", header) if header else rows
        log.write_text(text, encoding="utf-8")
        assert main(["report", str(log), "--json", str(tmp_path / "r.json")]) == 0
        assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["alarms"] == expected
    log.write_text("\n".join(line.replace(",drive1", "").replace("Source,", "") for line in rows.splitlines()) + "\n")
    assert main(["report", str(log), "--json", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["alarms"] == 2
