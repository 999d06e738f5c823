"""The connections to one device: made when needed, given up at the first doubt, and asked at most twice.

Reads may be asked again once, on a fresh connection. A write leaves once; unanswered, its outcome is unknown.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from factorylm_schema import (
    BadReplyError,
    DeviceError,
    DeviceTimeoutError,
    NotConnectedError,
    OutcomeUnknownError,
)
from factorylm_skill.driver import before_sending

from factorylm_modbus.endpoint import Endpoint, Link, SerialLine
from factorylm_modbus.framing import Mbap, Rtu
from factorylm_modbus.line import Batch, Line
from factorylm_modbus.pdu import Answer, ModbusRefusedError, Request, echo

_STILL_WORKING = 5  # exception 5: taken, not yet done


@dataclass(frozen=True, kw_only=True, slots=True)
class Manners:
    """How a device wants to be asked."""

    patience_s: float = 1.0
    late_reply_s: float = 1.0
    depth: int = 1
    connections: int = 1
    pause_s: float = 0.0


@dataclass
class Session:
    """One device's connections."""

    endpoint: Endpoint
    manners: Manners = field(default_factory=Manners)
    tls: Callable[[], ssl.SSLContext] | None = None
    tls_name: str | None = None
    _lines: list[Line | None] = field(init=False)
    _doubted: int | None = None  # unit whose answer may still be on an unnumbered line
    _doubted_until: float = 0.0

    def __post_init__(self) -> None:
        count = 1 if self.endpoint.link.is_rtu else self.manners.connections
        self._lines = [None] * count

    async def ask(self, requests: Sequence[Request], deadline: float) -> list[Answer]:
        """One answer per request, in order: its bytes, the device's refusal, or why there is none.

        Raises only when nothing at all was answered.
        """
        batch = Batch(requests=requests)
        failure = await self._attempt(batch, deadline)
        if failure and self._worth_a_second(batch, failure, deadline):
            failure = await self._attempt(batch, deadline)
        if failure is None:
            return [answer for answer in batch.answers if answer is not None]
        if all(answer is None for answer in batch.answers):
            raise failure
        return [failure if answer is None else answer for answer in batch.answers]

    async def ask_once(self, request: Request, deadline: float) -> bytes:
        """Send a write a single time: NotConnectedError when it did not leave, OutcomeUnknownError when it is
        not answered.
        """
        with before_sending():
            line = await self._line(0, deadline)
        batch = Batch(requests=[request])
        try:
            await self._ask_on(line, batch, [0], deadline)
        except DeviceError as error:
            raise OutcomeUnknownError(
                f"the write was sent once and not confirmed ({error.message})",
                hint="It may have taken effect: read the tag back before anything else",
            ) from error
        answer = batch.answers[0]
        if isinstance(answer, ModbusRefusedError) and answer.exception == _STILL_WORKING:
            raise OutcomeUnknownError(answer.message, hint=answer.hint)
        if isinstance(answer, DeviceError):
            raise answer
        assert answer is not None
        return answer

    async def connect(self, deadline: float) -> None:
        """Have a connection, new or still good."""
        await self._line(0, deadline)

    async def close(self) -> None:
        """Drop every connection."""
        for line in self._lines:
            if line is not None:
                line.drop()
        self._lines = [None] * len(self._lines)

    # -- one attempt --------------------------------------------------------------------------

    async def _attempt(self, batch: Batch, deadline: float) -> DeviceError | None:
        """Ask what is still open, shared out over the connections; why that failed, if it did."""
        open_ = batch.open()
        shares = [open_[at :: len(self._lines)] for at in range(len(self._lines))]
        jobs = [self._share(at, batch, share, deadline) for at, share in enumerate(shares) if share]
        if len(jobs) == 1:
            return await jobs[0]
        failures = await asyncio.gather(*jobs)
        return next(filter(None, failures), None)

    async def _share(self, at: int, batch: Batch, which: Sequence[int], deadline: float) -> DeviceError | None:
        try:
            line = await self._line(at, deadline)
            await self._ask_on(line, batch, which, deadline)
        except DeviceError as error:
            return error
        return None

    async def _ask_on(self, line: Line, batch: Batch, which: Sequence[int], deadline: float) -> None:
        try:
            await line.ask(batch, which, patience_s=self.manners.patience_s, deadline=deadline)
        except (DeviceTimeoutError, BadReplyError, NotConnectedError, asyncio.CancelledError):
            self._doubt(batch)
            raise

    def _worth_a_second(self, batch: Batch, failure: DeviceError, deadline: float) -> bool:
        """There is time, and the first attempt got as far as a connection."""
        left_s = deadline - asyncio.get_running_loop().time()
        only_silent_ones = isinstance(failure, DeviceTimeoutError) and set(batch.suspects) >= set(batch.open())
        needed_s = self.manners.patience_s if only_silent_ones else 0.05
        if self._doubted is not None:
            needed_s += self.manners.late_reply_s
        return left_s >= needed_s - 0.01 and not isinstance(failure, UnreachableError)

    # -- lines without numbers ----------------------------------------------------------------

    def _doubt(self, batch: Batch) -> None:
        """An answer is outstanding on a line where answers carry no number: it must pass before the next."""
        if self.endpoint.link.is_rtu:
            latest = batch.suspects[-1] if batch.suspects else 0
            self._doubted = batch.requests[latest].unit
            self._doubted_until = asyncio.get_running_loop().time() + self.manners.late_reply_s

    async def _settle(self, line: Line, deadline: float) -> None:
        """Let a late answer pass: wait its time, then ask for an echo that only this question can have.

        A device answers in order, so behind the echo (or its refusal) no older answer can follow. One that
        keeps silent on FC8 is trusted to be in time: `late_reply_s` is then the whole protection.
        """
        unit, loop = self._doubted, asyncio.get_running_loop()
        if unit is None:
            return
        if self._doubted_until > deadline:
            raise DeviceTimeoutError(
                "the line is kept silent until a late answer of the last question has passed",
                hint="Ask again in a moment",
            )
        await asyncio.sleep(max(0.0, self._doubted_until - loop.time()))
        fence = Batch(requests=[echo(unit, os.urandom(2))])
        half_s = min(self.manners.patience_s, max(0.05, (deadline - loop.time()) / 2))
        await line.ask(fence, [0], patience_s=half_s, deadline=deadline, skip_strangers=True)
        self._doubted = None

    # -- connecting ---------------------------------------------------------------------------

    async def _line(self, at: int, deadline: float) -> Line:
        line = self._lines[at]
        if line is None or line.lost:
            line = self._lines[at] = await self._connected(deadline)
        if self._doubted is not None:
            line = await self._settled(at, line, deadline)
        return line

    async def _settled(self, at: int, line: Line, deadline: float) -> Line:
        try:
            await self._settle(line, deadline)
        except DeviceTimeoutError:
            if not line.lost:
                raise
            # Silent on FC8: the time that has passed must do
            self._doubted = None
            line = self._lines[at] = await self._connected(deadline)
        return line

    async def _connected(self, deadline: float) -> Line:
        patience_s = min(self.manners.patience_s, deadline - asyncio.get_running_loop().time())
        if patience_s <= 0:
            raise DeviceTimeoutError("the time for this call was used up", hint="Raise the device's timeout_s")
        try:
            async with asyncio.timeout(patience_s):
                line = await self._open()
        except TimeoutError as error:
            raise UnreachableError(
                f"{self.endpoint} does not answer the call for a connection",
                hint="Check that the device is on, the address, and the firewalls between",
            ) from error
        except ssl.SSLError as error:
            raise UnreachableError(
                f"{self.endpoint} and this side do not agree on TLS: {error.reason or error}",
                hint="Check tls_ca, tls_cert and tls_key, and the name in the device's certificate (tls_name)",
            ) from error
        except OSError as error:
            raise UnreachableError(*_why(error, self.endpoint)) from error
        return line

    async def _open(self) -> Line:
        endpoint, loop = self.endpoint, asyncio.get_running_loop()
        if endpoint.serial:
            return await _open_serial(endpoint.serial, self.manners)
        _, protocol = await loop.create_connection(
            lambda: Line(
                Rtu() if endpoint.link is Link.RTU_TCP else Mbap(),
                depth=self.manners.depth,
                pause_s=self.manners.pause_s,
            ),
            endpoint.host,
            endpoint.port,
            ssl=self.tls() if self.tls else None,
            server_hostname=self.tls_name if self.tls else None,
        )
        return protocol


class UnreachableError(NotConnectedError):
    """There was no connection to ask on."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)


async def _open_serial(serial: SerialLine, manners: Manners) -> Line:
    # pymodbus' transport knows POSIX and Windows serial ports; importing it costs 0.1 s, so only here
    from pymodbus.transport.serialtransport import create_serial_connection

    pause_s = max(manners.pause_s, serial.silence_s)
    try:
        transport, protocol = await create_serial_connection(
            asyncio.get_running_loop(),
            lambda: Line(Rtu(), pause_s=pause_s),
            serial.port,
            baudrate=serial.baud,
            bytesize=serial.bytesize,
            parity=serial.parity,
            stopbits=serial.stopbits,
        )
    except RuntimeError as error:
        # A failure of this device alone: the tags of others are still read
        raise UnreachableError("serial ports need pyserial", hint="pip install 'factorylm-modbus[serial]'") from error
    await asyncio.sleep(0)  # its reader is set up in the next turn of the loop
    line = cast("Line", protocol)
    line.connection_made(transport)
    return line


def _why(error: OSError, endpoint: Endpoint) -> tuple[str, str]:
    """What an operating system's error means for this endpoint, and what to try."""
    if isinstance(error, ConnectionRefusedError):
        return (
            f"{endpoint} refuses the connection: the host is there, nothing listens on the port",
            "Check the port (Modbus TCP is 502), and that Modbus is switched on in the device",
        )
    if isinstance(error, socket.gaierror):
        return f"the name {endpoint.host!r} is not known", "Check its spelling, or write the IP address"
    if endpoint.serial:
        return (
            f"the serial port {endpoint} cannot be opened: {error}",
            "Check its name and that no other program uses it (Linux: and that you may, group dialout)",
        )
    return f"{endpoint} cannot be reached: {error.strerror or error}", "Check address, cable and route"
