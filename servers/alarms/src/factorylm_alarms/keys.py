"""Every distinct combination of cells that matters, decoded and classified once, and the alarms they name."""

from dataclasses import dataclass, field

import numpy as np

from factorylm_alarms.arrays import Codes, Kinds
from factorylm_alarms.kinds import LAST_OF_LIFE, Kind


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Identity is source + condition (+ area), never the tag alone and never the text. `text` is the plant's own."""

    name: str
    source: str
    condition: str
    area: str
    priority: str
    text: str


@dataclass
class KeyTable:
    """Every distinct key of a journal and what it means; the same over all its files."""

    alarms: list[Alarm] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    priorities: list[str] = field(default_factory=list)
    event_words: list[str] = field(default_factory=list)
    alarm_of_key: list[int] = field(default_factory=list)
    known_keys: dict[tuple[object, ...], int] = field(default_factory=dict)
    known_alarms: dict[tuple[str, str, str], int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    cached: tuple[Codes, Kinds] | None = None

    def add(self, source: str, condition: str, area: str, priority: str, kind: Kind, word: str, text: str) -> int:
        """The number of this key."""
        key = (source, condition, area, priority, kind, word if kind is Kind.OTHER else "")
        if key not in self.known_keys:
            self.known_keys[key] = len(self.kinds)
            self.kinds.append(kind)
            self.priorities.append(priority)
            self.event_words.append(word)
            alive = kind <= LAST_OF_LIFE
            self.alarm_of_key.append(self._alarm(source, condition, area, priority, text) if alive else -1)
            self.cached = None
        return self.known_keys[key]

    def alarm_codes(self) -> Codes:
        """Key to alarm."""
        return self._arrays()[0]

    def kind_codes(self) -> Kinds:
        """Key to kind."""
        return self._arrays()[1]

    def _arrays(self) -> tuple[Codes, Kinds]:
        if self.cached is None:
            self.cached = np.array(self.alarm_of_key, np.int32), np.array(self.kinds, np.int8)
        return self.cached

    def _alarm(self, source: str, condition: str, area: str, priority: str, text: str) -> int:
        identity = (source, condition, area)
        if identity not in self.known_alarms:
            self.known_alarms[identity] = len(self.alarms)
            name = f"{source}.{condition}" if condition else source
            if name in self.names:
                name = f"{area or '-'}/{name}"
            self.names[name] = len(self.alarms)
            self.alarms.append(
                Alarm(name=name, source=source, condition=condition, area=area, priority=priority, text=text)
            )
        return self.known_alarms[identity]
