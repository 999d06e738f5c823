"""Prometheus metrics of the host: calls, what they cost, devices, waiting writes. Never a value of the plant."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from factorylm_skill import CallRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# from a no-op to what a person needs to decide on a write
_BOUNDS_S = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
_CODE = re.compile(r"[A-Za-z_]{1,40}")


@dataclass
class _Seconds:
    """One histogram: how many calls took at most so long."""

    within: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS_S))
    count: int = 0
    total: float = 0.0

    def note(self, seconds: float) -> None:
        self.count += 1
        self.total += seconds
        for place, bound in enumerate(_BOUNDS_S):
            self.within[place] += seconds <= bound


@dataclass
class Metrics:
    """Counts what it is told; `text` adds what is looked at when asked."""

    _calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    _characters: Counter[str] = field(default_factory=Counter)
    _seconds: defaultdict[str, _Seconds] = field(default_factory=lambda: defaultdict(_Seconds))
    _plant_changes: Counter[str] = field(default_factory=Counter)

    def called(self, record: CallRecord) -> None:
        """A tool was called."""
        # a tool may word its errors as it likes; a label may not grow without end
        outcome = record.outcome if _CODE.fullmatch(record.outcome) else "error"
        self._calls[record.tool, outcome] += 1
        self._characters[record.tool] += record.answered
        self._seconds[record.tool].note(record.seconds)

    def plant_changed(self, outcome: str) -> None:
        """The plant file was edited: `reloaded` or `refused`."""
        self._plant_changes[outcome] += 1

    def text(self, health: Mapping[str, bool | None], waiting: int) -> str:
        """Everything in Prometheus' text format."""
        families = [
            _family("calls_total", "counter", "Tool calls by outcome", self._call_lines()),
            _family("call_seconds", "histogram", "Duration of tool calls", self._second_lines()),
            _family("answered_characters_total", "counter", "Characters an assistant had to read", self._read_lines()),
            _family("device_up", "gauge", "1 if the device answered when last asked", _health_lines(health)),
            _family("writes_waiting", "gauge", "Writes that wait for a person at the console", [f" {waiting}"]),
            _family("plant_changes_total", "counter", "Edits of the plant file by outcome", self._plant_lines()),
        ]
        return "".join(line for family in families for line in family)

    def _call_lines(self) -> Iterator[str]:
        for (tool, outcome), count in sorted(self._calls.items()):
            yield f"{_labels(tool=tool, outcome=outcome)} {count}"

    def _read_lines(self) -> Iterator[str]:
        for tool, count in sorted(self._characters.items()):
            yield f"{_labels(tool=tool)} {count}"

    def _plant_lines(self) -> Iterator[str]:
        for outcome, count in sorted(self._plant_changes.items()):
            yield f"{_labels(outcome=outcome)} {count}"

    def _second_lines(self) -> Iterator[str]:
        for tool, seconds in sorted(self._seconds.items()):
            for bound, within in zip(_BOUNDS_S, seconds.within, strict=True):
                yield f"_bucket{_labels(tool=tool, le=f'{bound:g}')} {within}"
            yield f"_bucket{_labels(tool=tool, le='+Inf')} {seconds.count}"
            yield f"_sum{_labels(tool=tool)} {seconds.total:.6f}"
            yield f"_count{_labels(tool=tool)} {seconds.count}"


def _health_lines(health: Mapping[str, bool | None]) -> Iterator[str]:
    """A device nobody has asked yet is neither up nor down, and left out."""
    for device, up in sorted(health.items()):
        if up is not None:
            yield f"{_labels(device=device)} {int(up)}"


def _family(name: str, kind: str, says: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"# HELP factorylm_{name} {says}.\n# TYPE factorylm_{name} {kind}\n"
    for line in lines:
        yield f"factorylm_{name}{line}\n"


def _labels(**labels: str) -> str:
    """Labels, escaped as the text format wants it."""
    told = (f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return "{" + ",".join(told) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
