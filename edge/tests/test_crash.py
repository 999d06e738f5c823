"""Nothing acknowledged is lost, whatever happens to the process, the disk or the file."""

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from factorylm_edge.data_folder import DataFolder
from factorylm_edge.folding import BUCKET
from factorylm_edge.history import HistoryError, Retention
from factorylm_edge.recorder import Recorder
from factorylm_edge.rescue import open_history
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.sqlite_history import SqliteHistory, SqliteReader
from factorylm_schema import FactoryLMError

BEGIN_US = 1_767_225_600 * SECOND
END_US = BEGIN_US + 86_400 * SECOND
TAG = "pump1.speed"


@pytest.mark.skipif(sys.platform == "win32", reason="forks and SIGKILL are POSIX")
def test_sixty_kills_lose_nothing_that_was_acknowledged_and_every_restart_is_clean(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("crash_runs.py")), str(tmp_path), "60", "20260101"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["faults"] == []
    assert told["runs"] == 60
    assert told["found"] >= told["acknowledged"] > 60


def many(seconds: range, tags: int = 50) -> list[Sample]:
    return [Sample(f"d.t{tag}", BEGIN_US + s * SECOND, s * 0.7 + tag) for s in seconds for tag in range(tags)]


async def test_a_full_disk_keeps_samples_in_memory_until_there_is_room(tmp_path, caplog):
    """SQLite's own word for a full disk, from a file that may not grow."""
    history = SqliteHistory(tmp_path / "history.db", most_pages=40)
    recorder = Recorder(history, most_waiting=100_000)
    for begin in range(0, 1000, 20):
        recorder.put(many(range(begin, begin + 20)))
        await recorder.flush()
    assert "no more room" in recorder.trouble
    assert (recorder.lost, recorder.kept + recorder.waiting) == (0, 50_000)
    before = history.read("d.t0", BEGIN_US, END_US).samples
    assert [s.time_us for s in before] == [BEGIN_US + s * SECOND for s in range(recorder.kept // 50)]
    history._db.execute("PRAGMA max_page_count=100000")
    await recorder.flush()
    assert (recorder.waiting, recorder.trouble) == (0, "")
    assert history.read("d.t0", BEGIN_US, END_US).samples == [s for s in many(range(1000)) if s.tag == "d.t0"]
    assert [record.message[:12] for record in caplog.records] == ["history full", "history is w"]
    history.close()


async def test_memory_is_bounded_and_what_is_lost_is_counted(tmp_path):
    recorder = Recorder(SqliteHistory(tmp_path / "history.db", most_pages=30), most_waiting=1000)
    for begin in range(0, 400, 20):
        recorder.put(many(range(begin, begin + 20)))
        await recorder.flush()
    assert recorder.waiting == 1000
    assert recorder.kept + recorder.waiting + recorder.lost == 400 * 50
    recorder.history.close()


def test_a_history_keeps_to_its_size_by_dropping_the_oldest(tmp_path):
    history = SqliteHistory(tmp_path / "history.db")
    for begin in range(0, 1500, 150):
        history.append(many(range(begin, begin + 150)))
        history.compact(everything=True)
    most = history.used_bytes() * 4 // 5
    kept = history.retain(Retention(most_bytes=most), BEGIN_US + 1500 * SECOND)
    assert kept.dropped > 0
    assert history.used_bytes() <= most
    left = history.read("d.t0", BEGIN_US, END_US).samples
    assert left[0].time_us > BEGIN_US
    assert left[-1].time_us == BEGIN_US + 1499 * SECOND
    history.close()


def test_a_damaged_file_is_set_aside_whole_and_collecting_goes_on(tmp_path, caplog):
    history = open_history(tmp_path)
    history.append(many(range(100)))
    history.close()
    path = tmp_path / "history.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4096] + b"\x55" * 4096)  # the last page
    history = open_history(tmp_path)
    history.append([Sample(TAG, BEGIN_US, 1.0)])
    assert [s.value for s in history.read(TAG, BEGIN_US, END_US).samples] == [1.0]
    (aside,) = tmp_path.glob("history.db.damaged-*")
    assert aside.read_bytes()[:4096] == whole[:4096]
    assert "set aside" in caplog.text
    history.close()


def test_a_damaged_chunk_is_named_and_costs_only_itself(tmp_path):
    history = SqliteHistory(tmp_path / "history.db")
    for begin in (0, 1000):
        history.append([Sample(TAG, BEGIN_US + (begin + s) * SECOND, float(s)) for s in range(600)])
        history.compact(everything=True)
    with history.commit() as db:
        db.execute("UPDATE chunk SET data = substr(data, 1, 50) WHERE id = 1")
    found = history.read(TAG, BEGIN_US, END_US)
    assert len(found.samples) == 600
    assert f"{BEGIN_US // SECOND} to {BEGIN_US // SECOND + 599} are damaged" in found.damaged[0]
    with pytest.raises(HistoryError, match="damaged"):
        history.windows(TAG, BEGIN_US, END_US, 60 * SECOND)
    history.close()


def test_two_gateways_cannot_work_in_one_folder(tmp_path):
    refused = pytest.raises(FactoryLMError, match="another gateway works in")
    with DataFolder(tmp_path), refused, DataFolder(tmp_path):
        pass
    with DataFolder(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match="cannot be written"), DataFolder(tmp_path / "file" / "data"):
        pass


def test_a_file_that_is_no_history_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "history.db") as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    with pytest.raises(HistoryError, match=r"no such table|layout"):
        SqliteHistory(tmp_path / "history.db")


def test_readers_see_whole_batches_while_it_is_written_and_compacted(tmp_path):
    history = SqliteHistory(tmp_path / "history.db")
    history.append(many(range(1), tags=2 * BUCKET))
    ended = threading.Event()

    def write() -> None:
        for second in range(1, 150):
            history.append(many(range(second, second + 1), tags=2 * BUCKET))
            if second % 10 == 0:
                history.compact(everything=True)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    reader = SqliteReader(tmp_path / "history.db")
    while not ended.is_set():
        times = [s.time_us for s in reader.read("d.t0", BEGIN_US, END_US).samples]
        assert times == [BEGIN_US + s * SECOND for s in range(len(times))]
        counts.append(len(times))
    writer.join()
    assert counts == sorted(counts)
    assert len(reader.read("d.t255", BEGIN_US, END_US).samples) == 150
    reader.close()
    history.close()
