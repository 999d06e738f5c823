"""What a new user gives by mistake: told in words with what to do, never a traceback, a warning or a wrong number."""

import csv
import json
import warnings

import pytest
from factorylm_predictor.cli import main

BAD = "1e308"


@pytest.fixture
def refused(capsys):
    """The message of a command that fails with exit code 1."""

    def run(*words: object) -> str:
        assert main([str(word) for word in words]) == 1
        return capsys.readouterr().err

    return run


@pytest.fixture
def asked(capsys):
    """The JSON of a command that does its job, without a single warning."""

    def run(*words: object) -> dict:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert main([*map(str, words), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


def changed(source, target, change):
    """A copy of a CSV, each row (number, by column) changed."""
    with source.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(row | change(number, row) for number, row in enumerate(rows))
    return target


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"pump,hours,vibration\n", "has a header and no rows"),
        (bytes(range(256)) * 50, "is not a text file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)) * 9, "is not a text file"),
        (b"pump" * 300_000, "no line end in its first million characters"),
        (b"pump,hours,hours\n", "names these columns twice: hours"),
        (b"1,2,3\n4,5,6\n", "starts with numbers, not names"),
        (b"pump,hours,vibration\nA,1\n", "row 2 has 2 cells, the header has 3"),
        (b"pump,hours,vibration\n" + b"".join(b"A,%d,broken\n" % n for n in range(40)), "'vibration' holds text"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_words(tmp_path, refused, content, told):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    assert told in refused("fit", "--data", path, "--unit", "pump", "--time", "hours", "--out", tmp_path / "m")


@pytest.mark.parametrize(("name", "told"), [("a.parquet", "not a readable Parquet file"), ("a.csv.gz", "cannot be un")])
def test_a_damaged_file_is_refused_in_words(tmp_path, refused, name, told):
    (tmp_path / name).write_bytes(b"\x1f\x8b\x08\0 or PAR1, and nothing")
    assert told in refused("check", "--data", tmp_path / name, "--unit", "pump", "--time", "hours")


def test_a_folder_is_no_file(tmp_path, refused):
    assert "is a folder" in refused("check", "--data", tmp_path, "--unit", "pump", "--time", "hours")


def test_names_from_a_file_reach_the_terminal_harmless(tmp_path, refused):
    (tmp_path / "a.csv").write_text("pu\x1b[31mmp,hours\nA,1\n")
    said = refused("check", "--data", tmp_path / "a.csv", "--unit", "pump", "--time", "hours")
    assert "\x1b" not in said
    assert "pu<U+001B>[31mmp" in said


def test_a_spreadsheets_utf_16_is_read_like_utf_8(tmp_path, example, asked):
    (tmp_path / "today.csv").write_text((example / "today.csv").read_text(), encoding="utf-16")
    words = ("predict", "--model", example / "pumps.model", "--out", tmp_path / "p.csv", "--data")
    assert asked(*words, tmp_path / "today.csv") == asked(*words, example / "today.csv")


def test_no_answer_is_written_over_the_data(tmp_path, example, refused):
    for name in ("today.csv", "watched.csv"):
        (tmp_path / name).write_bytes((example / name).read_bytes())
    today, watched = tmp_path / "today.csv", tmp_path / "watched.csv"
    model, healthy = example / "pumps.model", example / "healthy.csv"
    assert "is the data itself" in refused("predict", "--model", model, "--data", today, "--out", today)
    assert "is the data itself" in refused("detect", "--baseline", healthy, "--data", watched, "--out", watched)
    assert today.read_bytes() == (example / "today.csv").read_bytes()
    assert watched.read_bytes() == (example / "watched.csv").read_bytes()


@pytest.mark.parametrize("bad", [BAD, "-1e308", "inf", "nan", ""])
def test_a_drivers_mark_for_a_bad_value_is_no_measurement(tmp_path, example, asked, bad):
    def spoil(number, row):
        return {"vibration": bad} if number == 50 else {}

    settings = ("--settings", "speed,flow", "--out", tmp_path / "flags.csv")
    words = ("detect", "--baseline", example / "healthy.csv", *settings, "--data")
    sound = asked(*words, example / "watched.csv")
    spoilt = asked(*words, changed(example / "watched.csv", tmp_path / "spoilt.csv", spoil))
    assert abs(spoilt["alarms"] - sound["alarms"]) <= 2


def test_training_on_marks_for_bad_values_says_no_other_number(tmp_path, example, asked):
    def spoil(number, row):
        return {"vibration": BAD} if number % 50 == 0 else {}

    data = changed(example / "runs.csv", tmp_path / "runs.csv", spoil)
    words = ("--unit", "pump", "--time", "hours", "--settings", "speed,flow", "--out", tmp_path / "m.model")
    card = asked("fit", "--data", data, *words)["card"]
    assert "vibration" in card["sensors"]


def test_a_tag_without_values_is_said_not_to_be_judged(tmp_path, example, asked):
    data = changed(example / "watched.csv", tmp_path / "w.csv", lambda *_: {"vibration": "bad?"})
    words = ("--settings", "speed,flow", "--out", tmp_path / "flags.csv")
    notes = asked("detect", "--baseline", example / "healthy.csv", "--data", data, *words)["notes"]
    assert notes == ["'vibration' has no value in 100% of the rows, and is not judged there"]


def test_no_rows_to_judge_is_a_failure(tmp_path, example, refused):
    (tmp_path / "w.csv").write_text((example / "watched.csv").read_text().splitlines()[0] + "\n")
    words = ("--data", tmp_path / "w.csv", "--out", tmp_path / "flags.csv")
    assert "there is no row to judge" in refused("detect", "--baseline", example / "healthy.csv", *words)
    assert not (tmp_path / "flags.csv").exists()


def test_a_clock_that_jumps_over_ten_lives_is_named_as_the_clock(tmp_path, example, asked):
    with (example / "today.csv").open(newline="") as stream:
        last = sum(1 for _ in stream) - 2
    data = changed(example / "today.csv", tmp_path / "t.csv", lambda n, row: {"hours": "1e12"} if n == last else {})
    words = ("--model", example / "pumps.model", "--data", data, "--out", tmp_path / "p.csv")
    answers = asked("predict", *words)["answers"]
    assert [a["refusal"]["code"] for a in answers if a["status"] == "refused"] == ["clock"]


@pytest.mark.parametrize(
    ("lives", "told"),
    [
        ("life,failed\n100,1\n200,1\n", "2 failures are too few"),
        ("life,failed\nabc,1\nx,0\n", "those that hold positive numbers alone: none"),
        ("life,failed\n-5,1\n7,1\n", "those that hold positive numbers alone: none"),
        ("life,failed\n10,0\n20,0\n", "0 failures are too few"),
        ("life,failed\n" + "1e29,1\n5,1\n" * 10, "are they all in one unit of time?"),
        ("life,failed\n" + "1e308,1\n5,1\n" * 10, "those that hold positive numbers alone: none"),
    ],
)
def test_lives_that_say_nothing_are_refused(tmp_path, example, refused, lives, told):
    (tmp_path / "lives.csv").write_text(lives)
    assert told in refused("window", "--lives", tmp_path / "lives.csv", "--costs", example / "costs.toml")


def test_the_named_column_of_lives_is_refused_with_its_cell(tmp_path, example, refused):
    (tmp_path / "lives.csv").write_text("life,failed\n100,1\n-5,1\n")
    words = ("--lives", tmp_path / "lives.csv", "--costs", example / "costs.toml", "--life", "life")
    assert "row 3: the life '-5' is not a positive number" in refused("window", *words)


@pytest.mark.parametrize("limit", ["nan", "inf", "high"])
def test_a_limit_that_is_no_number_is_wrong_usage(example, limit, capsys):
    words = ["--data", str(example / "watched.csv"), "--time", "minutes", "--tag", "vibration"]
    with pytest.raises(SystemExit) as ended:
        main(["trend", *words, "--limit", limit])
    assert ended.value.code == 2
    assert "--limit" in capsys.readouterr().err
