"""Disks that fill up or may not be written, clocks that jump, tags that change their type, too much asked at once."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
from factorylm_edge.data_folder import DataFolder
from factorylm_edge.gateway import Gateway
from factorylm_edge.history import HistoryError, HistoryFullError
from factorylm_edge.recorder import Recorder
from factorylm_edge.rescue import open_history
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.server import SKILL
from factorylm_edge.settings import EdgeSettings
from factorylm_edge.sqlite_history import SqliteHistory, SqliteReader
from factorylm_schema import Plant
from factorylm_skill import Settings
from factorylm_skill.testing.clients import connected

BEGIN_US = 1_767_225_600 * SECOND
END_US = BEGIN_US + 86_400 * SECOND


def many(seconds: range, tags: int = 50) -> list[Sample]:
    return [Sample(f"d.t{tag}", BEGIN_US + s * SECOND, s * 0.7 + tag) for s in seconds for tag in range(tags)]


# -- the disk -----------------------------------------------------------------------------------


def as_root(*command: str) -> bool:
    """Whether it was done: by root, or by somebody whom sudo asks nothing."""
    before = [] if os.geteuid() == 0 else ["sudo", "-n"]
    try:
        return subprocess.run([*before, *command], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def remount(folder: Path, how: str) -> None:
    assert as_root("mount", "-o", f"remount,{how}", str(folder))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 2 MB."""
    if sys.platform != "linux":
        pytest.skip("a file system of its own takes Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size=2m,mode=700,uid={os.geteuid()},gid={os.getegid()}"
    if not as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)):
        if os.environ.get("CI"):
            pytest.fail("a file system of its own takes root, and CI runs every test")
        pytest.skip("a file system of its own takes root")
    yield folder
    assert as_root("umount", "--lazy", str(folder))


async def test_a_disk_that_is_full_loses_nothing_that_was_acknowledged_and_goes_on_when_there_is_room(small_disk):
    history = SqliteHistory(small_disk / "history.db")
    recorder = Recorder(history, most_waiting=200_000)
    ballast = small_disk / "somebody-elses.log"
    ballast.write_bytes(bytes(1_000_000))
    for begin in range(0, 3000, 20):
        recorder.put(many(range(begin, begin + 20)))
        await recorder.flush()
    assert "no more room" in recorder.trouble or "disk" in recorder.trouble
    assert recorder.waiting > 0
    assert (recorder.lost, recorder.kept + recorder.waiting) == (0, 150_000)
    found = history.read("d.t0", BEGIN_US, END_US).samples
    assert [s.time_us for s in found] == [BEGIN_US + s * SECOND for s in range(recorder.kept // 50)]
    ballast.unlink()
    remount(small_disk, "size=32m")
    await recorder.flush()
    assert (recorder.waiting, recorder.trouble) == (0, "")
    assert history.read("d.t0", BEGIN_US, END_US).samples == [s for s in many(range(3000)) if s.tag == "d.t0"]
    history.close()


def test_a_disk_that_is_full_at_the_start_says_so(small_disk):
    (small_disk / "somebody-elses.log").write_bytes(bytes(2_000_000))
    filled = subprocess.run(["dd", "if=/dev/zero", f"of={small_disk / 'more'}"], check=False, capture_output=True)
    assert b"No space left" in filled.stderr
    with pytest.raises(HistoryError) as caught:
        SqliteHistory(small_disk / "history.db")
    assert "room" in str(caught.value)


def test_a_disk_that_may_not_be_written_is_said_so_and_what_is_there_is_read(small_disk):
    history = SqliteHistory(small_disk / "history.db")
    history.append(many(range(10)))
    history.close()
    remount(small_disk, "ro")
    with pytest.raises(HistoryError, match="cannot be written"), DataFolder(small_disk):
        pass
    with pytest.raises(HistoryError, match=r"history\.db cannot be written.*--data"):
        open_history(small_disk)
    with closing(SqliteReader(small_disk / "history.db")) as reader:
        assert len(reader.read("d.t0", BEGIN_US, END_US).samples) == 10


_FILE_LIMIT = """
import resource, signal, sys
from pathlib import Path
from factorylm_edge.history import HistoryError
from factorylm_edge.sample import Sample
from factorylm_edge.sqlite_history import SqliteHistory, SqliteReader
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
history = SqliteHistory(Path(sys.argv[1]) / "history.db")
for second in range(100_000):
    try:
        history.append([Sample(f"d.t{at}", second * 1_000_000, second * 0.7 + at) for at in range(50)])
    except HistoryError as error:
        print(second, type(error).__name__)
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_file_that_may_not_grow_keeps_every_batch_that_was_acknowledged(tmp_path):
    """For those who are not root: the kernel's limit on the size of a file."""
    done = subprocess.run(
        [sys.executable, "-c", _FILE_LIMIT, str(tmp_path)], capture_output=True, text=True, check=True, timeout=100
    )
    acknowledged, kind = done.stdout.split()
    assert kind in (HistoryError.__name__, HistoryFullError.__name__)
    assert int(acknowledged) > 5
    history = open_history(tmp_path)
    found = history.read("d.t7", 0, END_US).samples
    assert [s.value for s in found[: int(acknowledged)]] == [s * 0.7 + 7 for s in range(int(acknowledged))]
    assert not list(tmp_path.glob("*.damaged-*"))
    history.close()


@pytest.mark.parametrize("harm", ["cut", "zeros", "noise"])
def test_a_last_page_that_was_half_written_is_never_read_as_values(tmp_path, harm):
    history = open_history(tmp_path)
    for begin in range(0, 500, 100):
        history.append(many(range(begin, begin + 100)))
        history.compact(everything=True)
    history.close()
    path = tmp_path / "history.db"
    whole = path.read_bytes()
    last = {"cut": whole[-4096:-2048], "zeros": bytes(4096), "noise": bytes(range(256)) * 16}[harm]
    path.write_bytes(whole[:-4096] + last)
    history = open_history(tmp_path)
    truth = set(many(range(500)))
    for tag in history.tags():
        try:
            found = history.read(tag.name, BEGIN_US, END_US)
        except HistoryError:
            continue  # said, not invented
        assert truth.issuperset(found.samples)
    history.append(many(range(500, 501)))
    assert history.read("d.t0", BEGIN_US + 500 * SECOND, END_US).samples == many(range(500, 501))[:1]
    history.close()


# -- values and times -----------------------------------------------------------------------------


def test_a_clock_that_jumps_back_and_forth_moves_no_value(history):
    """Seconds as the clock said them, in the order in which the values came: an hour back, then a day ahead."""
    told = [*range(5000, 5100), *range(1400, 1500), *range(80_000, 80_010), *range(5100, 5200)]
    for number, second in enumerate(told):
        history.append([Sample("d.x", BEGIN_US + second * SECOND, float(number))])
        if number % 90 == 0:
            history.compact(everything=True)
    history.compact(everything=True)
    found = history.read("d.x", BEGIN_US, END_US).samples
    expected = sorted((BEGIN_US + second * SECOND, float(number)) for number, second in enumerate(told))
    assert [(s.time_us, s.value) for s in found] == expected
    assert history.span("d.x") == (BEGIN_US + 1400 * SECOND, BEGIN_US + 80_009 * SECOND)
    assert history.latest("d.x", END_US) == Sample("d.x", BEGIN_US + 80_009 * SECOND, 209.0)


def test_one_time_told_again_and_again_keeps_every_value_through_compaction(history):
    for value in range(700):
        history.append([Sample("d.x", BEGIN_US, value)])
    history.compact(everything=True)
    assert [s.value for s in history.read("d.x", BEGIN_US, BEGIN_US + 1).samples] == list(range(700))
    (window,) = history.windows("d.x", BEGIN_US, BEGIN_US + SECOND, SECOND)
    assert (window.count, window.minimum, window.maximum, window.last) == (700, 0, 699, 699)


def test_a_tag_that_changes_its_type_keeps_each_value_as_it_was(history):
    values = [1, 2.5, "manual", True, None, 3]
    for second in range(600):
        value = values[second // 100]
        code = 0x80310000 if value is None else 0
        history.append([Sample("d.x", BEGIN_US + second * SECOND, value, code)])
        if second % 150 == 149:
            history.compact(everything=True)
    found = history.read("d.x", BEGIN_US, END_US).samples
    assert [(type(s.value), s.value) for s in found] == [(type(v), v) for v in values for _ in range(100)]
    windows = history.windows("d.x", BEGIN_US, BEGIN_US + 600 * SECOND, 100 * SECOND)
    assert [(w.mean, w.last, w.doubtful) for w in windows] == [
        (1, 1, 0), (2.5, 2.5, 0), (None, "manual", 0), (None, True, 0), (None, None, 100), (3, 3, 0),
    ]  # fmt: skip


async def test_a_clock_that_is_set_is_said_and_counted(tmp_path, monkeypatch, caplog, until):
    history = SqliteHistory(tmp_path / "history.db")
    gateway = Gateway(Plant(), [], EdgeSettings(), history)
    ahead = [0.0]
    told = time.time
    monkeypatch.setattr("factorylm_edge.gateway.time.time", lambda: told() + ahead[0])
    async with running(gateway):
        for number, jump in enumerate((3600.0, -7200.0), 1):
            ahead[0] += jump
            await until(lambda number=number: gateway.clock_jumps == number)
    assert gateway.status()["clock_jumps"] == 2
    said = [record.getMessage() for record in caplog.records if "clock jumped" in record.getMessage()]
    assert [text.split(" s;")[0][:19] for text in said] == ["the clock jumped by"] * 2
    assert "+3600" in said[0]
    assert "-7200" in said[1]
    history.close()


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[None]:
    task = asyncio.create_task(gateway.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# -- a million tags asked at once -----------------------------------------------------------------


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A history that knows 200,000 tags."""
    history = SqliteHistory(tmp_path / "history.db")
    with history.commit() as db:
        db.executemany("INSERT INTO tag (name) VALUES (?)", ((f"d.t{at:06}",) for at in range(200_000)))
    history.close()
    history = SqliteHistory(tmp_path / "history.db")
    history.append([Sample("d.t000007", BEGIN_US, 1.5)])
    history.close()
    return tmp_path


async def test_a_million_tags_asked_at_once_are_refused_with_the_bound(crowded):
    async with connected(SKILL, Settings(data=(crowded,))) as client:
        asked = {"tags": [f"d.t{at:06}" for at in range(1_000_000)], "start": "2026-01-01T00:00Z"}
        said = await client.refused("history_stats", **asked)
        assert "50" in said
        assert len(said) < 1000


async def test_of_very_many_tags_a_page_is_listed_and_the_rest_is_said_to_be_there(crowded):
    async with connected(SKILL, Settings(data=(crowded,))) as client:
        answer = await client.ask("history_list_tags", limit=50)
        assert len(answer["rows"]) == 50
        assert answer["truncated"]
        assert answer["cursor"]
        read = await client.ask("history_read", tag="d.t000007", start="2025-12-31T23:59Z")
        assert read["rows"] == [[0.0, 1.5]]
