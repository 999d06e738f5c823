"""The command line itself: help, wrong usage, refusals, and nothing but the answer on stdout."""

import json
import subprocess
import sys

import pytest
from factorylm_alarms.command import ProgressBar, main


@pytest.mark.parametrize("argv", [["--help"], ["report", "--help"], ["simulate", "--help"], ["classify", "--help"]])
def test_help_shows_an_example(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 0
    assert "factorylm-alarms" in capsys.readouterr().out.split("example", 1)[1]


@pytest.mark.parametrize("argv", [["reprot", "x.csv"], ["report"], ["simulate", "x.csv"], ["--wrong"]])
def test_wrong_usage_ends_with_two(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2


def test_json_without_a_name_is_all_that_stdout_holds(write_log):
    log = write_log([(0, "T", "ACT"), (5, "T", "RTN")])
    command = [sys.executable, "-m", "factorylm_alarms", "report", str(log), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["activations"] == 1
    assert done.stderr == ""


def test_a_folder_that_is_not_there_is_a_failure_in_words(write_log, tmp_path, refused):
    log = write_log([(0, "T", "ACT")])
    assert "cannot be written" in refused("report", str(log), "--html", str(tmp_path / "none" / "r.html"))
    assert ".csv or .xlsx" in refused("report", str(log), "--worksheet", str(tmp_path / "w.pdf"))


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        return


def test_progress_is_one_line_that_is_left_empty():
    terminal = Terminal()
    bar = ProgressBar(terminal)
    for done in (0, 50, 50, 100):
        bar.show(done, 100)
    bar.say("flood families")
    bar.clear()
    assert terminal.text.count("50 %") == 1
    assert "\n" not in terminal.text
    assert terminal.text.endswith("\r\x1b[K")


def test_a_journal_of_one_instant_has_counts_but_no_rates(write_log, report):
    found = report(write_log([(0, f"T{i}", "ACT") for i in range(12)]))
    assert (found["hours"], found["per_hour"], found["peak_10min"]) == (0, None, 12)
    assert set(found["time_in_flood_pct"].values()) == {None}


def test_a_report_loads_no_server(write_log):
    log = write_log([(0, "T", "ACT"), (9, "T", "RTN")])
    code = (
        "import sys; from factorylm_alarms.command import main; main(['report', sys.argv[1], '--json', sys.argv[2]]); "
        "sys.exit(', '.join({'mcp', 'pydantic', 'anyio'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", code, str(log), str(log.with_suffix(".json"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
