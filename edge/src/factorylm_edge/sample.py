"""One value of one tag at one time, as the gateway carries it: small, because there are many."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from factorylm_schema import Quality, Reading, Value

SECOND = 1_000_000  # times are whole microseconds since 1970, UTC
DAY_US = 86_400 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAMES = {quality.code: quality for quality in Quality}


class Sample(NamedTuple):
    """`quality` is the OPC UA status code's number; `value` is None where there is none."""

    tag: str
    time_us: int
    value: Value | None
    quality: int = 0

    @property
    def is_good(self) -> bool:
        """The value may be used as it is."""
        return self.quality < 0x40000000


def microseconds(time: datetime) -> int:
    """An aware time as microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def instant(time_us: int) -> datetime:
    """The aware UTC time."""
    return _EPOCH + timedelta(microseconds=time_us)


def quality_name(code: int) -> str:
    """The status code's name; a number nobody knows is shown as it is."""
    return str(_NAMES.get(code, f"0x{code:08X}"))


def sample_of(reading: Reading) -> Sample:
    """A reading as a sample; to the millisecond, because no scan knows its time better."""
    return Sample(reading.tag, microseconds(reading.time) // 1000 * 1000, reading.value, reading.quality.code)
