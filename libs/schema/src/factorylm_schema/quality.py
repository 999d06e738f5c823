"""How far a value can be trusted: OPC UA status codes by name, for every protocol."""

from enum import StrEnum


class Quality(StrEnum):
    """A status code's name; `code` is its number on the OPC UA wire.

    Numbers from the OPC Foundation's StatusCode.csv (OPC UA Part 6, Annex A).
    """

    code: int

    def __new__(cls, name: str, code: int) -> "Quality":
        member = str.__new__(cls, name)
        member._value_ = name
        member.code = code
        return member

    Good = "Good", 0x00000000
    GoodClamped = "GoodClamped", 0x00300000
    Uncertain = "Uncertain", 0x40000000
    UncertainNoCommunicationLastUsableValue = "UncertainNoCommunicationLastUsableValue", 0x408F0000
    UncertainLastUsableValue = "UncertainLastUsableValue", 0x40900000
    UncertainSubstituteValue = "UncertainSubstituteValue", 0x40910000
    UncertainInitialValue = "UncertainInitialValue", 0x40920000
    UncertainSensorNotAccurate = "UncertainSensorNotAccurate", 0x40930000
    UncertainEngineeringUnitsExceeded = "UncertainEngineeringUnitsExceeded", 0x40940000
    UncertainSubNormal = "UncertainSubNormal", 0x40950000
    Bad = "Bad", 0x80000000
    BadUnexpectedError = "BadUnexpectedError", 0x80010000
    BadResourceUnavailable = "BadResourceUnavailable", 0x80040000
    BadCommunicationError = "BadCommunicationError", 0x80050000
    BadEncodingError = "BadEncodingError", 0x80060000
    BadDecodingError = "BadDecodingError", 0x80070000
    BadTimeout = "BadTimeout", 0x800A0000
    BadServiceUnsupported = "BadServiceUnsupported", 0x800B0000
    BadTooManyOperations = "BadTooManyOperations", 0x80100000
    BadUserAccessDenied = "BadUserAccessDenied", 0x801F0000
    BadNoCommunication = "BadNoCommunication", 0x80310000
    BadWaitingForInitialData = "BadWaitingForInitialData", 0x80320000
    BadNodeIdInvalid = "BadNodeIdInvalid", 0x80330000
    BadNodeIdUnknown = "BadNodeIdUnknown", 0x80340000
    BadNotReadable = "BadNotReadable", 0x803A0000
    BadNotWritable = "BadNotWritable", 0x803B0000
    BadOutOfRange = "BadOutOfRange", 0x803C0000
    BadNotSupported = "BadNotSupported", 0x803D0000
    BadNotFound = "BadNotFound", 0x803E0000
    BadWriteNotSupported = "BadWriteNotSupported", 0x80730000
    BadTypeMismatch = "BadTypeMismatch", 0x80740000
    BadConfigurationError = "BadConfigurationError", 0x80890000
    BadNotConnected = "BadNotConnected", 0x808A0000
    BadDeviceFailure = "BadDeviceFailure", 0x808B0000
    BadSensorFailure = "BadSensorFailure", 0x808C0000
    BadOutOfService = "BadOutOfService", 0x808D0000
    BadInvalidState = "BadInvalidState", 0x80AF0000

    @property
    def is_good(self) -> bool:
        """The value may be used as it is."""
        return self.code < 0x40000000

    @property
    def is_uncertain(self) -> bool:
        """There is a value, and a reason to doubt it."""
        return 0x40000000 <= self.code < 0x80000000

    @property
    def is_bad(self) -> bool:
        """There is no usable value."""
        return self.code >= 0x80000000
