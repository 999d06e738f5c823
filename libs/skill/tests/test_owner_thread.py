"""One thread, one job at a time, and nobody's failure is another's."""

import asyncio
import threading

import pytest
from factorylm_skill import OwnerThread


@pytest.fixture
def owner():
    thread = OwnerThread("owner of a test")
    yield thread
    thread.stop()


async def test_jobs_run_one_after_another_in_one_thread_that_is_not_the_loops(owner) -> None:
    running: list[int] = []
    seen: list[tuple[int, str]] = []

    def job(number: int) -> int:
        running.append(number)
        assert running == [number]
        seen.append((number, threading.current_thread().name))
        running.clear()
        return number * 2

    doubled = await asyncio.gather(*(owner.run(lambda n=n: job(n)) for n in range(50)))
    assert doubled == [2 * n for n in range(50)]
    assert seen == [(n, "owner of a test") for n in range(50)]


async def test_what_a_job_raises_belongs_to_who_waits_and_the_next_job_runs(owner) -> None:
    def fails() -> None:
        raise OSError("gone")

    failed, fine = await asyncio.gather(owner.run(fails), owner.run(lambda: 1), return_exceptions=True)
    assert isinstance(failed, OSError)
    assert fine == 1


async def test_a_job_cancelled_before_its_turn_is_not_done(owner) -> None:
    go_on, done = threading.Event(), list[str]()
    first = owner.run(lambda: go_on.wait(5))
    second = owner.run(lambda: done.append("second"))
    third = owner.run(lambda: done.append("third"))
    second.cancel()
    go_on.set()
    await asyncio.wait_for(asyncio.gather(first, third), 5)
    assert done == ["third"]


async def test_a_stopped_owner_ends_after_the_jobs_that_wait_and_starts_again(owner) -> None:
    job = owner.run(threading.current_thread)
    owner.stop()
    thread = await asyncio.wait_for(job, 5)
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    assert await asyncio.wait_for(owner.run(threading.current_thread), 5) is not thread


def test_a_result_that_comes_after_the_loop_has_closed_is_nobodys() -> None:
    begun, go_on, threads = threading.Event(), threading.Event(), list[threading.Thread]()

    def job() -> None:
        threads.append(threading.current_thread())
        begun.set()
        go_on.wait(5)

    async def give_up() -> None:
        owner = OwnerThread("late")
        owner.run(job)
        await asyncio.to_thread(begun.wait, 5)
        owner.stop()

    asyncio.run(give_up())
    go_on.set()
    [thread] = threads
    thread.join(5)
    assert not thread.is_alive()
    assert thread.daemon
