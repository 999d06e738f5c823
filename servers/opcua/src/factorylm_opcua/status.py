"""OPC UA status codes in the words of somebody who stands at the machine."""

from functools import cache

from factorylm_schema import Quality

_BY_CODE = {quality.code: quality for quality in Quality}

# What happened and what to try, by the code's name (OPC 10000-4, 7.39.2)
_WORDS = {
    "BadNodeIdUnknown": ("the server has no such node", "browse for it: it may have been renamed or moved"),
    "BadNodeIdInvalid": ("the server has no such node", "browse for it: it may have been renamed or moved"),
    "BadAttributeIdInvalid": (
        "the node has no value: it is an object or a folder",
        "browse below it for variables",
    ),
    "BadNotReadable": ("the node may not be read", "ask the server's administrator for read access"),
    "BadUserAccessDenied": (
        "this user may not do that",
        "sign in as another user (user_env), or ask for the right",
    ),
    "BadNotWritable": ("the node may not be written", "ask the server's administrator for write access"),
    "BadWriteNotSupported": (
        "the server does not write value, status and time together",
        "leave source_timestamps off in the plant file",
    ),
    "BadTypeMismatch": ("the value's type is not the node's", "check the type with browse"),
    "BadOutOfRange": ("the value is outside what the server allows", "check the node's range with browse"),
    "BadNoCommunication": (
        "the server has no connection to the device behind it",
        "check that device and its line",
    ),
    "BadNotConnected": (
        "the server has no connection to the device behind it",
        "check that device and its line",
    ),
    "BadCommunicationError": (
        "the server cannot reach the device behind it",
        "check that device and its line",
    ),
    "BadDeviceFailure": ("the device behind the server reports a failure", "look at the device itself"),
    "BadSensorFailure": ("the sensor reports a failure", "look at the sensor and its wiring"),
    "BadOutOfService": ("the value is taken out of service", "ask who took it out of service"),
    "BadWaitingForInitialData": ("the server has no value yet", "read it again in a few seconds"),
    "BadTimeout": ("the server waited too long for the device behind it", "check that device and its line"),
    "BadConfigurationError": (
        "the server's configuration of this node is wrong",
        "ask the server's administrator",
    ),
    "BadInvalidState": ("the device is in a state that does not allow it", "look at its operating mode"),
    "BadTooManyOperations": ("the server refuses so many values at once", "set max_nodes_per_read lower"),
    "BadServiceUnsupported": ("the server does not have this service", "use what it has: read and browse"),
    "BadHistoryOperationUnsupported": ("the server keeps no history of this node", "sample it instead"),
    "BadHistoryOperationInvalid": ("the server keeps no history of this node", "sample it instead"),
    "BadIndexRangeInvalid": ("the index is not understood", "read the whole node and look at its size"),
    "BadIndexRangeNoData": ("the index is outside the array", "read the whole node and look at its size"),
    "BadIdentityTokenRejected": (
        "the server refuses this kind of sign-in",
        "see the sign-ins it offers: diagnose",
    ),
    "BadIdentityTokenInvalid": ("the server could not read the sign-in", "check user, password and security"),
    "BadCertificateUntrusted": (
        "the server does not trust our certificate",
        "on the server, move our certificate from 'rejected' to 'trusted'",
    ),
    "BadSecurityChecksFailed": (
        "the server refuses our certificate without saying why; most often it does not trust it yet",
        "on the server, move our certificate from 'rejected' to 'trusted'; compare the clocks",
    ),
    "BadCertificateTimeInvalid": (
        "a certificate is expired or not yet valid",
        "compare both clocks, then renew it",
    ),
    "BadCertificateUriInvalid": (
        "our certificate is for another application",
        "set application_uri to the one in the certificate",
    ),
    "BadSecurityPolicyRejected": (
        "the server does not offer this security policy",
        "see what it offers: diagnose",
    ),
    "BadTooManySessions": (
        "the server has no free session",
        "close another client, or wait until one times out",
    ),
    "BadMaxConnectionsReached": ("the server has no free connection", "close another client"),
    "BadMethodInvalid": ("the object has no such method", "browse the object"),
    "BadArgumentsMissing": (
        "the method wants more inputs",
        "compare the plant file with the method's inputs",
    ),
    "BadTooManyArguments": (
        "the method wants fewer inputs",
        "compare the plant file with the method's inputs",
    ),
    "BadInvalidArgument": ("the server refuses an input", "compare the plant file with the method's inputs"),
    "BadNotExecutable": ("the method may not be called now", "look at the machine's operating mode"),
    "UncertainLastUsableValue": (
        "the value is old: its source does not answer",
        "check the source's connection",
    ),
    "UncertainSensorNotAccurate": ("the sensor is at a limit or not calibrated", "check the sensor"),
    "UncertainEngineeringUnitsExceeded": (
        "the value is outside the range set for it",
        "check sensor and range",
    ),
    "UncertainSubNormal": (
        "the value comes from fewer sources than it should",
        "check the redundant sources",
    ),
    "UncertainInitialValue": (
        "the value is a start value, not measured yet",
        "read it again in a few seconds",
    ),
    "UncertainSubstituteValue": ("the value was set by hand or by a rule", "ask who substituted it"),
    "UncertainNoCommunicationLastUsableValue": (
        "the value is old: no connection to its source",
        "check that line",
    ),
}


def quality_of(code: int) -> Quality:
    """The quality for a status code; one that is not in the list becomes the plain Good, Uncertain or Bad."""
    found = _BY_CODE.get(code & 0xFFFF0000)
    if found:
        return found
    severity = code >> 30
    return Quality.Good if severity == 0 else Quality.Uncertain if severity == 1 else Quality.Bad


def words(code: int) -> tuple[str, str]:
    """What a code means, and what to try."""
    name = name_of(code)
    said, hint = _WORDS.get(name, ("", ""))
    if not said:
        return f"the server says {name}", "Look the code up in the server's manual"
    return f"{said} ({name})", hint[0].upper() + hint[1:]


@cache
def name_of(code: int) -> str:
    """The code's name in the standard, or the number."""
    if code & 0xFFFF0000 in _BY_CODE:
        return _BY_CODE[code & 0xFFFF0000].value
    from asyncua.ua import status_codes  # heavy, and loaded by the time a code is seen

    name, _doc = status_codes.get_name_and_doc(code & 0xFFFF0000)
    return name if name not in ("Good", "Uncertain", "Bad") else f"status 0x{code:08X}"
