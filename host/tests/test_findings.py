"""What the demo's client concludes, and when the demo says that something did not go as it must."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from factorylm.demo_scene import DemoError, Scene, long_rows
from factorylm.findings import (
    BEARING,
    FLOW,
    SUCTION,
    VIBRATION,
    Change,
    Span,
    above_since,
    cause_of,
    changes,
    highest_before,
    settled,
    spans_of,
)
from factorylm.shift import Shift
from factorylm.transcript import Transcript, counter
from factorylm_schema import MissingPartError

BEGIN = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)


def spans(*means: float) -> list[Span]:
    return [Span(begin=BEGIN + timedelta(minutes=10 * at), mean=mean) for at, mean in enumerate(means)]


def test_windows_without_a_value_are_left_out_and_times_are_counted_from_the_answers() -> None:
    answer = {
        "time": "2026-01-05T06:00:00Z",
        "columns": ["s", "mean", "min", "max", "not_good"],
        "rows": [[0, 1.0, 1, 1, 0], [600, None, None, None, 3], [1200, 2.0, 2, 2, 0]],
    }
    assert spans_of(answer) == [spans(1.0)[0], spans(0, 0, 2.0)[2]]


@pytest.mark.parametrize(
    ("means", "since"),
    [((1, 3, 1, 3, 3), 3), ((3, 3), 0), ((1, 1), None), ((3, 3, 1), None), ((1, 2.8, 2.9), 2), ((), None)],
)
def test_since_is_the_first_window_after_which_none_comes_back(means, since) -> None:
    expected = None if since is None else BEGIN + timedelta(minutes=10 * since)
    assert above_since(spans(*means), 2.8) == expected


def test_normal_is_the_highest_of_the_windows_that_began_while_all_was_well() -> None:
    assert highest_before(spans(1.0, 1.2, 1.1, 9.0), BEGIN + timedelta(minutes=30)) == 1.2


def signs(vibration: float, bearing: float, flow: float, suction: float = 1.2) -> dict[str, Change]:
    then = {VIBRATION: 1.0, BEARING: 41.0, FLOW: 44.0, SUCTION: 1.2}
    now = {VIBRATION: vibration, BEARING: bearing, FLOW: flow, SUCTION: suction}
    return {tag: Change(tag=tag, unit="", then=then[tag], now=now[tag]) for tag in then}


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (signs(3.4, 66, 44), "a worn bearing"),
        (signs(3.4, 41, 37, 0.6), "suction side"),
        (signs(3.4, 66, 37), "suction side"),
        (signs(3.4, 41, 44), "foundation"),
        (signs(1.1, 66, 44), "nothing to explain"),
    ],
)
def test_the_cause_follows_the_signs(found, cause) -> None:
    assert cause in cause_of(found)


def stats(**means: float | None) -> dict[str, Any]:
    rows = [[tag, "u", mean, 10] for tag, mean in means.items()]
    return {"columns": ["tag", "unit", "mean", "samples"], "rows": rows}


def test_a_change_needs_both_means() -> None:
    found = changes(stats(a=1.0, b=2.0, c=None), stats(a=1.5, b=None, c=3.0))
    assert found == {"a": Change(tag="a", unit="u", then=1.0, now=1.5)}
    assert found["a"].percent == 50


def sampled(*rows: list[float | None]) -> dict[str, Any]:
    return {"samples": {"columns": ["s", FLOW], "rows": list(rows)}}


def test_only_samples_after_the_settling_time_count() -> None:
    assert settled(sampled([0, 44.0], [11, 37.0], [12, None], [13, 36.0]), FLOW, 11) == (36.5, 2)


@pytest.mark.parametrize("rows", [([12, 37.5],), ([12, 36.0],), ([5, 36.7],)])
def test_a_plant_that_does_not_do_what_the_twin_foresaw_ends_the_demo(rows, capsys) -> None:
    shift = Shift(scene=cast("Scene", None), transcript=Transcript(len))
    shift.predicted = {"new": 36.7, "lo": 36.4, "hi": 37.0}
    shift.transcript.begin("may_i", "")
    with pytest.raises(DemoError, match="did not do what the twin foresaw"):
        shift.confirm(sampled(*rows), 11)
    assert "inside the band: false" in capsys.readouterr().out


def test_without_a_counter_tokens_are_a_third_of_the_characters_and_said_to_be_about(monkeypatch) -> None:
    exact, word = counter()
    assert (exact("pump1.speed") < 8, word) == (True, "")

    def missing(_: str) -> int:
        raise MissingPartError("no counter")

    monkeypatch.setattr("factorylm_skill.testing.count_tokens", missing)
    count, about = counter()
    assert (count("x" * 10), about) == (4, "about ")


def test_a_past_is_told_row_by_row_with_yes_and_no_and_without_what_was_lost(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    file.write_text("time,drive1.running,cell1.level\n2026-01-05T06:00:00+00:00,1,\n2026-01-05T06:00:20+00:00,0,1.9\n")
    assert list(long_rows(file)) == [
        ("drive1.running", "2026-01-05T06:00:00+00:00", "true"),
        ("drive1.running", "2026-01-05T06:00:20+00:00", "false"),
        ("cell1.level", "2026-01-05T06:00:20+00:00", "1.9"),
    ]
