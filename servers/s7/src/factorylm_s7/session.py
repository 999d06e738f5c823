"""One S7 connection as one thread owns it: handshakes, jobs, system data. Blocking.

python-snap7 brings TPKT and COTP framing and the user-data services; its Client is not used, because it waits a
fixed 5 s for a connection, sends more jobs than it negotiated, and raises for a whole read where one item fails.
"""

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from factorylm_schema import (
    BadReplyError,
    DeviceError,
    DeviceRefusedError,
    DeviceTimeoutError,
    NotConnectedError,
    OutcomeUnknownError,
)
from snap7.connection import ISOTCPConnection
from snap7.error import S7ConnectionError, S7Error, S7TimeoutError
from snap7.s7protocol import S7Protocol, S7UserDataGroup, S7UserDataSubfunction

from factorylm_s7 import pdu
from factorylm_s7.plan import Budget, Job, Range

_LEAST_PDU = 112  # the smallest PDU of any S7 CPU; below it the negotiation went wrong


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the CPU sits and what is asked of the connection."""

    host: str
    port: int
    rack: int
    slot: int
    role: int  # 1 programming device, 2 operator panel, 3 other
    pdu: int
    jobs: int

    @property
    def tsap(self) -> int:
        """The transport selector that names rack and slot."""
        return self.role << 8 | self.rack << 5 | self.slot


class Session:
    """A connection that is up. Any doubt about a reply raises, and the owner throws the session away."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.budget = Budget(_LEAST_PDU)
        self.jobs = 1
        self._wire = ISOTCPConnection(target.host, target.port, remote_tsap=target.tsap)
        self._protocol = S7Protocol()
        self._deadline = 0.0

    # -- coming and going ---------------------------------------------------------------------------------

    def open(self, deadline: float) -> None:
        """Connect and negotiate, by `deadline` (monotonic)."""
        self._deadline = deadline
        where = f"{self.target.host}:{self.target.port}"
        try:
            self._wire.connect(timeout=self._left())
        except S7TimeoutError as error:
            raise DeviceTimeoutError(f"{where} accepts connections but does not answer", hint=_TSAP) from error
        except S7ConnectionError as error:
            raise _not_connected(where, error) from error
        with self._translated():
            self._negotiate()

    def close(self) -> None:
        """Say goodbye and let go; never raises."""
        self._wire.disconnect()

    def abort(self) -> None:
        """Cut the connection from another thread: the owner's wait ends at once."""
        wire = self._wire.socket
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    @property
    def is_quiet(self) -> bool:
        """Still connected, and nothing unasked has arrived: the next reply will be the next question's."""
        return self._wire.check_connection() and not self._wire.data_available()

    # -- jobs ---------------------------------------------------------------------------------------------

    def read(self, jobs: Sequence[Job], deadline: float) -> list[list[bytes | pdu.Refusal]]:
        """For each job the answers of its items. At most as many jobs are under way as were negotiated."""
        self._deadline = deadline
        answers: dict[int, list[bytes | pdu.Refusal]] = {}
        waiting: dict[int, int] = {}
        with self._translated():
            for index, job in enumerate(jobs):
                waiting[sequence := self._next()] = index
                self._send(pdu.read_request(sequence, job))
                if len(waiting) == self.jobs:
                    self._take(waiting, jobs, answers)
            while waiting:
                self._take(waiting, jobs, answers)
        return [answers[index] for index in range(len(jobs))]

    def write(self, place: Range, data: bytes, bit: int | None, deadline: float) -> pdu.Refusal | None:
        """Send one write, once. OutcomeUnknownError when no answer tells what became of it."""
        self._deadline = deadline
        sequence = self._next()
        request = pdu.write_request(sequence, place, data, bit=bit)
        with self._translated():
            self._left()
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

    # -- system data --------------------------------------------------------------------------------------

    def system_list(self, number: int, index: int, deadline: float) -> bytes:
        """SZL `number`: record length, record count, records. DeviceRefusedError where the CPU has none."""
        first = self._protocol.build_read_szl_request
        parts = self._fragments(first, (number, index), S7UserDataGroup.SZL, S7UserDataSubfunction.READ_SZL, deadline)
        if parts[:2] != number.to_bytes(2):
            raise BadReplyError(f"system list 0x{number:04x} was asked for, another came")
        return parts[4:]

    def block_counts(self, deadline: float) -> dict[str, int]:
        """How many blocks of each kind: {"DB": 12, …}."""
        build, group = self._protocol.build_list_blocks_request, S7UserDataGroup.BLOCK_INFO
        body = self._fragments(build, (), group, S7UserDataSubfunction.LIST_ALL, deadline)
        with self._translated():
            counts = self._protocol.parse_list_blocks_response({"data": {"data": body}})
        return {name.removesuffix("Count"): count for name, count in counts.items()}

    def block_numbers(self, kind: int, deadline: float) -> list[int]:
        """The numbers of all blocks of one kind."""
        build, group = self._protocol.build_list_blocks_of_type_request, S7UserDataGroup.BLOCK_INFO
        body = self._fragments(build, (kind,), group, S7UserDataSubfunction.LIST_BLOCKS_OF_TYPE, deadline)
        with self._translated():
            return sorted(self._protocol.parse_list_blocks_of_type_response({"data": {"data": body}}))

    def block_size(self, kind: int, number: int, deadline: float) -> int:
        """Bytes of a block's working data, for a block that is in the list."""
        build, group = self._protocol.build_get_block_info_request, S7UserDataGroup.BLOCK_INFO
        body = self._fragments(build, (kind, number), group, S7UserDataSubfunction.BLOCK_INFO, deadline)
        with self._translated():
            info = self._protocol.parse_get_block_info_response({"data": {"data": body}})
        if info["block_number"] != number:
            raise BadReplyError(f"block {number} was asked for, {info['block_number']} came")
        return int(info["mc7_size"])

    def clock(self, deadline: float) -> datetime:
        """The CPU's clock, without a zone, as it shows it."""
        build, group = self._protocol.build_get_clock_request, S7UserDataGroup.TIME
        body = self._fragments(build, (), group, S7UserDataSubfunction.GET_CLOCK, deadline)
        with self._translated():
            return self._protocol.parse_get_clock_response({"data": {"data": body}})

    def _fragments(self, build: Any, arguments: tuple[int, ...], group: int, function: int, deadline: float) -> bytes:
        """The data of a user-data service, put together from as many replies as it takes."""
        self._deadline = deadline
        whole = bytearray()
        with self._translated():
            request = build(*arguments)
            while True:
                self._send(request)
                reply = self._receive()
                self._expect(reply, self._protocol.sequence)
                parsed = self._protocol.parse_response(reply)
                self._protocol.check_userdata_response(parsed, group, function)
                whole += parsed["data"].get("data", b"")
                follow = parsed["parameters"]
                if not follow["last_data_unit"]:
                    return bytes(whole)
                request = self._protocol.build_userdata_followup_request(
                    group, function, follow["sequence_number"]
                )

    # -- the wire -----------------------------------------------------------------------------------------

    def _negotiate(self) -> None:
        wanted = self.target
        request = self._protocol.build_setup_communication_request(wanted.jobs, wanted.jobs, wanted.pdu)
        self._send(request)
        reply = self._receive()
        self._expect(reply, self._protocol.sequence)
        agreed = self._protocol.parse_response(reply)["parameters"]
        length = min(agreed["pdu_length"], wanted.pdu)
        if length < _LEAST_PDU:
            raise BadReplyError(f"the CPU offers a PDU of {length} bytes; no S7 CPU has less than {_LEAST_PDU}")
        self.budget = Budget(length)
        self.jobs = max(1, min(wanted.jobs, agreed["max_amq_caller"]))

    def _next(self) -> int:
        self._protocol.sequence = self._protocol.sequence % 0xFFFF + 1
        return self._protocol.sequence

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise S7TimeoutError("the time for this call is used up")
        return left

    def _send(self, request: bytes) -> None:
        left = self._left()
        if self._wire.socket is not None:
            self._wire.socket.settimeout(left)
        self._wire.send_data(request)

    def _receive(self) -> bytes:
        return self._wire.receive_data()

    def _take(
        self, waiting: dict[int, int], jobs: Sequence[Job], answers: dict[int, list[bytes | pdu.Refusal]]
    ) -> None:
        reply = self._receive()
        sequence = pdu.sequence_of(reply)
        index = waiting.pop(sequence, None)
        if index is None:
            raise BadReplyError(f"reply {sequence} answers none of the open requests", hint=_AGAIN)
        answers[index] = pdu.read_reply(reply, jobs[index])

    def _expect(self, reply: bytes, sequence: int) -> None:
        if (found := pdu.sequence_of(reply)) != sequence:
            raise BadReplyError(f"reply {found} came for request {sequence}", hint=_AGAIN)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """python-snap7's errors as ours: silence, a lost connection, bytes that are not S7, a refusal."""
        where = f"{self.target.host}:{self.target.port}"
        try:
            yield
        except S7TimeoutError as error:
            raise DeviceTimeoutError(f"{where} did not answer in time", hint=_SLOW) from error
        except S7ConnectionError as error:
            if self._wire.connected:
                raise BadReplyError(f"{where} sent bytes that are not S7: {error}", hint=_AGAIN) from error
            raise NotConnectedError(f"the connection to {where} was lost: {error}", hint=_LOST) from error
        except S7Error as error:
            raise _refused_or_bad(error) from error


def _refused_or_bad(error: S7Error) -> DeviceError:
    """The user-data services tell a refusal and a malformed reply with one exception; its text tells which."""
    text = str(error)
    if "failed:" in text or error.error_code:
        return DeviceRefusedError(f"the CPU refused: {text}", hint="Not every CPU offers every service")
    return BadReplyError(f"the reply cannot be understood: {text}", hint=_AGAIN)


def _not_connected(where: str, error: S7ConnectionError) -> NotConnectedError:
    text = str(error)
    if text.startswith("TCP connection failed"):
        return NotConnectedError(f"no connection to {where}: {text.partition(': ')[2]}", hint=_REACH)
    return NotConnectedError(f"{where} is reachable but refuses the S7 connection: {text}", hint=_TSAP)


_REACH = "Check the address, the network and that the CPU is on; S7 uses TCP port 102"
_TSAP = (
    "Check rack and slot (S7-300: slot 2, S7-400: slot 3, S7-1200/1500: slot 1 or 0), and whether the CPU has a "
    "connection left: PUT/GET connections are few"
)
_SLOW = "Check the line and the CPU's load, or raise timeout_s of the device"
_LOST = "Another client may have taken the connection, or the CPU restarted; the next call connects again"
_AGAIN = "The answer was thrown away and the connection is made anew; repeat the request"
