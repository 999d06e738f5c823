"""A CSV of the past comes into the history once, whole, and what is doubtful stays out and is said so."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from factorylm_edge import Sample, SqliteHistory, TagRecord, export, import_csv, import_samples
from factorylm_edge.command import run
from factorylm_edge.data_folder import DataFolder
from factorylm_edge.sample import DAY_US, SECOND, microseconds
from factorylm_schema import BadRequestError, FactoryLMError

BEGIN_US = 1_767_225_600 * SECOND


def written(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    file = folder / "past.csv"
    file.write_text(text, encoding=encoding)
    return file


def samples(folder: Path, tag: str) -> list[Sample]:
    history = SqliteHistory(folder / "history.db")
    try:
        return history.read(tag, 0, 1 << 60).samples
    finally:
        history.close()


def values(folder: Path, tag: str) -> list[object]:
    return [sample.value for sample in samples(folder, tag)]


def test_what_was_exported_comes_back_the_same_and_a_second_time_changes_nothing(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    kept = [
        *(Sample("a.x", BEGIN_US + s * SECOND, s / 4) for s in range(500)),
        *(Sample("a.n", BEGIN_US + s * SECOND, s) for s in range(500)),
        Sample("a.n", BEGIN_US + 500 * SECOND, None, 0x80310000),
        Sample("a.state", BEGIN_US, "s,1"),
        Sample("a.on", BEGIN_US, value=True),
        Sample("a.odd", BEGIN_US, 2.5, 0x40FF0000),
    ]
    assert import_samples(there, kept, [TagRecord(name="a.x", unit="bar")]).kept == 1004
    export(there, there / "out.csv", ["*"], 24, until_us=BEGIN_US + DAY_US)
    first = import_csv(here, there / "out.csv")
    again = import_csv(here, there / "out.csv")
    assert (first.kept, first.repeated, first.rejected, first.tags) == (1004, 0, 0, 5)
    assert (again.kept, again.repeated, again.rejected) == (0, 1004, 0)
    for tag in ("a.x", "a.n", "a.state", "a.on", "a.odd"):
        assert samples(here, tag) == samples(there, tag) == [sample for sample in kept if sample.tag == tag]


def test_samples_in_any_order_and_in_overlapping_parts_are_kept_once(tmp_path):
    part = [Sample("a.x", BEGIN_US + s * SECOND, float(s)) for s in range(3000)]
    assert import_samples(tmp_path, part[1000:2000]).kept == 1000
    told = import_samples(tmp_path, reversed(part))
    assert (told.kept, told.repeated) == (2000, 1000)
    assert samples(tmp_path, "a.x") == part


def test_two_values_at_one_time_are_both_kept_since_nobody_knows_which_is_right(tmp_path):
    file = written(tmp_path, "tag,time,value\na.x,2026-01-01T00:00:00Z,1\na.x,2026-01-01T00:00:00Z,2\n")
    assert import_csv(tmp_path, file).kept == 2
    assert values(tmp_path, "a.x") == [1, 2]


def test_rows_that_could_mean_two_things_are_rejected_counted_and_told(tmp_path):
    file = written(
        tmp_path,
        "tag,time,value,quality\n"
        "a.x,2026-01-01T00:00:00Z,1.5,\n"
        "a.x,2026-01-01T00:00:01,1.5,\n"
        "a.x,2026-01-01T00:00:02Z,n/a,\n"
        "a.x,2026-01-01T00:00:03Z,,Good\n"
        "a.x,2026-01-01T00:00:04Z,NaN,\n"
        "a.x,yesterday,2.5,\n"
        ",2026-01-01T00:00:06Z,2.5,\n"
        "a.x,2026-01-01T00:00:07Z,2.5,fine\n"
        "a.x,2999-01-01T00:00:00Z,2.5,\n"
        "a.x,2026-01-01T00:00:09Z,1e999,\n"
        "a.x,2026-01-01T00:00:10Z,2.5,Good\n",
    )
    told = import_csv(tmp_path, file)
    assert (told.kept, told.rejected) == (2, 9)
    assert told.faults == (
        "past.csv:3: 2026-01-01T00:00:01 names no time zone",
        "past.csv:4: 'n/a' is not a number as a.x began with",
        "past.csv:5: no value, and yet the quality is Good",
        "past.csv:6: NaN is not a number",
        "past.csv:7: 'yesterday' is not a time",
    )
    assert values(tmp_path, "a.x") == [1.5, 2.5]


def test_a_zone_gives_local_times_their_meaning_and_the_hour_that_comes_twice_is_rejected(tmp_path):
    file = written(
        tmp_path,
        "Tag;Time;Value\na.x;2025-07-01 12:00:00;1,5\na.x;2025-10-26 02:30:00;2,5\na.x;2025-12-01 12:00:00;50\n",
        encoding="utf-8-sig",
    )
    told = import_csv(tmp_path, file, zone="Europe/Berlin")
    assert (told.kept, told.rejected) == (2, 1)
    assert "twice or never in Europe/Berlin" in told.faults[0]
    times = [datetime(2025, 7, 1, 10, tzinfo=UTC), datetime(2025, 12, 1, 11, tzinfo=UTC)]
    assert [(s.time_us, s.value) for s in samples(tmp_path, "a.x")] == [
        (microseconds(times[0]), 1.5),
        (microseconds(times[1]), 50.0),
    ]


def test_numbers_among_texts_stay_texts(tmp_path):
    file = written(tmp_path, "tag,time,value\na.lot,2026-01-01T00:00:00Z,B7\na.lot,2026-01-01T00:00:01Z,0017\n")
    import_csv(tmp_path, file)
    assert values(tmp_path, "a.lot") == ["B7", "0017"]


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("time,value\n", "no column 'tag'", "tag, time, value, quality"),
        ("tag,time,value,status\n", "a column 'status' too many", "tag, time, value, quality"),
        ("", "no column 'tag'", "The first line names the columns"),
        ("tag,time,value\na.x,2026-01-01 00:00:00,1\n", "none of 1 rows can be taken", "--zone Europe/Berlin"),
    ],
)
def test_a_file_that_is_none_of_ours_says_what_would_be(tmp_path, text, told, hint):
    with pytest.raises(BadRequestError, match=told) as caught:
        import_csv(tmp_path, written(tmp_path, text))
    assert hint in caught.value.hint


def test_a_wrong_zone_a_missing_file_and_other_encodings_are_said(tmp_path):
    with pytest.raises(BadRequestError, match="is no time zone"):
        import_csv(tmp_path, written(tmp_path, "tag,time,value\n"), zone="Berlin")
    with pytest.raises(BadRequestError, match="cannot be read"):
        import_csv(tmp_path, tmp_path / "nothing.csv")
    with pytest.raises(BadRequestError, match="not UTF-8"):
        import_csv(tmp_path, written(tmp_path, "tag,time,value\nä,2026-01-01T00:00:00Z,1\n", encoding="latin-1"))


def test_nothing_is_imported_under_a_gateway_at_work(tmp_path):
    with DataFolder(tmp_path), pytest.raises(FactoryLMError, match="another gateway works in"):
        import_samples(tmp_path, [Sample("a.x", BEGIN_US, 1.0)])


def test_the_command_tells_what_became_of_the_rows(tmp_path, capsys):
    file = written(tmp_path, "tag,time,value\na.x,2026-01-01T00:00:00Z,1\na.x,never,1\n")
    assert run(["import", str(file), "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        "kept 1 samples of 1 tags, 0 were there, 1 rejected\n  past.csv:3: 'never' is not a time\n"
    )
    assert run(["import", str(file), "--data", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"kept": 0, "repeated": 1, "tags": 1, "rejected": 1, "faults": ["past.csv:3: 'never' is not a time"]}
