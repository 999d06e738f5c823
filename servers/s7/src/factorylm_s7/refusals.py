"""What a controller's no means, and what to try.

Codes: github.com/wireshark/wireshark, epan/dissectors/packet-s7comm.c; S7-1200/1500 behaviour: Siemens,
"S7-1500 Communication" function manual, chapter "PUT/GET".
"""

from factorylm_schema import DeviceRefusedError, Quality

from factorylm_s7.pdu import Refusal

_NOT_THERE = (
    Quality.BadNodeIdUnknown,
    (
        "Check the block number and that the block is long enough; on S7-1200/1500 switch 'Optimized block access' "
        "off for this block (an optimised block has no byte addresses)"
    ),
)
_PROTECTED = (
    Quality.BadUserAccessDenied,
    (
        "On S7-1200/1500 permit 'PUT/GET communication' in the CPU's protection settings, and check that the "
        "protection level allows reading; safety blocks stay closed"
    ),
)
_TYPE = Quality.BadTypeMismatch, "This area cannot be read in this way; check the area and the type"
_BUSY = Quality.BadResourceUnavailable, "The controller is short of resources; try again, and read less at once"

_MEANINGS: dict[int, tuple[str, tuple[Quality, str]]] = {
    0x01: ("hardware fault", (Quality.BadDeviceFailure, "Look at the module and its diagnostic buffer")),
    0x03: ("access to the object is not allowed", _PROTECTED),
    0x05: ("address not readable: outside the area or block", _NOT_THERE),
    0x06: ("data type not supported", _TYPE),
    0x07: ("data type does not fit the address", _TYPE),
    0x0A: ("address not readable: the object does not exist", _NOT_THERE),
    0x8104: ("the CPU does not offer this service", _PROTECTED),
    0x8304: ("the CPU cannot serve this now", _BUSY),
    0x8500: ("the request is longer than the negotiated PDU", _BUSY),
    0x8702: ("address not readable: wrong address", _NOT_THERE),
    0x8703: ("access to the object is refused", _PROTECTED),
    0xD241: ("not permitted at the present protection level", _PROTECTED),
    0xD402: ("the CPU does not offer this information", (Quality.BadNotSupported, "This CPU type has no such list")),
    0xD602: ("wrong password", _PROTECTED),
}
_UNKNOWN = Quality.BadDeviceFailure, "Look the code up in the controller's manual"


def meaning(refusal: Refusal) -> tuple[Quality, str, str]:
    """Quality, problem and hint of one refused item or job."""
    text, (quality, hint) = _MEANINGS.get(refusal.code, ("the controller refused", _UNKNOWN))
    return quality, f"{text} (0x{refusal.code:02x})", hint


def refused(refusal: Refusal, what: str) -> DeviceRefusedError:
    """The same as an error, about `what`."""
    quality, problem, hint = meaning(refusal)
    return DeviceRefusedError(f"{what}: {problem}", hint=hint, quality=quality)
