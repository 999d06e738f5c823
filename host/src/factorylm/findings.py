"""What the demo's client concludes from answers: pure, and nothing but what the answers say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

Answer = dict[str, Any]

VIBRATION, BEARING = "drive1.vibration", "drive1.bearing_temperature"
POWER, FLOW, SUCTION = "drive1.power", "drive1.flow", "drive1.suction_pressure"


@dataclass(frozen=True, kw_only=True)
class Span:
    """A window of a history: its begin, and the mean of what was measured in it."""

    begin: datetime
    mean: float


def spans_of(answer: Answer) -> list[Span]:
    """The windows of a `history_read` that hold a value."""
    begin = _time(answer["time"])
    at, mean = (answer["columns"].index(name) for name in ("s", "mean"))
    rows = [row for row in answer["rows"] if row[mean] is not None]
    return [Span(begin=begin + timedelta(seconds=row[at]), mean=row[mean]) for row in rows]


def above_since(spans: Sequence[Span], level: float) -> datetime | None:
    """Since when every window lies above `level`; None where the last one does not."""
    since = None
    for span in reversed(spans):
        if span.mean <= level:
            break
        since = span.begin
    return since


def highest_before(spans: Sequence[Span], until: datetime) -> float:
    """The highest mean of the windows that had begun before `until`."""
    return max(span.mean for span in spans if span.begin < until)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One tag's mean, then and now."""

    tag: str
    unit: str
    then: float
    now: float

    @property
    def percent(self) -> float:
        """Of what it was."""
        return 100 * (self.now - self.then) / self.then


def changes(then: Answer, now: Answer) -> dict[str, Change]:
    """Tags that both `history_stats` hold, by name."""
    before, after = (dict(_column(answer, "mean")) for answer in (then, now))
    units = dict(_column(now, "unit"))
    return {tag: Change(tag=tag, unit=units[tag], then=before[tag], now=after[tag]) for tag in before if tag in after}


def cause_of(found: dict[str, Change]) -> str:
    """What the signs together speak for; a vibrating pump that moves and draws as much is worn, not starved."""
    if found[VIBRATION].percent < 20:
        return "the pump vibrates as it did: there is nothing to explain"
    hydraulic = found[FLOW].percent < -3 or found[SUCTION].percent < -10
    warm = found[BEARING].now - found[BEARING].then > 5
    if hydraulic:
        return "flow or suction pressure fell with it: look at the suction side first (strainer, cavitation)"
    if warm:
        return "the bearing warms with it while flow and suction hold: a worn bearing, not the water"
    return "neither bearing temperature nor flow moved with it: look at the foundation, the coupling, the sensor"


def settled(sampled: Answer, tag: str, after_s: float) -> tuple[float, int]:
    """The mean of the samples of `modbus_sample_tags` from `after_s` on, and how many they are."""
    table = sampled["samples"]
    at = table["columns"].index(tag)
    values = [row[at] for row in table["rows"] if row[0] >= after_s and row[at] is not None]
    return (fmean(values), len(values)) if values else (float("nan"), 0)


def samples_in(stats: Any) -> int:
    """How many samples a `history_stats` rests on."""
    return int(sum(count for _, count in _column(stats, "samples"))) if stats else 0


def loudest(counted: Answer) -> tuple[str, list[str]]:
    """Of `alarms_rank_alarms` by count: the alarm that came most often, and the others."""
    at = counted["columns"].index("alarm")
    names = [row[at] for row in counted["rows"]]
    return names[0], names[1:]


def _column(answer: Answer, name: str) -> list[tuple[str, Any]]:
    tag, at = answer["columns"].index("tag"), answer["columns"].index(name)
    return [(row[tag], row[at]) for row in answer["rows"] if row[at] is not None]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
