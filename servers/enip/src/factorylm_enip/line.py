"""The TCP connection: keeps to a deadline, and notices when the peer has gone.

pycomm3 1.2.16's own socket takes an empty read for data, and so loops for ever when the peer closes in the middle
of a reply; and its timeout is per read, so that a reply that trickles never times out.
"""

# mypy: disable-error-code="no-untyped-call"
# pycomm3 is typed in parts

import contextlib
import socket
import time
from dataclasses import dataclass

from factorylm_schema import BadReplyError, DeviceTimeoutError, NotConnectedError
from pycomm3.socket_ import Socket

from factorylm_enip.cip import HEADER

# a controller's largest answer is its connection size, an unconnected one 504 bytes; identity lists are short
_LARGEST_REPLY = 8192
_CLOSED_HINT = "It may restart, have no free connection, or speak no EtherNet/IP; diagnose shows how far one gets"


@dataclass
class Deadline:
    """When the call under way must be over (monotonic clock)."""

    at: float = 0.0

    @property
    def seconds_left(self) -> float:
        """May be negative."""
        return self.at - time.monotonic()

    def left(self) -> float:
        """Seconds left; raises DeviceTimeoutError when there are none."""
        left = self.seconds_left
        if left <= 0:
            raise DeviceTimeoutError(
                "the controller did not answer in time",
                hint="Check the load of the network and the controller, or raise timeout_s of the device",
            )
        return left


class CheckedSocket(Socket):
    """A socket that keeps to a deadline, and for which an empty read is the end of the connection."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._tcp: socket.socket | None = None

    def connect(self, host: str, port: int) -> None:
        """Once; pycomm3 calls it again when it opens the session."""
        if self._tcp is not None:
            return
        try:
            self._tcp = socket.create_connection((host, port), timeout=self._deadline.left())
        except TimeoutError as error:
            raise NotConnectedError(
                f"{host}:{port} does not answer",
                hint="Check the address, the cable, the firewall (TCP 44818) and that the device has power",
            ) from error
        except OSError as error:
            raise NotConnectedError(
                f"no connection to {host}:{port}: {error.strerror or error}",
                hint="Check host and port in the device's url; EtherNet/IP listens on TCP 44818",
            ) from error
        self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, msg: bytes, timeout: float = 0) -> int:  # noqa: ARG002  # pycomm3's signature
        sock = self._open()
        try:
            sock.settimeout(self._deadline.left())
            sock.sendall(msg)
        except OSError as error:
            raise _lost(error) from error
        return len(msg)

    def receive(self, timeout: float = 0) -> bytes:  # noqa: ARG002  # pycomm3's signature
        header = self._exactly(HEADER.size)
        length = int.from_bytes(header[2:4], "little")
        if length > _LARGEST_REPLY:
            raise BadReplyError(
                f"the answer claims {length} bytes, more than any answer has",
                hint="Is this port EtherNet/IP (TCP 44818)? Check the device's url",
            )
        return header + self._exactly(length)

    def close(self) -> None:
        if self._tcp is not None:
            self._tcp.close()

    def interrupt(self) -> None:
        """Make a read that waits in another thread fail at once."""
        if self._tcp is not None:
            with contextlib.suppress(OSError):  # already gone, which is what was wanted
                self._tcp.shutdown(socket.SHUT_RDWR)

    def _open(self) -> socket.socket:
        if self._tcp is None:
            raise NotConnectedError("the connection is closed", hint=_CLOSED_HINT)
        return self._tcp

    def _exactly(self, count: int) -> bytes:
        sock, data = self._open(), b""
        while len(data) < count:
            try:
                sock.settimeout(self._deadline.left())
                part = sock.recv(count - len(data))
            except TimeoutError:
                continue  # left() raises
            except OSError as error:
                raise _lost(error) from error
            if not part:
                raise NotConnectedError("the controller closed the connection", hint=_CLOSED_HINT)
            data += part
        return data


def _lost(error: OSError) -> NotConnectedError:
    return NotConnectedError(f"the connection was lost: {error.strerror or error}", hint=_CLOSED_HINT)
