"""Every declared definition against a plain reading of its words, on random logs full of ties and on its edge cases."""

import random
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest
from factorylm_alarms.floods import DEFINITIONS

START = datetime(2025, 3, 1)  # noqa: DTZ001
LOGS = 1000
BATCH = 50

Event = tuple[float, str, str]


def random_log(rng: random.Random) -> list[Event]:
    """Bursts and quiet times on a coarse clock, so that instants, window edges and bucket edges coincide often."""
    step = rng.choice([0.5, 1, 10, 30, 60])
    alarms = [f"T{i}" for i in range(rng.randint(1, 6))]
    time, events = rng.choice([0.0, 570.0, 3599.0]), []
    for _ in range(rng.randint(1, 90)):
        time += step * rng.choice([0, 0, 0, 1, 1, 2, 5, rng.randint(0, 40)])
        if rng.random() < 0.03:
            time += rng.choice([600, 900, 90_000])
        events.append((time, rng.choice(alarms), rng.choice(["ACT", "ACT", "RTN", "ACK"])))
    return events


def without_duplicates(events: list[Event]) -> list[Event]:
    return list(dict.fromkeys(events))


def fixed_floods(times: list[float], begin: int) -> list[tuple[float, float, int, int]]:
    buckets: dict[int, int] = {}
    for time in times:
        buckets[int(time // 600)] = buckets.get(int(time // 600), 0) + 1
    floods, current = [], None
    for number in range(int(min(times) // 600), int(max(times) // 600) + 2):
        count = buckets.get(number, 0)
        if current is None and count >= begin:
            current = [number * 600, count, count]
        elif current is not None and count >= 5:
            current[1], current[2] = current[1] + count, max(current[2], count)
        elif current is not None:
            floods.append((current[0], number * 600, current[1], current[2]))
            current = None
    return floods


def sliding_floods(times: list[float], begin: int) -> list[tuple[float, float, int, int]]:
    def inside(instant: float) -> list[float]:
        return [time for time in times if instant - 600 < time <= instant]

    instants = sorted({*times, *(time + 600 for time in times)})
    floods, current, previous_end = [], None, float("-inf")
    for instant in instants:
        count = len(inside(instant))
        if current is None and count >= begin:
            current = [min(time for time in inside(instant) if time >= previous_end), count]
        elif current is not None and count < 5:
            start, peak = current
            floods.append((start, instant, sum(start <= time < instant for time in times), peak))
            current, previous_end = None, instant
        elif current is not None:
            current[1] = max(current[1], count)
    return floods


def expected_floods(times: list[float], definition: str) -> list[tuple[float, float, int, int]]:
    begin = 10 if "=" in definition else 11
    if not times:
        return []
    return fixed_floods(times, begin) if definition.startswith("fixed") else sliding_floods(times, begin)


def seconds(text: str) -> float:
    return (datetime.fromisoformat(text) - START).total_seconds()


def shown_floods(found: dict) -> dict:
    return {
        definition: [(seconds(f["start"]), seconds(f["end"]), f["alarms"], f["peak"]) for f in floods]
        for definition, floods in found["floods"].items()
    }


def expected_pairs(events: list[Event]) -> dict:
    """Walk the log alarm by alarm: durations, unknown ends, acknowledge times."""
    last: dict[str, float] = {}
    unacked: dict[str, float] = {}
    closed, unknown, orphans, acks = [], [], 0, []
    for time, alarm, event in events:
        if event == "ACT":
            if alarm in last:
                unknown.append((alarm, time - last[alarm], "again"))
            last[alarm] = time
            unacked.setdefault(alarm, time)
        elif event == "RTN" and alarm in last:
            closed.append((alarm, time - last.pop(alarm)))
        elif event == "RTN":
            orphans += 1
        elif alarm in unacked:
            acks.append(time - unacked.pop(alarm))
    end = events[-1][0]
    unknown += [(alarm, end - time, "open") for alarm, time in last.items()]
    return {"closed": closed, "unknown": unknown, "orphans": orphans, "acks": acks}


def expected_chatter(events: list[Event]) -> dict[str, tuple[int, int]]:
    """alarm -> (third activations within 60 s inclusive, gaps)."""
    by_alarm: dict[str, list[float]] = {}
    for time, alarm, event in events:
        if event == "ACT":
            by_alarm.setdefault(alarm, []).append(time)
    return {
        alarm: (sum(c - a <= 60 for a, c in zip(times, times[2:], strict=False)), len(times) - 1)
        for alarm, times in by_alarm.items()
    }


@pytest.mark.parametrize("batch", range(LOGS // BATCH))
def test_every_definition_equals_its_plain_reading_on_random_logs(batch, write_log, report):
    for number in range(BATCH):
        rng = random.Random(batch * BATCH + number)
        written = random_log(rng)
        found = report(write_log(written))
        events = without_duplicates(written)
        times = [time for time, _, event in events if event == "ACT"]
        pairs, chatter = expected_pairs(events), expected_chatter(events)
        stale = sum(d > 86_400 for _, d in pairs["closed"])

        assert found["rows"] == len(written)
        assert found["duplicates"] == len(written) - len(events)
        assert found["activations"] == len(times)
        assert found["alarms"] == len({alarm for _, alarm, event in events if event == "ACT"})
        assert found["hours"] == pytest.approx((events[-1][0] - events[0][0]) / 3600)
        assert shown_floods(found) == {d: expected_floods(times, d) for d in DEFINITIONS}
        counts = [sum(time // 600 == other // 600 for other in times) for time in times]
        assert found["peak_10min"] == max(counts, default=0)
        assert found["peak_10min_sliding"] == max((sum(t - 600 < o <= t for o in times) for t in times), default=0)
        assert {c["alarm"][:-3]: c["triggers"] for c in found["chattering"] if c["triggers"]} == {
            alarm: triggers for alarm, (triggers, _) in chatter.items() if triggers
        }
        assert {f["alarm"][:-3]: f["count"] for f in found["fleeting"]} == {
            alarm: sum(d <= 10 for a, d in pairs["closed"] if a == alarm)
            for alarm in {a for a, d in pairs["closed"] if d <= 10}
        }
        assert (found["stale"]["low"], found["stale"]["high"]) == (
            stale,
            stale + sum(d > 86_400 for _, d, _ in pairs["unknown"]),
        )
        unpaired = found["data_quality"]["unpaired"]
        assert unpaired["orphan_returns"] == pairs["orphans"]
        assert unpaired["activation_after_activation"] == sum(how == "again" for *_, how in pairs["unknown"])
        assert unpaired["open_at_end"] == sum(how == "open" for *_, how in pairs["unknown"])
        if pairs["acks"]:
            assert found["acknowledge_s"]["count"] == len(pairs["acks"])
            assert found["acknowledge_s"]["median"] == pytest.approx(median(pairs["acks"]))
        for definition, expected in {d: expected_floods(times, d) for d in DEFINITIONS}.items():
            span = events[-1][0] - events[0][0]
            clipped = sum(max(0, min(e, events[-1][0]) - max(s, events[0][0])) for s, e, *_ in expected)
            share = found["time_in_flood_pct"][definition]
            assert share == (pytest.approx(100 * clipped / span) if span else None)


def burst(start: float, count: int, step: float) -> list[Event]:
    return [(start + i * step, f"A{i}", "ACT") for i in range(count)]


EDGES = {
    "ten activations spanning exactly 600 s are no sliding flood": (burst(0, 10, 600 / 9), [0, 0, 0, 0]),
    "ten within 600 s are one": (burst(0, 10, 599 / 9), [1, 0, 1, 0]),
    "eleven in one bucket are a flood under all four": (burst(0, 11, 50), [1, 1, 1, 1]),
    "ten across a bucket edge are a sliding flood only": (burst(550, 10, 10), [0, 0, 1, 0]),
    "ten at one instant count together": (burst(600, 10, 0), [1, 0, 1, 0]),
}


@pytest.mark.parametrize("name", EDGES)
def test_flood_edges(name, write_log, report):
    events, counts = EDGES[name]
    found = report(write_log(events))
    assert [len(found["floods"][d]) for d in ("fixed>=10", "fixed>10", "sliding>=10", "sliding>10")] == counts


def test_an_open_flood_ends_ten_minutes_after_its_fifth_last_activation(write_log, report):
    found = report(write_log(burst(0, 10, 10)))
    assert found["floods"]["sliding>=10"] == [
        {"start": "2025-03-01T00:00:00", "end": "2025-03-01T00:10:50", "alarms": 10, "peak": 10}
    ]


def test_an_index_needs_more_than_one_gap(write_log, report):
    found = report(write_log([(0, "T", "ACT"), (5, "T", "RTN"), (10, "T", "ACT")]))
    assert found["chattering"] == []


def test_an_index_of_three_a_minute_is_chattering(write_log, report):
    events = [(20.0 * i, "T", "ACT") for i in range(12)]
    (chatter,) = report(write_log(events))["chattering"]
    assert chatter == {"alarm": "T.HI", "triggers": 10, "index": pytest.approx(0.05), "gaps": 11}


def test_a_stale_alarm_is_one_longer_than_a_day(write_log, report):
    day = 86_400
    events = [(0, "A", "ACT"), (0, "B", "ACT"), (day, "A", "RTN"), (day + 1, "B", "RTN")]
    assert report(write_log(events))["stale"] == {"low": 1, "point": 1.0, "high": 1}


def test_floods_are_told_per_area_and_for_the_whole_journal(tmp_path: Path, report):
    lines = ["time,source,event,area"]
    lines += [f"2025-03-01 00:00:{i:02d},T{i},ACT,{'north' if i < 10 else 'south'}" for i in range(14)]
    log = tmp_path / "areas.csv"
    log.write_text("\n".join(lines) + "\n")
    found = report(log)
    floods = {console["area"]: console["floods"]["fixed>=10"]["floods"] for console in found["consoles"]}
    assert (len(found["floods"]["fixed>10"]), floods) == (1, {"north": 1, "south": 0})
