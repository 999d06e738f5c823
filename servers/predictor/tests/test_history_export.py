"""A gateway's export, a sample a row, is judged as a table with a column per tag, never as one mixed column."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from factorylm_predictor.cli import main
from factorylm_predictor.errors import DataError
from factorylm_predictor.history_export import table_at

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def exported(path: Path, *samples: tuple[str, float, float, str]) -> Path:
    """A history of (tag, second, value, quality)."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["tag", "time", "value", "quality"])
        for tag, second, value, quality in samples:
            stamp = (BEGUN + timedelta(seconds=second)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            writer.writerow([tag, stamp, value, quality])
    return path


def columns_of(path):
    [chunk] = table_at(path).chunks()
    return {name: chunk.numbers(name).tolist() for name in table_at(path).header()[1:]}, chunk.texts("time")


def test_a_value_holds_for_one_and_a_half_steps_and_not_longer(tmp_path):
    a = [("p.a", second, second / 60, "Good") for second in range(0, 601, 60)]
    b = [("p.b", 30, 7, "Good"), ("p.b", 90, 8, "Good"), ("p.b", 150, 9, "Good"), ("p.b", 500, 1, "Good")]
    values, times = columns_of(exported(tmp_path / "h.csv", *a, *b))
    assert times[1] == "2026-01-01T00:01:00+00:00"
    assert values["p.a"] == list(range(11))
    np.testing.assert_equal(values["p.b"], [np.nan, 7, 8, 9, 9, *[np.nan] * 4, 1, np.nan])


@pytest.mark.parametrize("quality", ["BadNoCommunication", "UncertainLastUsableValue"])
def test_what_is_not_good_is_missing_until_a_good_value_comes(tmp_path, quality):
    samples = [("p.a", 0, 1, "Good"), ("p.a", 60, 1, quality), ("p.a", 120, 3, "Good")]
    values, _ = columns_of(exported(tmp_path / "h.csv", *samples))
    np.testing.assert_equal(values["p.a"], [1, np.nan, 3])


def test_a_slow_record_has_its_own_step(tmp_path):
    samples = [("p.a", hour * 3600, hour, "Good") for hour in range(5)]
    assert columns_of(exported(tmp_path / "h.csv", *samples))[0] == {"p.a": [0, 1, 2, 3, 4]}


def test_an_export_without_a_sample_is_refused(tmp_path):
    with pytest.raises(DataError, match="without a sample"):
        table_at(exported(tmp_path / "h.csv"))


def test_a_shifted_tag_of_an_export_is_named(tmp_path, capsys):
    rng = np.random.default_rng(3)

    def minutes(count, shift):
        for minute in range(count):
            moved = shift if minute > count // 2 else 0.0
            yield from (
                ("p.flow", minute * 60, rng.normal(30), "Good"),
                ("p.temp", minute * 60 + 5, rng.normal(60) + moved, "Good"),
            )

    healthy = exported(tmp_path / "healthy.csv", *minutes(600, 0.0))
    now = exported(tmp_path / "now.csv", *minutes(300, 6.0))
    words = ["detect", "--baseline", str(healthy), "--data", str(now), "--out", str(tmp_path / "flags.csv"), "--json"]
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out)
    assert sorted(summary["tags"]) == ["p.flow", "p.temp"]
    assert 130 <= summary["alarms"] <= 170
    with (tmp_path / "flags.csv").open(newline="") as stream:
        flagged = [row for row in csv.DictReader(stream) if row["flag"] == "1"]
    assert {row["top_tags"].split(";")[0] for row in flagged[5:]} == {"p.temp"}
    assert flagged[-1]["time"].startswith("2026-01-01T04:5")
