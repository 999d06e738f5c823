"""What a new user gives by mistake: each is told in words, before any figure, and no answer destroys a journal."""

import pytest
from factorylm_alarms.command import main

HEADER = "time,tag,condition,event\n"


def written(tmp_path, text, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "no row below its first line (time, tag, condition, event)"),
        (b"\n\n\n", "no row below its first line"),
        (HEADER.encode() + b"2025-03-01 08:00:00,T," + b"x" * 200_000 + b",ACT\n", "longer than 64 kB"),
        (bytes(range(256)) * 400, "is not a text file"),
        (b"PAR1 and nothing", "not a readable Parquet file"),
        (b"SQLite format 3\0 and nothing", "not a readable SQLite file"),
        (b"\x1f\x8b and nothing", "damaged archive"),
        (b"PK\x03\x04", "save the sheet as CSV"),
        (b"time,pressure\n2025-03-01 08:00:00,4.2\n", "do not show a source"),
    ],
)
def test_a_file_that_is_no_journal_is_refused_in_words(tmp_path, refused, content, told):
    path = written(tmp_path, content)
    for command in ("report", "propose"):
        if command == "report" or "do not show" not in told:
            assert told in refused(command, str(path))


def test_control_characters_of_a_header_do_not_reach_the_terminal(tmp_path, refused):
    said = refused("report", str(written(tmp_path, "time\x1b[31m,\x9bvalue\n2025-03-01 08:00:00,4.2\n")))
    assert not {"\x1b", "\x9b"} & set(said)
    assert "<U+001B>" in said


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ("[columns]\n", "is not confirmed"),
        ("confirmed = true\n", "has no [columns]"),
        ("confirmed = tru\n", "cannot be read"),
        ("confirmed = true\ntime = 'x'\n", "time must be a table"),
        ("confirmed = true\npriority = 3\n", "priority must be a table"),
        ("confirmed = true\n[columns]\ntime = 5\n", "time must be a column name"),
        ("confirmed = true\n[columns]\ntime = 'tyme'\n", "no column 'tyme'"),
        ("confirmed = true\n[columns]\ntime = 'time'\nsource = 'tag'\nevent = 'event'\n[events]\nACT = 'alarmed'\n",
         "no class of rows"),
        ("confirmed = true\n[columns]\ntime = 'time'\nsource = 'tag'\nevent = 'event'\n[events]\nON = 'activation'\n",
         "holds ACT, RTN"),
        ("confirmed = true\n[columns]\ntime = 'tag'\nsource = 'time'\nevent = 'event'\n", "no readable time stamp"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_refused_with_what_is_wrong(tmp_path, refused, mapping, told):
    log = written(tmp_path, HEADER + "2025-03-01 08:00:00,T,HI,ACT\n2025-03-01 08:01:00,T,HI,RTN\n")
    file = written(tmp_path, mapping, "mapping.toml")
    assert told in refused("report", str(log), "--mapping", str(file))


def test_a_mapping_that_is_not_there_is_told_without_a_number(tmp_path, refused):
    log = written(tmp_path, HEADER + "2025-03-01 08:00:00,T,HI,ACT\n")
    assert "No such file" in refused("report", str(log), "--mapping", str(tmp_path / "none.toml"))
    assert "Errno" not in refused("report", str(log), "--mapping", str(tmp_path / "none.toml"))


@pytest.mark.parametrize("option", ["--json", "--html", "--worksheet"])
def test_no_answer_is_written_over_the_journal(tmp_path, refused, option):
    log = written(tmp_path, HEADER + "2025-03-01 08:00:00,T,HI,ACT\n")
    before = log.read_bytes()
    assert "is the journal itself" in refused("report", str(log), option, str(log))
    assert log.read_bytes() == before


def test_a_journal_without_an_activation_is_a_caution_everywhere(tmp_path, report, capsys):
    log = written(tmp_path, HEADER + "2025-03-01 08:00:00,T,HI,RTN\n2025-03-01 08:01:00,T,HI,ACK\n")
    [caution] = report(log)["data_quality"]["cautions"]
    page = tmp_path / "page.html"
    assert main(["report", str(log), "--html", str(page)]) == 0
    assert "no row is an activation (rows: 1 return, 1 acknowledgement)" in caution
    assert f"CAUTION: {caution}" in capsys.readouterr().out
    assert caution in page.read_text()


@pytest.mark.parametrize("stray", ["1970-01-01 00:00:00", "9999-12-31 23:59:59"])
def test_a_clock_that_was_not_set_is_a_caution(tmp_path, report, stray):
    rows = [f"2025-03-01 08:{minute:02d}:00,T,HI,{'RTN' if minute % 2 else 'ACT'}\n" for minute in range(30)]
    found = report(written(tmp_path, HEADER + "".join(sorted([*rows, f"{stray},T2,HI,ACT\n"]))), options=())
    assert any("Is a clock wrong" in caution for caution in found["data_quality"]["cautions"])
    assert main(["report", str(tmp_path / "log.csv"), "--html", str(tmp_path / "page.html")]) == 0


def test_many_rejected_rows_are_a_caution(tmp_path, report):
    rows = "2025-03-01 08:00:00,T,HI,ACT\n2025-03-01 08:01:00,T,HI,RTN\ngarbage\n"
    [caution] = report(written(tmp_path, HEADER + rows))["data_quality"]["cautions"]
    assert "1 of 3 rows were rejected" in caution


def test_a_sound_journal_has_no_caution(report, write_log):
    log = write_log([(n * 60, "T", "RTN" if n % 2 else "ACT") for n in range(50)])
    assert report(log)["data_quality"]["cautions"] == []
