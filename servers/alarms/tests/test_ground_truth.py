"""A plant day with known troubles: the chattering limit, the lost connection and the flood's first-out are found.

`Truth` is what a simulator must say beside its journal; `check` holds for any journal that comes with one.
"""

import csv
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

DAY = datetime(2025, 6, 3)  # noqa: DTZ001
Row = tuple[float, str, str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """`lost_at` and `flood_at` in ISO 8601, as the journal writes its times."""

    chattering: str
    lost_connection: frozenset[str]
    lost_at: str
    first_out: str
    flood_at: str


def plant_day(seed: int) -> tuple[list[Row], Truth]:
    """Everyday alarms, one limit without deadband, one device that goes offline, one trip with its consequences."""
    rng, rows = random.Random(seed), []
    for _ in range(60):
        start = rng.uniform(0, 86_400)
        rows += life(start, start + rng.uniform(30, 900), f"TI{rng.randrange(30)}", "PVHI", "unit 1", "temperature")
    at = rng.uniform(20_000, 40_000)
    for _ in range(40):
        rows += life(at, at + rng.uniform(2, 8), "LIC200", "PVHI", "unit 1", "level high")
        at += rng.uniform(10, 25)
    lost = round(rng.uniform(45_000, 55_000))
    tags = [f"PUMP3.{name}" for name in ("SPEED", "FLOW", "POWER", "TEMP", "VIB", "SEAL", "STATE", "PRESSURE")]
    for tag in tags:
        rows += life(
            lost + rng.uniform(0, 0.8), lost + 240 + rng.uniform(0, 0.8), tag, "BAD", "unit 2", "no communication"
        )
    trip = round(rng.uniform(60_000, 80_000))
    rows += life(trip, trip + 3600, "K101", "TRIP", "unit 3", "compressor trip")
    at = float(trip)
    for number in range(24):
        at += rng.uniform(2, 14)
        rows += life(at, at + rng.uniform(400, 3000), f"PI{300 + number}", "PVLO", "unit 3", "pressure low")
    truth = Truth(
        chattering="LIC200.PVHI",
        lost_connection=frozenset(f"{tag}.BAD" for tag in tags),
        lost_at=stamp(lost)[:16],
        first_out="K101.TRIP",
        flood_at=stamp(trip),
    )
    return sorted(rows), truth


def life(begin: float, end: float, source: str, condition: str, area: str, text: str) -> list[Row]:
    return [(t, source, condition, event, area, text) for t, event in ((begin, "ACT"), (end, "RTN"))]


def stamp(second: float) -> str:
    return (DAY + timedelta(seconds=round(second, 3))).isoformat(timespec="milliseconds").removesuffix(".000")


def check(report: dict[str, Any], truth: Truth) -> None:
    """The three troubles stand in the findings, each with what it must name."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for finding in report["findings"]:
        by_kind.setdefault(finding["kind"], []).append(finding)
    assert [truth.chattering] in [finding["alarms"] for finding in by_kind["chattering"]]
    lost = [one for one in by_kind["communication loss"] if truth.lost_connection <= set(one["alarms"])]
    assert lost
    assert lost[0]["evidence"]["time"].startswith(truth.lost_at)
    opened = [one for one in by_kind["flood first-out"] if one["evidence"]["first_out"] == truth.flood_at]
    assert [one["alarms"] for one in opened] == [[truth.first_out]]


def written(rows: list[Row], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "source", "condition", "event", "area", "message"])
        writer.writerows([stamp(second), *cells] for second, *cells in rows)
    return path


@pytest.mark.parametrize("seed", range(12))
def test_the_injected_troubles_are_found(seed, tmp_path, report):
    rows, truth = plant_day(seed)
    check(report(written(rows, tmp_path / "day.csv")), truth)


def test_evidence_points_at_the_rows_of_the_file(tmp_path, report):
    rows, truth = plant_day(1)
    log = written(rows, tmp_path / "day.csv")
    lines = log.read_text().splitlines()
    found = next(one for one in report(log)["findings"] if one["alarms"] == [truth.chattering])
    for line in (found["evidence"]["first_row"], found["evidence"]["last_row"]):
        assert "LIC200,PVHI,ACT" in lines[line - 1]


def test_one_alarm_for_a_lost_connection_is_found_without_a_burst(tmp_path, report):
    rows, _ = plant_day(3)
    for begin, end in ((1000, 1240), (9000, 9060)):
        rows += life(begin, end, "PLC7", "COMM", "unit 4", "No communication with the packing cell")
    found = report(written(sorted(rows), tmp_path / "day.csv"))["findings"]
    (loss,) = [one for one in found if one["kind"] == "communication loss" and one["alarms"] == ["PLC7.COMM"]]
    assert "2 activations, 300 s in all." in loss["text"]
    assert (loss["evidence"]["time"], loss["evidence"]["activations"]) == (stamp(1000), 2)


def test_two_alarms_that_always_come_together_are_told_as_a_pair(tmp_path, report):
    rows, _ = plant_day(2)
    for number in range(20):
        rows += life(4000 * number, 4000 * number + 60, "FIC7", "PVLO", "unit 1", "")
        rows += life(4000 * number + 1.5, 4000 * number + 60, "FIC8", "PVLO", "unit 1", "")
    (pair,) = [one for one in report(written(sorted(rows), tmp_path / "day.csv"))["findings"] if "pair" in one["kind"]]
    assert pair["alarms"] == ["FIC7.PVLO", "FIC8.PVLO"]
    assert "median lag 1.5 s" in pair["text"]


def test_no_delay_is_suggested_for_a_protective_alarm_or_one_without_returns(tmp_path, report):
    rows: list[Row] = []
    for number in range(30):
        rows += life(number * 20, number * 20 + 3, "ESD-1", "PVHI", "unit 1", "")
        rows += life(number * 20 + 1, number * 20 + 4, "FIC1", "PVHI", "unit 1", "")
        rows.append((number * 20 + 2, "XA2", "PVHI", "ACT", "unit 1", ""))
    texts = {one["alarms"][0]: one["text"] for one in report(written(sorted(rows), tmp_path / "d.csv"))["findings"][:3]}
    assert "so no delay is suggested" in texts["ESD-1.PVHI"]
    assert "have no return in this journal" in texts["XA2.PVHI"]
    assert "Candidates for review, simulated" in texts["FIC1.PVHI"]
    assert "never shown: did any need action?" in texts["FIC1.PVHI"]


def test_stale_bounds_hold_the_truth_when_returns_are_lost(tmp_path, report):
    rng, rows = random.Random(4), []
    for alarm in range(40):
        at = rng.uniform(0, 50_000)
        while at < 30 * 86_400:
            lasts = 100_000 if rng.random() < 0.05 else rng.uniform(60, 20_000)
            rows += life(at, at + lasts, f"T{alarm}", "HI", "", "")
            at += lasts + rng.uniform(600, 200_000)
    true = report(written(sorted(rows), tmp_path / "all.csv"))["stale"]["low"]
    kept = [row for row in sorted(rows) if row[3] == "ACT" or rng.random() > 0.1]
    found = report(written(kept, tmp_path / "lossy.csv"))["stale"]
    assert found["low"] <= true <= found["high"]
    assert found["low"] <= found["point"] <= found["high"]
