"""Which of the values that come in are worth keeping: decided per tag, without a clock or a device."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from factorylm_schema import Quality, Tag, Value

from factorylm_edge.sample import SECOND, Sample

_LAST_KNOWN = Quality.UncertainNoCommunicationLastUsableValue.code


@dataclass
class Reports:
    """Report on change: beyond the deadband, on another quality, or after a silence, so that readers know it holds."""

    tags: Iterable[Tag]
    everything: bool = False
    most_silence_s: float = 60.0
    _deadband: dict[str, float] = field(init=False)
    _kept: dict[str, Sample] = field(default_factory=dict)
    _good: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._deadband = {tag.id: tag.deadband for tag in self.tags}

    def worth_keeping(self, samples: Iterable[Sample], *, lost: bool = False) -> list[Sample]:
        """Those of one scan that say something new; where the device is lost, its last good values as uncertain."""
        found = []
        for sample in samples:
            told = self._with_last_known(sample, lost=lost)
            if self.everything or self._is_news(told):
                self._kept[told.tag] = told
                found.append(told)
        return found

    def still(self, now_us: int) -> list[Sample]:
        """Values that hold, said again: for sources that speak only of changes."""
        due_us = now_us - int(self.most_silence_s * SECOND)
        again = [kept._replace(time_us=now_us) for kept in self._kept.values() if kept.time_us <= due_us]
        self._kept.update((sample.tag, sample) for sample in again)
        return again

    def _with_last_known(self, sample: Sample, *, lost: bool) -> Sample:
        if sample.is_good and sample.value is not None:
            self._good[sample.tag] = sample.value
        elif lost and sample.tag in self._good:
            return sample._replace(value=self._good[sample.tag], quality=_LAST_KNOWN)
        return sample

    def _is_news(self, sample: Sample) -> bool:
        kept = self._kept.get(sample.tag)
        if kept is None or kept.quality != sample.quality or type(kept.value) is not type(sample.value):
            return True
        if abs(sample.time_us - kept.time_us) >= self.most_silence_s * SECOND:
            return True
        if isinstance(sample.value, bool | str) or isinstance(kept.value, bool | str):
            return sample.value != kept.value
        if sample.value is None or kept.value is None:
            return False
        change = abs(sample.value - kept.value)
        return change > self._deadband.get(sample.tag, 0.0)


@dataclass
class BackOff:
    """How long to leave a device alone that does not answer: a second, then twice as long each time, up to a minute."""

    most_s: float = 60.0
    failures: int = 0

    def failed(self) -> float:
        """One more failure; returns the pause."""
        self.failures += 1
        return min(self.most_s, 2.0 ** (self.failures - 1))

    def answered(self) -> None:
        """All is well again."""
        self.failures = 0


def next_due(due_s: float, interval_s: float, now_s: float) -> tuple[float, int]:
    """The next moment of a scan that was due at `due_s` and is done now, and how many moments it overran."""
    following = due_s + interval_s
    if now_s < following:
        return following, 0
    missed = int((now_s - following) // interval_s) + 1
    return following + missed * interval_s, missed
