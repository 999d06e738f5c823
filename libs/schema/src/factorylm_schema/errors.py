"""Every error FactoryLM raises on purpose, arranged by what the reader can do next.

FactoryLMError
├── PlantFileError        edit the file: `faults` names file, line and key of each
├── UnknownNameError      use one of `choices`
├── BadRequestError       ask differently: an argument or value is out of bounds
├── DeviceError           look at the device or the line; `quality` says it as a status code
│   ├── NotConnectedError     nothing reachable at the address
│   ├── DeviceTimeoutError    connected, but no answer in time
│   ├── BadReplyError         an answer that cannot be trusted, so it was thrown away
│   └── DeviceRefusedError    the device understood and said no
├── WriteRefusedError     nothing was sent; the reason names the lock
├── OutcomeUnknownError   a write was sent and not answered: read back before anything else
├── AuditError            the audit log cannot be written or does not verify
└── MissingPartError      install what the hint names
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from factorylm_schema.names import nearest
from factorylm_schema.quality import Quality


class FactoryLMError(Exception):
    """`message` says what happened, `hint` what to try; `code` is stable and documented."""

    code: ClassVar[str] = "FAILED"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong in a file: where (line 0: the file as a whole), which key, and what would be right."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        return f"{where}: {key}{self.message}"


class PlantFileError(FactoryLMError):
    """The plant file, a tag table or a manifest has faults; all of them are listed at once."""

    code = "PLANT_FILE"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n  ".join([f"{count} in {faults[0].file}:", *map(str, faults)]))


class UnknownNameError(FactoryLMError):
    """A name that does not exist; the nearest ones that do are in the message."""

    code = "UNKNOWN_NAME"

    def __init__(self, what: str, name: str, choices: Iterable[str], *, hint: str = "") -> None:
        self.choices = nearest(name, choices)
        known = ", ".join(self.choices) or "there are none"
        super().__init__(f"there is no {what} {name[:80]!r}; the nearest: {known}", hint=hint)


class BadRequestError(FactoryLMError):
    """The request cannot be carried out as asked."""

    code = "BAD_REQUEST"


class DeviceError(FactoryLMError):
    """Something between here and the device's answer."""

    code = "DEVICE"
    quality: Quality = Quality.BadCommunicationError

    def __init__(self, message: str, *, hint: str = "", quality: Quality | None = None) -> None:
        super().__init__(message, hint=hint)
        if quality is not None:
            self.quality = quality


class NotConnectedError(DeviceError):
    """No connection could be made, or it was lost."""

    code = "NOT_CONNECTED"
    quality = Quality.BadNoCommunication


class DeviceTimeoutError(DeviceError):
    """Connected, but the answer did not come in time."""

    code = "TIMEOUT"
    quality = Quality.BadTimeout


class BadReplyError(DeviceError):
    """The answer does not fit the question (length, sequence, checksum, unit); it was thrown away."""

    code = "BAD_REPLY"
    quality = Quality.BadDecodingError


class DeviceRefusedError(DeviceError):
    """The device answered with an error of its own."""

    code = "DEVICE_REFUSED"
    quality = Quality.BadDeviceFailure


class WriteRefusedError(FactoryLMError):
    """The write gate said no; nothing reached the wire."""

    code = "WRITE_REFUSED"


class OutcomeUnknownError(FactoryLMError):
    """A write went out once and no answer came: it may or may not have taken effect."""

    code = "OUTCOME_UNKNOWN"


class AuditError(FactoryLMError):
    """The audit log could not be written, or a line of it does not verify."""

    code = "AUDIT"


class MissingPartError(FactoryLMError):
    """An optional part is not installed."""

    code = "MISSING_PART"
