"""Families, alignment and naming of floods."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from factorylm_alarms.alignment import (
    GAP,
    MISMATCH,
    Sequence,
    sequence_of,
    similar_pairs,
    similarities,
    time_weights,
    upper_bounds,
)
from factorylm_alarms.command import main
from factorylm_alarms.communities import group_by_neighbours


def plain_alignment(one: Sequence, other: Sequence, alarms: int) -> float:
    """The textbook table, cell by cell."""
    weights = time_weights(one, alarms)
    table = np.zeros((len(one) + 1, len(other) + 1))
    for i in range(len(one)):
        for j in range(len(other)):
            match = weights[i, other.alarm[j]] * (1 + MISMATCH) - MISMATCH
            table[i + 1, j + 1] = max(0, table[i, j] + match, table[i, j + 1] - GAP, table[i + 1, j] - GAP)
    return float(table.max() / min(len(one), len(other)))


def random_sequences(rng: random.Random, count: int, alarms: int) -> list[Sequence]:
    scripts = [rng.sample(range(alarms), 12) for _ in range(4)]
    found = []
    for _ in range(count):
        script = [a if rng.random() > 0.2 else rng.randrange(alarms) for a in rng.choice(scripts)]
        times = np.cumsum([rng.choice([0, 500, 1500, 9000]) for _ in script])
        found.append(Sequence(alarm=np.array(script, np.int32), time=times.astype(np.int64)))
    return found


def test_the_row_by_row_alignment_equals_the_textbook_table():
    sequences = random_sequences(random.Random(1), 16, 30)
    for one in sequences:
        expected = [plain_alignment(one, other, 30) for other in sequences]
        assert similarities(one, sequences, 30).tolist() == pytest.approx(expected, abs=1e-5)


def test_the_bound_loses_no_similar_pair():
    sequences = random_sequences(random.Random(2), 60, 40)
    bounds = upper_bounds(sequences, 40)
    exact = np.stack([similarities(one, sequences, 40) for one in sequences])
    assert (exact <= bounds + 1e-5).all()
    pairs = {(a, b) for a, b, _ in similar_pairs(sequences, 40, 0.5)}
    assert pairs == {(a, b) for a in range(60) for b in range(a + 1, 60) if exact[a, b] >= 0.5}
    assert 0 < len(pairs) < (bounds >= 0.5).sum() / 2


def test_two_alarms_that_swap_places_within_a_second_still_match():
    def made(order: list[int]) -> Sequence:
        return Sequence(alarm=np.array(order, np.int32), time=np.arange(len(order), dtype=np.int64) * 800)

    assert similarities(made([0, 1, 2, 3]), [made([0, 2, 1, 3])], 4)[0] > 0.8


def test_repeats_within_a_minute_are_dropped_before_aligning():
    alarm = np.array([5, 5, 3, 5, 5], np.int32)
    time = np.array([0, 10_000, 20_000, 70_000, 140_000], np.int64)
    kept = sequence_of(alarm, time)
    assert (kept.alarm.tolist(), kept.time.tolist()) == ([5, 3, 5, 5], [0, 20_000, 70_000, 140_000])


def test_groups_are_found_without_being_told_how_many():
    rng = np.random.default_rng(3)
    centers = rng.uniform(0, 100, (7, 5))
    labels = np.repeat(np.arange(7), 30)
    points = centers[labels] + rng.normal(0, 1, (210, 5))
    groups = group_by_neighbours(np.linalg.norm(points[:, None] - points[None], axis=2).astype(np.float32))
    assert len(set(zip(labels.tolist(), groups.tolist(), strict=True))) == groups.max() + 1 == 7


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_items_are_no_trouble(count):
    assert len(group_by_neighbours(np.zeros((count, count), np.float32))) == count


def flood_events(start: float, script: list[str], rng: random.Random) -> list[tuple[float, str, str]]:
    events = []
    for name in script:
        start += rng.uniform(2, 12)
        events += [(start, name, "ACT"), (start + rng.uniform(200, 400), name, "RTN")]
    return events


def test_floods_of_the_same_kind_form_a_family_with_its_usual_order(write_log, tmp_path):
    rng, events = random.Random(5), []
    scripts = [[f"A{i}" for i in range(14)], [f"B{i}" for i in range(14)]]
    for number in range(12):
        events += flood_events(number * 7200, scripts[number % 2], rng)
    out = tmp_path / "families.json"
    assert main(["families", str(write_log(sorted(events))), "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert [family["size"] for family in found["families"]] == [6, 6]
    assert {family["first_alarm"]["alarm"] for family in found["families"]} == {"A0.HI", "B0.HI"}
    assert found["families"][0]["usual_order"][0] == found["families"][0]["first_alarm"]["alarm"]
    assert len(set(found["family_of"].values())) == 2


def test_a_new_flood_is_named_by_its_family_from_its_first_minute(write_log, tmp_path, capsys):
    rng, out = random.Random(8), tmp_path / "early.json"
    scripts = [[f"{kind}{number}" for number in range(14)] for kind in "ABCDE"]
    for known in range(4):
        order = [*(n % 4 for n in range(12)), known, 4]
        events = [
            (n * 9000 + at * 10 + rng.uniform(0, 8), tag, "ACT")
            for n, kind in enumerate(order)
            for at, tag in sorted(rng.sample(list(enumerate(scripts[kind])), 12))
        ]
        log = str(write_log(sorted(events)))
        assert main(["families", log, "--flood", "13", "--first", "60", "--json", str(out)]) == 0
        found = json.loads(out.read_text())
        assert found["family"]["floods"] == [known + 1, known + 5, known + 9]
        assert found["unseen"] is False
        assert found["activations"] < 8
        assert main(["families", log, "--flood", "14", "--first", "60"]) == 0
        assert "not seen before; nothing like it among the 13 floods before it" in capsys.readouterr().out


def test_what_comes_later_does_not_change_how_a_flood_is_named_early(write_log, tmp_path):
    begun = [(n * 9000 + at * 10, f"A{at}", "ACT") for n in range(4) for at in range(14)]
    later = [(3 * 9000 + 150 + at, f"B{at}", "ACT") for at in range(40)] + [
        (50_000 + at, f"C{at}", "ACT") for at in range(20)
    ]
    answers = []
    for events in (begun, sorted(begun + later)):
        out = tmp_path / "early.json"
        assert main(["families", str(write_log(events)), "--flood", "4", "--first", "90", "--json", str(out)]) == 0
        answers.append(json.loads(out.read_text()))
    assert answers[0] == answers[1]
    assert answers[0]["family"]["floods"] == [1, 2, 3]


def test_a_flood_that_is_not_there_is_refused_with_how_many_there_are(write_log, refused):
    log = str(write_log([(at * 10, f"A{at}", "ACT") for at in range(14)]))
    assert "this journal has 1, numbered from 1" in refused("families", log, "--flood", "2")
    assert "give 1 to 86400 seconds" in refused("families", log, "--flood", "1", "--first", "0")


def test_a_journal_without_floods_has_no_families(write_log, capsys):
    assert main(["families", str(write_log([(0, "T", "ACT"), (5, "T", "RTN")])), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["families"] == []


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """Three classes of floods; each starts with its own alarms, with noise."""
    rng = np.random.default_rng(6)
    for place, label in enumerate(("leak", "trip", "foam")):
        for number in range(25):
            write_flood(tmp_path / "train" / label / f"{number}.csv", flood_matrix(rng, place))
    return tmp_path / "train"


def flood_matrix(rng: np.random.Generator, place: int) -> np.ndarray:
    active = np.zeros((60, 12), np.uint8)
    for step in range(3):
        begin = int(rng.integers(1, 8)) + step * 5
        active[begin : begin + 30, place * 4 + step] = 1
    active[:, 3] |= (rng.random(60) < 0.1).astype(np.uint8)
    return active


def write_flood(path: Path, active: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"alarm{i}" for i in range(active.shape[1])])
        writer.writerows(active.tolist())
    return path


@pytest.mark.parametrize(("place", "label"), [(0, "leak"), (1, "trip"), (2, "foam")])
def test_a_flood_is_named_early(place, label, train, tmp_path, capsys):
    rng, named = np.random.default_rng(100 + place), []
    for _ in range(8):
        flood = write_flood(tmp_path / "new.csv", flood_matrix(rng, place))
        assert main(["classify", "--train", str(train), "--flood", str(flood), "--samples", "20", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["samples"] == 20
        assert found["unseen"] or found["probability"] > 0.9
        named.append(found["class"])
    assert set(named) <= {label, "unseen"}
    assert named.count(label) >= 6


def test_a_flood_like_none_before_is_called_unseen(train, tmp_path, capsys):
    active = np.zeros((60, 12), np.uint8)
    active[2:, [2, 6, 10, 11, 7]] = 1
    flood = write_flood(tmp_path / "new.csv", active)
    assert main(["classify", "--train", str(train), "--flood", str(flood)]) == 0
    assert capsys.readouterr().out.startswith("unseen")


def test_an_alarm_that_no_training_flood_has_makes_it_unseen(train, tmp_path, capsys):
    active = np.concatenate((flood_matrix(np.random.default_rng(9), 0), np.ones((60, 1), np.uint8)), axis=1)
    flood = write_flood(tmp_path / "new.csv", active)
    assert main(["classify", "--train", str(train), "--flood", str(flood), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["alarms_never_seen_in_training"] == ["alarm12"]


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b\n1\n", "a,b\n1,7\n", "a,b\nx,y\n"])
def test_what_is_no_flood_is_refused_in_words(content, train, tmp_path, refused):
    flood = tmp_path / "bad.csv"
    flood.write_text(content)
    assert "bad.csv" in refused("classify", "--train", str(train), "--flood", str(flood))


def test_training_needs_two_classes(train, tmp_path, refused):
    flood = train / "leak" / "0.csv"
    assert "there is no folder" in refused("classify", "--train", str(tmp_path / "none"), "--flood", str(flood))
    (tmp_path / "none").mkdir()
    assert "fewer than two classes" in refused("classify", "--train", str(tmp_path / "none"), "--flood", str(flood))
