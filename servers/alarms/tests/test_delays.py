"""The delay simulation against a replay of the signal, sample by sample."""

import json
import random
from itertools import pairwise

import numpy as np
import pytest
from factorylm_alarms.command import main
from factorylm_alarms.delays import FOREVER, Intervals, delay_curve, simulate

CASES = 3000


def intervals_from(spans: list[tuple[int, int]]) -> Intervals:
    starts, ends = np.array([s for s, _ in spans], np.int64), np.array([e for _, e in spans], np.int64)
    gap = np.full(len(spans), FOREVER, np.int64)
    gap[1:] = starts[1:] - ends[:-1]
    return Intervals(
        alarm=np.zeros(len(spans), np.int32),
        start=starts,
        duration=ends - starts,
        gap=gap,
        closed=np.ones(len(spans), bool),
        order=np.arange(len(spans)),
    )


def replayed(spans: list[tuple[int, int]], on: int, off: int) -> int:
    """Annunciations of a sampled signal behind both timers; one sample a second."""
    signal = [any(start <= t < end for start, end in spans) for t in range(spans[-1][1] + off + on + 2)]
    annunciated, active_for, normal_for, count = False, 0, 0, 0
    for active in signal:
        active_for, normal_for = (active_for + 1, 0) if active else (0, normal_for + 1)
        if annunciated and not active and normal_for >= off:
            annunciated = False
        if not annunciated and active and active_for >= max(on, 1):
            annunciated, count = True, count + 1
    return count


def random_spans(rng: random.Random) -> list[tuple[int, int]]:
    edges = [0]
    for _ in range(2 * rng.randint(1, 8)):
        edges.append(edges[-1] + rng.randint(1, 9))
    return list(zip(edges[::2], edges[1::2], strict=False))


def test_the_simulation_equals_a_replay_of_the_signal_on_random_cases():
    rng = random.Random(7)
    for _ in range(CASES):
        spans, on, off = random_spans(rng), rng.randint(0, 8), rng.randint(0, 8)
        assert simulate(intervals_from(spans), on_ms=on, off_ms=off).after == replayed(spans, on, off), (spans, on, off)


def test_nothing_is_lost_between_shown_never_shown_and_joined():
    rng = random.Random(8)
    for _ in range(300):
        effect = simulate(intervals_from(random_spans(rng)), on_ms=rng.randint(0, 8), off_ms=rng.randint(0, 8))
        assert effect.before == effect.after + effect.never_shown + effect.joined
        assert effect.delayed in (0, effect.after)


def test_a_gap_equal_to_the_off_delay_is_decided_by_the_tie_rule():
    spans = intervals_from([(0, 10), (40, 50)])
    assert [simulate(spans, on_ms=0, off_ms=30, tie=tie).after for tie in ("clear", "keep")] == [2, 1]


def test_a_short_reactivation_restarts_the_off_delay():
    spans = intervals_from([(0, 10), (15, 16), (22, 40)])
    assert simulate(spans, on_ms=5, off_ms=8).after == 1


def test_a_curve_is_the_simulation_at_each_delay():
    rng = random.Random(9)
    intervals = intervals_from([(a * 1000, b * 1000) for a, b in random_spans(rng)])
    for delay, on, off in delay_curve(intervals, (1, 2, 5)):
        assert on == simulate(intervals, on_ms=delay * 1000, off_ms=0).after
        assert off == simulate(intervals, on_ms=0, off_ms=delay * 1000).after


def test_the_command_answers_with_the_contract(write_log, tmp_path):
    events = [(t, "T", e) for a, b in pairwise([0, 5, 20, 90, 100, 200]) for t, e in ((a, "ACT"), (b - 1, "RTN"))]
    out = tmp_path / "effect.json"
    argv = ["simulate", str(write_log(events)), "--alarm", "T.HI", "--on", "10", "--off", "0", "--json", str(out)]
    assert main(argv) == 0
    found = json.loads(out.read_text())
    kept = {key: found[key] for key in ("alarm", "tie", "before", "after", "delayed", "never_shown")}
    assert kept == {"alarm": "T.HI", "tie": "clear", "before": 5, "after": 3, "delayed": 3, "never_shown": 2}


def test_an_activation_without_a_return_counts_as_long(write_log, tmp_path):
    out = tmp_path / "effect.json"
    log = write_log([(0, "T", "ACT"), (5, "T", "ACT"), (7, "T", "RTN")])
    assert main(["simulate", str(log), "--all", "--on", "60", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert (found["after"], found["unclosed"]) == (1, 1)


@pytest.mark.parametrize("delay", ["-1", "1e9", "nan"])
def test_an_impossible_delay_is_refused(delay, write_log, refused):
    message = refused("simulate", str(write_log([(0, "T", "ACT")])), "--all", "--on", delay)
    assert "0 to 86400" in message


def test_an_unknown_alarm_is_answered_with_the_nearest(write_log, refused):
    message = refused("simulate", str(write_log([(0, "FIC101", "ACT")])), "--alarm", "FIC10.HI", "--off", "5")
    assert "FIC101.HI" in message
