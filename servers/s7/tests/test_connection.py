"""CPUs that are not there, go away, stay silent or hang: what is told, and that nothing is harmed."""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from factorylm_s7.driver import S7Driver
from factorylm_s7.session import Session
from factorylm_schema import (
    DeviceTimeoutError,
    NotConnectedError,
)
from factorylm_skill import FaultKind


async def test_no_byte_is_sent_before_the_first_call_and_one_connection_serves_all(bench):
    async with bench() as b:
        assert b.driver._owner is None
        await b.values("DB1:0:INT")
        first = b.driver._owner._session
        await b.values("DB1:2:INT", "DB1:200:INT")
        assert b.driver._owner._session is first


async def test_a_connection_that_the_cpu_closed_is_made_anew_without_losing_a_reading(bench):
    async with bench() as b:
        await b.values("DB1:0:INT")
        b.faults.set(FaultKind.DISCONNECT)
        assert await b.values("DB1:0:INT") == [1]


async def test_negotiated_limits_are_kept(bench, filled):
    small = filled(db1=2000)
    small.pdu = 240
    async with bench(small, timeout_s=10) as b:
        await b.values(*[f"DB1:{4 * n}:REAL" for n in range(400)])
        assert b.driver._owner._session.budget.pdu == 240
        assert small.longest_job <= 240
        assert small.most_items <= 19


async def test_a_host_that_takes_the_connection_and_stays_silent_is_a_timeout(device, tag):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        driver = S7Driver(device(silent.getsockname()[1], timeout_s=0.3))
        with pytest.raises(DeviceTimeoutError, match="does not answer as an S7 CPU"):
            await driver.browse("", "", 5, "")
        with pytest.raises(NotConnectedError, match="does not answer as an S7 CPU"):
            await driver.write(tag("DB1,INT0"), 1)  # it surely was not sent
        await driver.close()


async def test_nobody_at_the_address_is_not_connected_and_closing_twice_is_no_harm(device):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    driver = S7Driver(device(port))
    with pytest.raises(NotConnectedError, match=r"no connection to 127\.0\.0\.1:\d+: \w"):
        await driver.browse("", "", 5, "")
    await driver.close()
    await driver.close()


async def test_a_wrong_slot_is_told_as_a_wrong_slot(bench, device):
    async with bench() as b:
        driver = S7Driver(device(b.port, slot=3))
        with pytest.raises(NotConnectedError, match="refuses a connection to rack 0, slot 3") as refusal:
            await driver.browse("", "", 5, "")
        assert "S7-300: slot 2" in refusal.value.hint
        await driver.close()


async def test_a_caller_that_gives_up_leaves_the_line_usable(bench):
    async with bench() as b:
        await b.values("DB1:0:INT")
        b.faults.set(FaultKind.DROP)
        arrived, answer = asyncio.Event(), b.cpu.answer
        b.cpu.answer = lambda question: arrived.set() or answer(question)
        reading = asyncio.ensure_future(b.values("DB1:0:INT"))
        async with asyncio.timeout(5):
            await arrived.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await b.values("DB1:2:INT") == [0x0203]


@dataclass
class Hanging:
    """A connection that does not come about until it is released."""

    switch: pytest.MonkeyPatch
    opened: Callable[[Session], None] = Session.open
    released: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        def hang(session: Session) -> None:
            self.released.wait(10)
            try:
                self.opened(session)
            finally:
                self.done.set()

        self.switch.setattr(Session, "open", hang)

    def end(self) -> None:
        self.switch.setattr(Session, "open", self.opened)

    async def passed(self) -> bool:
        """Release it, and wait until it has come about."""
        self.released.set()
        return await asyncio.to_thread(self.done.wait, 10)


@pytest.fixture
def hanging(monkeypatch):
    """A name server that is silent holds the thread in the operating system."""
    return Hanging(monkeypatch)


async def test_a_thread_that_nothing_can_wake_is_left_behind_and_harms_nobody_later(bench, hanging):
    async with bench(timeout_s=0.2) as b:
        hanging.begin()
        with pytest.raises(DeviceTimeoutError, match="could not be reached in time"):
            await b.values("DB1:0:INT")
        hanging.end()
        assert await b.values("DB1:0:INT") == [1]
        session = b.driver._owner._session
        assert await hanging.passed()
        assert await b.values("DB1:0:INT") == [1]
        assert b.driver._owner._session is session


async def test_a_write_that_was_left_behind_is_not_sent_later(bench, tag, hanging):
    async with bench(timeout_s=0.2) as b:
        hanging.begin()
        with pytest.raises(DeviceTimeoutError):
            await b.driver.write(tag("DB1:0:INT"), 7)
        assert await hanging.passed()
        assert b.faults.writes == 0
