"""One checked connection to a controller: pycomm3's session and routing, our own distrust of every reply.

pycomm3 1.2.16 does not compare a reply with its request, so a late one becomes the next tag's value; it
loops for ever when the peer closes in the middle of a reply; it repeats the request of a single write. So
everything that is sent passes `send` here, which checks command, session, connection and sequence, and requests
on tags are built here. Any doubt raises, and who holds the session then throws it away.

Used by one thread only.
"""

# mypy: disable-error-code="no-untyped-call"
# pycomm3 is typed in parts

import itertools
import logging
import struct
import time
from collections.abc import Sequence
from typing import Any

from factorylm_schema import BadReplyError, DeviceError, DeviceRefusedError, NotConnectedError
from pycomm3 import CIPDriver, CommError, PycommError
from pycomm3.cip import PADDED_EPATH, PortSegment
from pycomm3.cip_driver import with_forward_open
from pycomm3.custom_types import ModuleIdentityObject
from pycomm3.packets.base import RequestPacket, ResponsePacket
from pycomm3.packets.ethernetip import (
    ListIdentityRequestPacket,
    SendRRDataRequestPacket,
    SendUnitDataRequestPacket,
)

from factorylm_enip import cip
from factorylm_enip.cip import HEADER, Command, ObjectClass, Reply, Service, Status
from factorylm_enip.endpoint import Endpoint
from factorylm_enip.line import CheckedSocket, Deadline

_NO_CONTEXT = bytes(8)
_SEQUENCE_AT, _SERVICE_AT = 44, 46
_CONNECTION_AT = 36
_POLITE_CLOSE_S = 0.5
_MICRO800 = "2080"  # how their catalogue numbers begin


class Session(CIPDriver):
    """Registered, routed and connected after `start`; one request at a time."""

    def __init__(self, endpoint: Endpoint, deadline: Deadline, *, connection_size: int = 4000) -> None:
        super().__init__(endpoint.pycomm3_path)
        self.endpoint = endpoint
        self.deadline = deadline
        self.identity: dict[str, object] = {}
        self.batches = True  # Micro800 refuses the multiple service packet
        self.refusal: Reply | None = None  # the last service that was refused, for the diagnosis
        self._contexts = itertools.count(1)
        self._cfg: dict[str, Any]
        self._cfg["connection_size"] = connection_size
        self._cfg["extended forward open"] = connection_size > 500
        self._line = CheckedSocket(deadline)
        self._sock = self._line
        _keep_quiet()

    @property
    def room(self) -> int:
        """Bytes of CIP in one connected packet, either way; the sequence count takes two of the connection."""
        return int(self.connection_size) - 2

    # -- up and down ----------------------------------------------------------------------------

    def start(self) -> None:
        """Everything up to the first request; raises DeviceError that says which step failed."""
        self.reach()
        self.connect_messages()

    def reach(self) -> None:
        """Network, session and the identity of the device at the address."""
        self.dial()
        self.register()
        self.identity = self.port_identity()
        if str(self.identity.get("product_name", "")).startswith(_MICRO800):
            # no backplane behind the port, and no batches
            self._cfg["cip_path"] = []
            self.batches = False

    def dial(self) -> None:
        """The TCP connection."""
        self._line.connect(self.endpoint.host, self.endpoint.port)

    def register(self) -> None:
        """The encapsulation session."""
        try:
            registered = self.open()
        except CommError as error:
            if isinstance(error.__cause__, DeviceError):
                raise error.__cause__ from error
            raise NotConnectedError(f"no session: {error}") from error
        if not registered:
            raise NotConnectedError(
                "something answers on the port and refuses an EtherNet/IP session",
                hint="It may have no free session, or be no EtherNet/IP device",
            )

    def port_identity(self) -> dict[str, object]:
        """ListIdentity: the module whose port this is, which need not be the controller."""
        return dict(self._list_identity())

    def identity_at(self, slot: int | None = None) -> dict[str, object]:
        """The identity object behind the route, or of another slot of the same rack."""
        if slot is not None:
            path = (*self._cfg["cip_path"][:-1], PortSegment("bp", slot))
        else:
            path = tuple(self._cfg["cip_path"])
        answer = self.generic_message(
            service=Service.GET_ATTRIBUTES_ALL,
            class_code=ObjectClass.IDENTITY,
            instance=1,
            connected=False,
            unconnected_send=bool(path),
            route_path=PADDED_EPATH.encode(path, length=True, pad_length=True) if path else False,
            data_type=ModuleIdentityObject,
            name="identity",
        )
        if not answer:
            why = self.refusal.told if self.refusal else str(answer.error)
            raise DeviceRefusedError(f"no identity behind the route: {why}")
        return dict(answer.value)

    def connect_messages(self) -> None:
        """The connection that requests on tags travel on."""
        try:
            with_forward_open(lambda _session: None)(self)
        except PycommError as error:
            why = self.refusal.told if self.refusal else str(error)
            raise NotConnectedError(
                f"the controller refused a message connection: {why}",
                hint=f"Check the slot in the url ({self.endpoint.told}) and how many clients are connected",
            ) from error

    def finish(self) -> None:
        """Close politely within half a second; never raises."""
        self.deadline.at = time.monotonic() + _POLITE_CLOSE_S
        try:
            self.close()
        except (PycommError, DeviceError):
            self.drop()

    def drop(self) -> None:
        """Forget the connection without a word to the controller, which ends it with the TCP connection."""
        self._line.close()

    def interrupt(self) -> None:
        """From another thread: end what waits."""
        self._line.interrupt()

    # -- requests -------------------------------------------------------------------------------

    def ask(self, service: int, path: bytes, body: bytes) -> Reply:
        """One connected request; `path` with its length."""
        request = SendUnitDataRequestPacket(self._sequence)
        request.add(bytes((service,)), path, body)
        raw = self.send(request).raw
        return _checked_reply(raw[_SERVICE_AT:], service)

    def ask_all(self, requests: Sequence[bytes]) -> list[Reply]:
        """Several requests in one packet where there is more than one; one reply each, in order."""
        if len(requests) == 1:
            service, path, body = _parted(requests[0])
            return [self.ask(service, path, body)]
        whole = self.ask(Service.MULTIPLE, cip.MULTIPLE_PATH, cip.multiple(requests))
        if whole.status not in (Status.OK, Status.EMBEDDED_SERVICE_ERROR):
            return [whole] * len(requests)
        try:
            answers = cip.split_multiple(whole.data)
        except cip.MalformedError as error:
            raise _unfit(str(error)) from error
        if len(answers) != len(requests):
            raise _unfit(f"{len(requests)} requests went out and {len(answers)} answers came back")
        return [_checked_reply(answer, request[0]) for answer, request in zip(answers, requests, strict=True)]

    def send(self, request: RequestPacket) -> ResponsePacket:
        """pycomm3 sends everything through here; the reply must be this request's, or it raises."""
        unconnected = isinstance(request, SendRRDataRequestPacket | ListIdentityRequestPacket)
        context = struct.pack("<Q", next(self._contexts)) if unconnected else _NO_CONTEXT
        message = request.build_request(
            target_cid=self._target_cid or b"", session_id=self._session or 0, context=context, option=0
        )
        self._line.send(message)
        if request.no_response:
            return request.response_class(request)
        reply = self._line.receive()
        self._check(message, reply)
        response = request.response_class(request, reply)
        if isinstance(request, SendRRDataRequestPacket):
            self._note_refusal(reply)
        return response

    def _check(self, message: bytes, reply: bytes) -> None:
        command, _, session, _, context, _ = HEADER.unpack_from(message)
        got, length, got_session, status, got_context, _ = HEADER.unpack_from(reply)
        if got != command:
            raise _unfit(f"an answer to command 0x{got:02X} came instead of 0x{command:02X}")
        if status:
            raise NotConnectedError(
                f"the device ended the session (encapsulation status 0x{status:02X})",
                hint="It may have no free session, or not know this request",
            )
        if command in (Command.SEND_RR_DATA, Command.SEND_UNIT_DATA) and got_session != session:
            raise _unfit("an answer of another session came")
        if command in (Command.SEND_RR_DATA, Command.LIST_IDENTITY) and got_context != context:
            raise _unfit("an answer to an earlier request came")
        if command == Command.SEND_UNIT_DATA:
            self._check_connected(message, reply, length)

    def _check_connected(self, message: bytes, reply: bytes, length: int) -> None:
        if len(reply) < _SERVICE_AT + 4 or reply[30:36] != b"\x02\x00\xa1\x00\x04\x00":
            raise _unfit("an answer without the items of a connected message came")
        if int.from_bytes(reply[42:44], "little") != length - 20:
            raise _unfit("the lengths inside the answer contradict each other")
        # Vol 1, 3-5.5 wants the id we chose; some servers send back their own, which names the same connection
        if reply[_CONNECTION_AT : _CONNECTION_AT + 4] not in (self._cfg["cid"], self._target_cid):
            raise _unfit("an answer of another connection came")
        if reply[_SEQUENCE_AT:_SERVICE_AT] != message[_SEQUENCE_AT:_SERVICE_AT]:
            raise _unfit("an answer with another sequence number came: it belongs to an earlier request")

    def _note_refusal(self, reply: bytes) -> None:
        try:
            answer = cip.parse_reply(reply[40:])
        except cip.MalformedError as error:
            raise _unfit(str(error)) from error
        self.refusal = None if answer.ok else answer


def _unfit(what: str) -> BadReplyError:
    return BadReplyError(what, hint="Ask again; if it stays, something on the way spoils or repeats answers")


def _parted(request: bytes) -> tuple[int, bytes, bytes]:
    end = 2 + 2 * request[1]
    return request[0], request[1:end], request[end:]


def _checked_reply(data: bytes, service: int) -> Reply:
    try:
        reply = cip.parse_reply(data)
    except cip.MalformedError as error:
        raise _unfit(str(error)) from error
    if reply.service != service | 0x80:
        raise _unfit(f"an answer to service 0x{reply.service & 0x7F:02X} came instead of 0x{service:02X}")
    return reply


def _keep_quiet() -> None:
    """pycomm3 logs each refused request as an error; what matters of it stands in our own errors."""
    logger = logging.getLogger("pycomm3")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
