"""Alarm events from limits: a value beyond its limit, and its return, each told once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from factorylm_schema import AlarmEvent

from factorylm_edge.sample import Sample, instant
from factorylm_edge.settings import Limits

_SIDES = ("high_high", "high", "low", "low_low")


@dataclass
class LimitAlarms:
    """Judges good numbers alone: what is doubtful neither raises an alarm nor ends one."""

    limits: Mapping[str, Limits]
    active: set[tuple[str, str]] = field(default_factory=set)

    def remember(self, events: Iterable[AlarmEvent]) -> None:
        """What was active when the gateway ended, from its own events in order of time."""
        for event in events:
            if event.source in self.limits and event.name in _SIDES:
                (self.active.add if event.active else self.active.discard)((event.source, event.name))

    def judge(self, samples: Iterable[Sample]) -> list[AlarmEvent]:
        """What changed with these samples, in their order."""
        return [event for sample in samples if sample.tag in self.limits for event in self._judged(sample)]

    def _judged(self, sample: Sample) -> Iterator[AlarmEvent]:
        value = sample.value
        if not sample.is_good or value is None or isinstance(value, bool | str):
            return
        limits = self.limits[sample.tag]
        for side in _SIDES:
            limit = getattr(limits, side)
            if limit is None:
                continue
            key = (sample.tag, side)
            was = key in self.active
            # an active alarm ends only when the value is back by the hysteresis: no chattering at the limit
            back = limits.hysteresis if was else 0.0
            active = value > limit - back if side.startswith("high") else value < limit + back
            if active == was:
                continue
            (self.active.add if active else self.active.discard)(key)
            yield AlarmEvent(
                time=instant(sample.time_us),
                source=sample.tag,
                name=side,
                text=f"{value:.7g} is {'beyond' if active else 'back within'} {side.replace('_', ' ')} {limit:.7g}",
                severity=limits.severity,
                active=active,
                # a gateway is told of no acknowledgements; an alarm that asks for them belongs into the control system
                retain=active,
                event_id=f"{sample.tag}:{side}:{sample.time_us}:{active:d}",
            )
