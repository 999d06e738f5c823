"""The demo plant's exports judged by the analyzer and the predictor, against the truth that stands beside them."""

from pathlib import Path

import pytest

from bench.demo_truth import (
    alarm_report,
    called_chattering,
    lives_answered,
    quiet_months,
    troubled_shift,
    troubles_found,
    worn_pumps,
)


@pytest.mark.parametrize("seed", [101, 102])
def test_the_injected_troubles_are_found_in_the_exported_journal(seed: int, tmp_path: Path) -> None:
    truth = troubled_shift(tmp_path, seed)
    report = alarm_report(tmp_path)
    assert troubles_found(report, truth) == {
        "chattering limit": True,
        "communication loss": True,
        "flood's first alarm": True,
    }
    assert called_chattering(report, truth) == 0


def test_injected_bearing_wear_is_held_by_the_intervals(tmp_path: Path) -> None:
    held, refused, coverage = lives_answered(tmp_path, worn_pumps(tmp_path, 20))
    assert sum(held) >= 0.85 * len(held)
    assert refused <= 0.1
    assert coverage == 0.9


def test_healthy_months_raise_no_more_than_the_declared_false_alarms(tmp_path: Path) -> None:
    alarmed, declared = quiet_months(tmp_path, 2000)
    assert alarmed <= declared == 0.01
