"""What the registry refuses, by what the asker can do next; each knows its HTTP status.

FactoryLMError
└── RefusedError          the registry did nothing
    ├── BadQuestionError      400, 422: ask differently
    ├── InvalidListingError   422: correct the named places of server.json
    ├── NotProvenError        401: prove who you are
    ├── NotYoursError         403: it belongs to somebody else, or looks like it
    ├── NotListedError        404: no such server or version
    ├── ConflictError         409: it is there already; versions never change
    ├── TooLargeError         413: more than the registry takes
    ├── NotOfferedError       501: the specification leaves it open, and this registry does not
    └── UntrustedError        a signature, hash or proof does not hold: nothing is installed
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from factorylm_schema import FactoryLMError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One wrong place in a document."""

    location: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


class RefusedError(FactoryLMError):
    """Nothing was changed."""

    code = "REFUSED"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "Bad Request"


class BadQuestionError(RefusedError):
    """A parameter cannot be read."""

    status = 400


class InvalidListingError(RefusedError):
    """A server.json with faults; all of them at once."""

    status, title = 422, "Unprocessable Entity"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n  ".join([f"server.json has {count}:", *map(str, faults)]))


class NotProvenError(RefusedError):
    """No token, or one that does not hold."""

    status, title = 401, "Unauthorized"


class NotYoursError(RefusedError):
    """The token is good, but not for this."""

    status, title = 403, "Forbidden"


class NotListedError(RefusedError):
    """Not in this registry."""

    status, title = 404, "Not Found"


class ConflictError(RefusedError):
    """Published versions are immutable."""

    status, title = 409, "Conflict"


class TooLargeError(RefusedError):
    """More than the registry takes."""

    status, title = 413, "Content Too Large"


class NotOfferedError(RefusedError):
    """The specification leaves it to the registry, and this one does not."""

    status, title = 501, "Not Implemented"


class UntrustedError(RefusedError):
    """What arrived is not what was signed."""

    code = "UNTRUSTED"
