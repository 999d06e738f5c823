"""Whatever the library or the socket raises becomes one of our errors, once, with what to try.

This is the only place that knows asyncua's exceptions.
"""

import socket
from dataclasses import dataclass
from enum import StrEnum

from factorylm_schema import (
    BadReplyError,
    DeviceError,
    DeviceRefusedError,
    DeviceTimeoutError,
    NotConnectedError,
    Quality,
)

from factorylm_opcua.library import StatusCodeError, ua
from factorylm_opcua.status import quality_of, words


class Step(StrEnum):
    """How far a connection has come; each is a rung of the diagnosis."""

    CONNECT = "network"
    HELLO = "OPC UA"
    ENDPOINTS = "endpoints"
    TRUST = "server certificate"
    OWN = "own certificate"
    CHANNEL = "secure channel"
    SESSION = "session"
    SIGN_IN = "sign-in"
    NAMESPACES = "namespaces"
    SERVICE = "service"


@dataclass
class Progress:
    """The step a connection is at, for whoever has to say where it failed."""

    step: Step = Step.CONNECT


def _bad(code: int) -> Quality:
    quality = quality_of(code)
    return quality if quality.is_bad else Quality.Bad


# After these the connection's session is gone; a fresh one may do (OPC 10000-4, 5.6 and 7.39.2)
_SESSION_LOST = frozenset(
    {
        ua.StatusCodes.BadSessionIdInvalid,
        ua.StatusCodes.BadSessionClosed,
        ua.StatusCodes.BadSessionNotActivated,
        ua.StatusCodes.BadSecureChannelIdInvalid,
        ua.StatusCodes.BadSecureChannelClosed,
        ua.StatusCodes.BadSecureChannelTokenUnknown,
        ua.StatusCodes.BadServerHalted,
        ua.StatusCodes.BadShutdown,
        ua.StatusCodes.BadTcpSecureChannelUnknown,
    }
)

TOO_MUCH = frozenset(
    {
        ua.StatusCodes.BadTooManyOperations,
        ua.StatusCodes.BadResponseTooLarge,
        ua.StatusCodes.BadRequestTooLarge,
        ua.StatusCodes.BadEncodingLimitsExceeded,
        ua.StatusCodes.BadTcpMessageTooLarge,
    }
)


class RefusedError(DeviceRefusedError):
    """The server answered with a status code instead of an answer."""

    def __init__(self, code: int, doing: str) -> None:
        said, hint = words(code)
        super().__init__(f"{doing} refused: {said}", hint=hint, quality=_bad(code))
        self.status = code


def told(error: BaseException, step: Step, place: str, *, doing: str = "", distrusted: bool = False) -> DeviceError:
    """`error` in our words, met at `step` while `doing` something.

    `distrusted`: we closed the connection ourselves, over an answer that did not fit.
    """
    if isinstance(error, DeviceError):
        return error
    if isinstance(error, StatusCodeError):
        return _status(error.code, doing or step.value, place)
    if isinstance(error, TimeoutError):
        return _timeout(step, place)
    if distrusted:
        return BadReplyError(
            f"{place} sent an answer that does not fit, so the connection was dropped",
            hint="Try again; if it stays so, look for a second program or a proxy on the line",
        )
    if isinstance(error, OSError):
        return _network(error, step, place)
    return BadReplyError(
        f"the answer of {place} could not be understood ({step.value}: {type(error).__name__})",
        hint="Run diagnose; compare the security settings with what the server offers",
    )


def _status(code: int, doing: str, place: str) -> DeviceError:
    if code in _SESSION_LOST:
        said, _hint = words(code)
        return NotConnectedError(f"{place} ended the session: {said}", hint="Try again")
    return RefusedError(code, doing)


def _timeout(step: Step, place: str) -> DeviceError:
    if step is Step.CONNECT:
        return NotConnectedError(
            f"nothing answers at {place}",
            hint="Check address, cable and firewall; is the device on?",
            quality=Quality.BadNoCommunication,
        )
    if step is Step.HELLO:
        return DeviceTimeoutError(
            f"something listens at {place}, but it does not answer as an OPC UA server",
            hint="Check the port: OPC UA servers usually listen on 4840",
        )
    return DeviceTimeoutError(
        f"no answer from {place} in time ({step.value})",
        hint="The server may be busy: raise timeout_s, or ask for less at once",
    )


def _network(error: OSError, step: Step, place: str) -> DeviceError:
    if isinstance(error, socket.gaierror):
        return NotConnectedError(
            f"the name in {place} is not known here", hint="Check the spelling, or write the IP address"
        )
    if isinstance(error, ConnectionRefusedError):
        return NotConnectedError(
            f"nothing listens at {place}", hint="Is the OPC UA server running? Check its port (usually 4840)"
        )
    if step is Step.CONNECT:
        return NotConnectedError(
            f"{place} cannot be reached ({error.strerror or type(error).__name__})",
            hint="Check address, cable and firewall",
        )
    if step is Step.HELLO:
        return NotConnectedError(
            f"{place} closed the connection at the first word",
            hint="Check the port: what listens there may not be an OPC UA server",
        )
    return NotConnectedError(
        f"the connection to {place} was lost ({step.value})", hint="Try again; is the server restarting?"
    )
