"""One S7 connection as one thread owns it: handshakes, jobs, system data. Blocking.

python-snap7 brings TPKT and COTP framing and the user-data services; its Client is not used, because it waits a
fixed 5 s for a connection, sends more jobs than it negotiated, and raises for a whole read where one item fails.
"""

import contextlib
import re
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from factorylm_schema import (
    BadReplyError,
    DeviceError,
    DeviceTimeoutError,
    NotConnectedError,
    OutcomeUnknownError,
)
from factorylm_skill.driver import before_sending
from snap7.connection import ISOTCPConnection
from snap7.error import S7ConnectionError, S7Error, S7TimeoutError
from snap7.s7protocol import S7Protocol

from factorylm_s7 import pdu
from factorylm_s7.endpoint import Endpoint
from factorylm_s7.plan import Budget, Job, Range
from factorylm_s7.refusals import refused

Answer: TypeAlias = bytes | pdu.Refusal

_LEAST_PDU = 112  # the smallest PDU of any S7 CPU; below it the negotiation went wrong


class UnreachableError(NotConnectedError):
    """There was no connection to ask on."""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """What is asked of the CPU when connecting, and the patience for one answer."""

    role: int = 1  # 1 programming device, 2 operator panel, 3 other
    pdu: int = 960
    max_in_flight: int = 1
    patience_s: float = 1.0


@dataclass(kw_only=True)
class Batch:
    """Read jobs and their answers so far (None: none yet); survives the connection it was asked on."""

    jobs: Sequence[Job]
    answers: list[list[Answer] | None] = field(init=False)
    sent: int = 0

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.jobs)

    def open(self) -> list[int]:
        """The jobs still to be answered."""
        return [index for index, answer in enumerate(self.answers) if answer is None]


class Session:
    """A connection. Any doubt about a reply raises, and the owner throws the session away.

    `deadline` (monotonic) is set before each use; nothing is sent after it.
    """

    def __init__(self, endpoint: Endpoint, manners: Manners, deadline: float) -> None:
        self.endpoint = endpoint
        self.manners = manners
        self.budget = Budget(_LEAST_PDU)
        self.max_in_flight = 1
        self.stage: Literal["network", "connection", "session", "open"] = "network"
        # Rack and slot travel in the transport selector: role, 3 bits of rack, 5 bits of slot
        tsap = manners.role << 8 | endpoint.rack << 5 | endpoint.slot
        self._wire = ISOTCPConnection(endpoint.host, endpoint.port, remote_tsap=tsap)
        self.protocol = S7Protocol()
        self.deadline = deadline
        self._given_up = False

    # -- coming and going ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect and negotiate."""
        with self._translated():
            left_s = self._left()
        try:
            self._wire.connect(timeout=left_s)
        except S7TimeoutError as error:
            self.stage = "connection"
            raise DeviceTimeoutError(
                f"{self.endpoint} takes connections but does not answer as an S7 CPU", hint=_TSAP
            ) from error
        except S7ConnectionError as error:
            raise self._unreachable(error) from error
        self.stage = "session"
        with self._translated():
            self._negotiate()
        self.stage = "open"

    def close(self) -> None:
        """Say goodbye and let go; never raises."""
        self._wire.disconnect()

    def abort(self) -> None:
        """Cut the connection from another thread: the owner's wait ends at once."""
        self._given_up = True
        wire = self._wire.socket
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    @property
    def is_quiet(self) -> bool:
        """Still connected, and nothing unasked has arrived: the next reply will be the next question's."""
        return self._wire.check_connection() and not self._wire.data_available()

    # -- jobs ---------------------------------------------------------------------------------------------

    def read(self, batch: Batch) -> None:
        """Ask the open jobs of `batch`; at most as many are under way as were negotiated."""
        waiting: dict[int, int] = {}
        with self._translated():
            for index in batch.open():
                waiting[sequence := self._next()] = index
                batch.sent += 1
                self._send(pdu.read_request(sequence, batch.jobs[index]))
                if len(waiting) == self.max_in_flight:
                    self._take(waiting, batch)
            while waiting:
                self._take(waiting, batch)

    def write(self, place: Range, data: bytes, bit: int | None) -> pdu.Refusal | None:
        """Send one write, once. OutcomeUnknownError when no answer tells what became of it."""
        sequence = self._next()
        request = pdu.write_request(sequence, place, data, bit=bit)
        with before_sending(), self._translated():
            self._left()  # from here on the request counts as sent
        try:
            with self._translated():
                self._send(request)
                reply = self._receive()
                self._expect(reply, sequence)
                return pdu.write_reply(reply)
        except DeviceError as error:
            raise OutcomeUnknownError(
                f"the write was sent, and then: {error.message}", hint="Read the tag back before anything else"
            ) from error

    def ask_service(self, request: bytes, group: int, function: int) -> bytes:
        """The data of a user-data service, put together from as many replies as it takes.

        Raises DeviceRefusedError where the CPU does not offer it.
        """
        whole = bytearray()
        with self._translated():
            while True:
                self._send(request)
                reply = self._receive()
                self._expect(reply, self.protocol.sequence)
                if refusal := pdu.refusal_of_service(reply):
                    raise refused(refusal, "no answer to a question about the CPU")
                parsed = self.protocol.parse_response(reply)
                self.protocol.check_userdata_response(parsed, group, function)
                whole += parsed["data"].get("data", b"")
                follow = parsed["parameters"]
                if not follow["last_data_unit"]:
                    return bytes(whole)
                request = self.protocol.build_userdata_followup_request(group, function, follow["sequence_number"])

    # -- the wire -----------------------------------------------------------------------------------------

    def _negotiate(self) -> None:
        wanted = self.manners
        request = self.protocol.build_setup_communication_request(
            wanted.max_in_flight, wanted.max_in_flight, wanted.pdu
        )
        self._send(request)
        reply = self._receive()
        self._expect(reply, self.protocol.sequence)
        agreed = self.protocol.parse_response(reply)["parameters"]
        length = min(agreed["pdu_length"], wanted.pdu)
        if length < _LEAST_PDU:
            raise BadReplyError(f"the CPU offers a PDU of {length} bytes; no S7 CPU has less than {_LEAST_PDU}")
        self.budget = Budget(length)
        self.max_in_flight = max(1, min(wanted.max_in_flight, agreed["max_amq_caller"]))

    def _next(self) -> int:
        self.protocol.sequence = self.protocol.sequence % 0xFFFF + 1
        return self.protocol.sequence

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise S7TimeoutError("the time for this call is used up")
        return left

    def _send(self, request: bytes) -> None:
        patience_s = min(self._left(), self.manners.patience_s)
        if self._wire.socket is not None:
            self._wire.socket.settimeout(patience_s)
        self._wire.send_data(request)

    def _receive(self) -> bytes:
        return self._wire.receive_data()

    def _take(self, waiting: dict[int, int], batch: Batch) -> None:
        reply = self._receive()
        sequence = pdu.sequence_of(reply)
        index = waiting.pop(sequence, None)
        if index is None:
            raise BadReplyError(f"reply {sequence} answers none of the open requests", hint=_AGAIN)
        batch.answers[index] = pdu.read_reply(reply, batch.jobs[index])

    def _expect(self, reply: bytes, sequence: int) -> None:
        if (found := pdu.sequence_of(reply)) != sequence:
            raise BadReplyError(f"reply {found} came for request {sequence}", hint=_AGAIN)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """python-snap7's errors as ours: silence, a lost connection, bytes that are not S7."""
        try:
            yield
        except S7TimeoutError as error:
            raise self._silent() from error
        except S7ConnectionError as error:
            if self._given_up:
                raise self._silent() from error
            if self._wire.connected:
                raise BadReplyError(f"{self.endpoint} sent bytes that are not S7: {error}", hint=_AGAIN) from error
            raise NotConnectedError(f"the connection to {self.endpoint} was lost: {error}", hint=_LOST) from error
        except (S7Error, struct.error, IndexError, KeyError, TypeError, ValueError) as error:
            # python-snap7's parsers raise the builtin ones on bytes that are not what they say
            raise BadReplyError(f"the reply cannot be understood: {error}", hint=_AGAIN) from error

    def _silent(self) -> DeviceTimeoutError:
        return DeviceTimeoutError(f"{self.endpoint} did not answer in time", hint=_SLOW)

    def _unreachable(self, error: S7ConnectionError) -> UnreachableError:
        text = str(error)
        if text.startswith("TCP connection failed"):
            why = re.sub(r"^\[(Errno|WinError) \d+\] ", "", text.partition(": ")[2])
            return UnreachableError(f"no connection to {self.endpoint}: {why}", hint=_REACH)
        self.stage = "connection"
        place = f"rack {self.endpoint.rack}, slot {self.endpoint.slot}"
        return UnreachableError(f"{self.endpoint} refuses a connection to {place}: {text}", hint=_TSAP)


_REACH = "Check the address, the network and that the CPU is on; S7 uses TCP port 102"
_TSAP = (
    "Check rack and slot (S7-300: slot 2, S7-400: slot 3, S7-1200/1500: slot 1 or 0), and whether the CPU has a "
    "connection left: there are few for PUT/GET"
)
_SLOW = "Check the line and the CPU's load, or raise timeout_s of the device"
_LOST = "Another client may have taken the connection, or the CPU restarted; the next call connects again"
_AGAIN = "The answer was thrown away and the connection is made anew; repeat the request"
