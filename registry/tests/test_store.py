"""The store's promises, kept by SQLite and PostgreSQL alike."""

import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from factorylm_registry.cursors import Question
from factorylm_registry.listing import Status
from factorylm_registry.merkle import leaf_hash, root_hash, verify_consistency, verify_inclusion
from factorylm_registry.refusals import ConflictError, NotListedError, NotProvenError, NotYoursError, RefusedError
from factorylm_registry.signatures import Signer
from factorylm_registry.store import StatusChange, open_store
from factorylm_registry.tile_log import TileLog

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def names(store, **filters):
    return [(one.name, one.version) for one in store.page(Question(**filters))]


def status(name, version, wanted, message="", days=100):
    return StatusChange(
        name=name, version=version, status=Status(wanted), message=message, at=START + timedelta(days=days), by="tests"
    )


def test_what_is_published_comes_back_whole(store, release):
    one = release(title="Pump", ours={"level": "unsigned", "categories": ["plc"]})
    listing = store.publish(one)
    assert store.version("com.example/pump", "latest") == listing
    assert (listing.server, listing.ours, listing.is_latest, listing.number) == (one.server, one.ours, True, 1)
    assert listing.published_at == "2026-03-01T12:00:00.000000Z"


def test_a_version_is_published_once(store, release):
    store.publish(release())
    with pytest.raises(ConflictError, match=r"com\.example/pump 1\.0\.0 is listed already.*new version"):
        store.publish(release(description="another text"))
    assert (store.log_size(), names(store)) == (1, [("com.example/pump", "1.0.0")])


def test_two_publishers_racing_on_one_version_list_it_once(store, release):
    outcomes, together = [], threading.Barrier(2)

    def race(one):
        together.wait(5)
        try:
            outcomes.append(store.publish(one).number)
        except ConflictError:
            outcomes.append("refused")

    racers = [threading.Thread(target=race, args=[release()]) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(20)
    assert sorted(map(str, outcomes)) == ["1", "refused"]
    assert store.log_size() == 1


@pytest.mark.parametrize(
    ("published", "latest"),
    [
        (["1.0.0", "1.10.0", "1.9.0"], "1.10.0"),
        (["2.0.0-rc.1", "1.0.0"], "2.0.0-rc.1"),
        (["2.0.0", "2.0.0-rc.1"], "2.0.0"),
        (["2026.03.01-a b".replace(" ", ""), "build-7"], "build-7"),
        (["build-7", "0.0.1", "build-8"], "0.0.1"),
    ],
)
def test_the_latest_is_the_newest_by_semantic_version_else_by_time(store, release, published, latest):
    for version in published:
        store.publish(release(version=version))
    assert store.version("com.example/pump", "latest").version == latest
    assert [one.version for one in store.versions("com.example/pump")] == published[::-1]


@pytest.mark.parametrize(
    "look_alike", ["com.examp1e/pump", "corn.example/other", "com.exam-ple/x", "com.example/purnp"]
)
def test_a_name_that_looks_like_a_listed_one_is_refused(store, release, look_alike):
    store.publish(release())
    with pytest.raises(NotYoursError, match=r"looks like com\.example/pump"):
        store.publish(release(look_alike))
    assert store.log_size() == 1


def test_pages_carry_on_where_they_stopped_while_others_publish(store, release):
    for number in range(5):
        store.publish(release(f"com.example/skill-{number}x"))
    first = store.page(Question(limit=2))
    store.publish(release("com.example/late"))
    rest = store.page(Question(limit=100, after=first[1].number))
    assert [one.name.split("/")[1] for one in [*first[:2], *rest]] == [
        *(f"skill-{number}x" for number in range(5)),
        "late",
    ]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("PUMP", ["com.example/pump", "com.example/valve"]),
        ("va", ["com.example/valve"]),
        ("100%", ["com.example/percent"]),
        ("a_b", []),
        ('say "x" OR y*', []),
        ("category:plc", ["com.example/valve"]),
    ],
)
def test_search_is_a_substring_of_name_title_or_description(store, release, search, found):
    store.publish(release("com.example/pump"))
    store.publish(release("com.example/valve", title="Valve of a pump", ours={"categories": ["plc"]}))
    store.publish(release("com.example/percent", description="100% of aXb"))
    assert [name for name, _ in names(store, search=search)] == found


def test_filters_combine(store, release):
    for version in ("1.0.0", "2.0.0"):
        store.publish(release(version=version, ours={"categories": ["plc"]}))
    store.publish(release("com.example/valve"))
    store.set_status(status("com.example/valve", "1.0.0", "deleted"))
    assert names(store, version="latest") == [("com.example/pump", "2.0.0")]
    assert names(store, version="1.0.0", include_deleted=True) == [
        ("com.example/pump", "1.0.0"),
        ("com.example/valve", "1.0.0"),
    ]
    assert names(store, category="PLC", version="latest") == [("com.example/pump", "2.0.0")]
    assert names(store, updated_since="2026-05-01T00:00:00.000000Z", include_deleted=True) == [
        ("com.example/valve", "1.0.0")
    ]


def test_a_deleted_version_gives_the_latest_place_to_the_next(store, release):
    for version in ("1.0.0", "1.1.0"):
        store.publish(release(version=version))
    changed = store.set_status(status("com.example/pump", "1.1.0", "deleted", "wrong scaling of currents"))
    assert [(one.status, one.status_message, one.is_latest) for one in changed] == [
        ("deleted", "wrong scaling of currents", False)
    ]
    assert store.version("com.example/pump", "latest").version == "1.0.0"
    with pytest.raises(NotListedError):
        store.version("com.example/pump", "1.1.0")
    assert store.version("com.example/pump", "1.1.0", include_deleted=True).status == "deleted"


def test_all_versions_change_status_together_or_none(store, release):
    for version in ("1.0.0", "1.1.0"):
        store.publish(release(version=version))
    store.set_status(status("com.example/pump", "", "deprecated", "use com.example/pump2"))
    assert {one.status for one in store.versions("com.example/pump")} == {"deprecated"}
    with pytest.raises(ConflictError, match="no changes to apply"):
        store.set_status(status("com.example/pump", "", "deprecated", "use com.example/pump2"))
    with pytest.raises(NotListedError):
        store.set_status(status("com.example/none", "", "deprecated"))


def test_a_token_allows_one_change(store, release):
    store.publish(release(permit="t1"))
    with pytest.raises(NotProvenError, match="used before"):
        store.publish(release(version="1.0.1", permit="t1"))
    store.publish(release(version="1.0.1", permit="t2"))


def test_a_proof_is_spent_once_and_forgotten_when_it_is_old(store):
    later = START + timedelta(minutes=1)
    store.spend("p", later, START)
    with pytest.raises(NotProvenError, match="used before"):
        store.spend("p", later, START)
    store.spend("p", later, later + timedelta(seconds=1))


def test_a_failure_in_the_middle_leaves_nothing(store, release, monkeypatch):
    store.publish(release())
    monkeypatch.setattr("factorylm_registry.log_tables.completed_nodes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.publish(release("com.example/half", ours={"level": "unsigned"}, permit="t"))
    monkeypatch.undo()
    assert (names(store), store.log_size()) == ([("com.example/pump", "1.0.0")], 1)
    store.publish(release("com.example/half", permit="t"))
    assert names(store, search="half") == [("com.example/half", "1.0.0")]


def test_every_change_is_a_log_entry_with_proofs(store, release):
    signer = Signer.__new__(Signer)
    log = TileLog(store, signer)
    roots = {}
    for number in range(9):
        store.publish(release(f"com.example/skill{number}x"))
        roots[number + 1] = root_hash(number + 1, log._node)
    entries = store.log_entries(0, 100)
    assert len(entries) == 9
    for size, root in roots.items():
        for index in range(size):
            assert verify_inclusion(index, size, leaf_hash(entries[index]), log.inclusion(index, size), root)
        assert verify_consistency(size, 9, root, roots[9], log.consistency(size, 9))
    store.annotate("com.example/skill3x", "1.0.0", {"check": {"tier": "gold"}}, START, "registry")
    assert [place for place, _ in store.log_of("com.example/skill3x", "1.0.0")] == [3, 9]
    assert store.version("com.example/skill3x", "latest").ours == {"check": {"tier": "gold"}}


def test_an_entry_altered_in_the_database_is_found(store, release):
    for number in range(4):
        store.publish(release(f"com.example/skill{number}x"))
    log = TileLog(store, Signer.__new__(Signer))
    assert log.verify() is None
    with store.database.writing():
        store.database.run("UPDATE log_entries SET entry = '{}' WHERE position = 2")
    assert log.verify() == 2
    rehashed = leaf_hash(b"{}").hex()
    with store.database.writing():
        store.database.run("UPDATE log_nodes SET hash = ? WHERE level = 0 AND position = 2", rehashed)
    assert TileLog(store, Signer.__new__(Signer)).verify() == 3, "its parent, completed by entry 3, is another"


def test_a_full_disk_is_said_and_nothing_is_half_listed(tmp_path, release):
    store = open_store(str(tmp_path / "small.sqlite"))
    store.publish(release())
    connection: sqlite3.Connection = store.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill():
        for number in range(50):
            store.publish(replace(release(f"com.example/n{number}x"), ours={"text": "x" * 3000}))

    with pytest.raises(RefusedError, match=r"cannot be written: database or disk is full.*Nothing was changed"):
        fill()
    listed = store.page(Question(limit=100))
    assert store.log_size() == len(listed)
    connection.execute("PRAGMA max_page_count = 100000")
    store.publish(release("com.example/after"))
    store.close()
