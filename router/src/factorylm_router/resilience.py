"""When to try again, when to go elsewhere, when to leave a provider alone."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

# Answers that say "I did not do it": repeating costs nothing and disturbs nobody.
NOT_DONE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_WAIT_S = 20.0


class Trouble(StrEnum):
    """Why an attempt gave no answer."""

    CONNECT = "connect"  # no connection: nothing was sent
    BUSY = "busy"  # our own queue for this provider is full: nothing was sent
    OPEN = "breaker-open"  # the breaker did not let it through: nothing was sent
    STATUS = "status"  # an error status
    TIMEOUT = "timeout"  # sent, no answer in time: it may have been billed
    LOST = "lost"  # sent, the connection went away: it may have been billed
    CUT = "cut"  # the answer broke off in the middle
    GARBAGE = "garbage"  # the answer is not what it says it is
    REDIRECT = "redirect"  # it wanted the prompt sent to another place
    CERTIFICATE = "certificate"  # it could not prove who it is


NOTHING_SENT = frozenset({Trouble.CONNECT, Trouble.BUSY, Trouble.OPEN, Trouble.CERTIFICATE})


@dataclass(eq=False, kw_only=True)
class FailedAttempt(Exception):  # noqa: N818 -- caught and judged, not shown
    """One attempt's end without an answer. `message` never holds prompt text or keys."""

    trouble: Trouble
    message: str
    status: int = 0
    retry_after_s: float | None = None
    body: bytes = b""

    @property
    def is_the_clients_fault(self) -> bool:
        ours = NOT_DONE | {
            401,
            402,
            403,
            404,
        }  # wrong key, empty account, wrong model name: the operator's to fix
        return self.trouble is Trouble.STATUS and 400 <= self.status < 500 and self.status not in ours

    @property
    def may_have_cost(self) -> bool:
        return self.trouble not in NOTHING_SENT | {Trouble.STATUS, Trouble.REDIRECT}


def wait_before_retry(failure: FailedAttempt, tries: int, retries: int, draw: Callable[[], float]) -> float | None:
    """Seconds to wait before asking the same provider again; None if that is not safe or not worth it."""
    if tries > retries:
        return None
    safe = failure.trouble is Trouble.CONNECT or (failure.trouble is Trouble.STATUS and failure.status in NOT_DONE)
    if not safe:
        return None
    if failure.retry_after_s is not None:
        return failure.retry_after_s + 0.1 * draw() if failure.retry_after_s <= LONGEST_WAIT_S else None
    return float(min(8.0, 0.25 * 2 ** (tries - 1)) * (0.5 + draw()))


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Both forms of the header (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now_s)
    except (ValueError, TypeError):
        return None


@dataclass(slots=True)
class Breaker:
    """Opens after a run of failures, lets one probe through after a pause that doubles, closes on success."""

    threshold: int = 5
    first_pause_s: float = 5.0
    longest_pause_s: float = 120.0
    failures: int = 0
    open_until_s: float = 0.0
    pause_s: float = 0.0
    probing: bool = False

    def lets_through(self, now_s: float) -> bool:
        if self.failures < self.threshold:
            return True
        if now_s < self.open_until_s or self.probing:
            return False
        self.probing = True
        return True

    def succeeded(self) -> None:
        self.failures = 0
        self.pause_s = 0.0
        self.probing = False

    def failed(self, now_s: float, draw: Callable[[], float] = random.random) -> None:
        self.failures += 1
        self.probing = False
        if self.failures >= self.threshold:
            self.pause_s = min(self.longest_pause_s, self.pause_s * 2 or self.first_pause_s)
            self.open_until_s = now_s + self.pause_s * (0.75 + 0.5 * draw())

    def gave_up(self) -> None:
        """A probe that ended without a verdict, for example because its client left."""
        self.probing = False

    def state(self, now_s: float) -> str:
        if self.failures < self.threshold:
            return "closed"
        return "open" if now_s < self.open_until_s else "half-open"
