"""What can go wrong with a journal, under the tree of factorylm_schema.errors.

FactoryLMError
└── LogError                 look at the file
    ├── UnknownFormatError       confirm or write a mapping; `proposal` holds one
    ├── AmbiguousDatesError      say which of day and month comes first
    └── UnsafeFileError          the path or the archive is outside what may be opened
"""

from factorylm_schema import FactoryLMError


class LogError(FactoryLMError):
    """The journal cannot be read as it is."""

    code = "LOG"


class UnknownFormatError(LogError):
    """The columns do not say which row is an alarm; nothing is guessed."""

    code = "UNKNOWN_FORMAT"

    def __init__(self, message: str, *, proposal: str, hint: str = "") -> None:
        self.proposal = proposal
        super().__init__(message, hint=hint)


class AmbiguousDatesError(LogError):
    """Every date fits both day-first and month-first."""

    code = "AMBIGUOUS_DATES"


class UnsafeFileError(LogError):
    """The file is outside the allowed folder, or unpacks to more than allowed."""

    code = "UNSAFE_FILE"
