"""edge.toml: how often what is read, how long it is kept, what leaves, and what everything is called outside."""

import tomllib
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from factorylm_schema import Fault, Plant, PlantFileError, Tag
from factorylm_schema.fault_words import told
from factorylm_schema.toml_lines import key_lines, line_of
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from factorylm_edge.history import Retention

Interval = Annotated[float, Field(ge=0.05, le=86_400, allow_inf_nan=False)]
Level = Annotated[str, Field(pattern=r"^[^/+#\s]+(/[^/+#\s]+)*$|^$", max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScanGroup(_Part):
    """Tags of a device that have a pace of their own; `*` stands for any part of a name."""

    tags: Annotated[list[str], Field(min_length=1)]
    interval_s: Interval


class DeviceScan(_Part):
    """The pace of one device, and of groups of its tags."""

    interval_s: Interval | None = None
    groups: list[ScanGroup] = Field(default_factory=list)


class Scan(_Part):
    """What is read how often; `report` says whether a value that stays is kept again and again."""

    interval_s: Interval = 1.0
    alarms_interval_s: Interval = 2.0
    report: Literal["changes", "all"] = "changes"
    # a value holds 90 s at most where nothing else was heard: a gateway that lives says so in time
    most_silence_s: Annotated[float, Field(ge=1, le=60)] = 60.0
    devices: dict[str, DeviceScan] = Field(default_factory=dict)


class Keep(_Part):
    """How long the history keeps what."""

    sample_days: Annotated[float, Field(gt=0, le=36_500)] = 90
    minute_days: Annotated[float, Field(gt=0, le=36_500)] = 730
    hour_days: Annotated[float, Field(gt=0, le=36_500)] = 3650
    most_mb: Annotated[int, Field(ge=0, description="0: as much as the disk has")] = 0

    @property
    def retention(self) -> Retention:
        """As a history takes it."""
        return Retention(
            sample_days=self.sample_days,
            minute_days=self.minute_days,
            hour_days=self.hour_days,
            most_bytes=self.most_mb * 1_000_000,
        )


class Namespace(_Part):
    """ISA-95: `root` is enterprise/site, `devices` gives each device its area/line; the tag's name comes last."""

    root: Level = ""
    devices: dict[str, Level] = Field(default_factory=dict)

    def path(self, tag: str) -> str:
        """`acme/northgate/water/pump1/speed`."""
        device, _, name = tag.partition(".")
        parts = (self.root, self.devices.get(device, ""), device, name.replace("/", "_"))
        return "/".join(part for part in parts if part)


class Forward(_Part):
    """One target outside, and the tags that may leave for it: none that is not listed."""

    to: Annotated[str, Field(pattern=r"^(mqtt|mqtts|nats|postgresql)://")]
    format: Literal["json", "sparkplug"] = "json"
    tags: Annotated[list[str], Field(min_length=1)]
    ca_file: str = ""

    def allows(self, tag: str) -> bool:
        """Is it listed?"""
        return any(fnmatchcase(tag, pattern) for pattern in self.tags)


class Outbox(_Part):
    """What waits for a line that is down; when it is full, either the oldest goes or the newest does not come in."""

    most_mb: Annotated[int, Field(ge=1)] = 1024
    when_full: Literal["drop-oldest", "refuse-newest"] = "drop-oldest"

    @property
    def most_bytes(self) -> int:
        """`most_mb` in bytes."""
        return self.most_mb * 1_000_000


Number = Annotated[float, Field(allow_inf_nan=False)]


class Limits(_Part):
    """Beyond which values of one tag an alarm event is told; `hysteresis` is how far it has to come back."""

    high_high: Number | None = None
    high: Number | None = None
    low: Number | None = None
    low_low: Number | None = None
    hysteresis: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    severity: Annotated[int, Field(ge=1, le=1000)] = 500

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        given = [limit for limit in (self.low_low, self.low, self.high, self.high_high) if limit is not None]
        if not given:
            raise ValueError("no limit: give one of high_high, high, low, low_low")
        if any(lower >= upper for lower, upper in pairwise(given)):
            raise ValueError("limits are not in order: low_low < low < high < high_high")
        return self


class EdgeSettings(_Part):
    """All of edge.toml."""

    scan: Scan = Field(default_factory=Scan)
    keep: Keep = Field(default_factory=Keep)
    namespace: Namespace = Field(default_factory=Namespace)
    forward: list[Forward] = Field(default_factory=list)
    outbox: Outbox = Field(default_factory=Outbox)
    alarms: dict[str, Limits] = Field(default_factory=dict)


def load_settings(path: Path | None, plant: Plant) -> EdgeSettings:
    """The file's settings, or the defaults; raises PlantFileError with every fault, its line and key."""
    if path is None:
        return EdgeSettings()
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        settings = EdgeSettings.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fault = Fault(file=path.name, line=1, key="", message=f"cannot be read: {error}")
        raise PlantFileError([fault]) from error
    except ValidationError as error:
        lines = key_lines(text)
        faults = [
            Fault(file=path.name, line=line_of(at, lines), key=".".join(at), message=sentence)
            for at, sentence in told(error)
        ]
        raise PlantFileError(faults) from error
    _check_names(settings, plant, path, text)
    return settings


def _check_names(settings: EdgeSettings, plant: Plant, path: Path, text: str) -> None:
    """A pace for a device that does not exist, or for no tag at all, is a mistyped name."""
    wrong = [
        ((section, "devices", name), f"the plant has no device {name!r}; it has {', '.join(plant.devices) or 'none'}")
        for section, names in (("scan", settings.scan.devices), ("namespace", settings.namespace.devices))
        for name in names
        if name not in plant.devices
    ]
    known_tags = {tag.id for tag in plant.tags()}
    unknown = [name for name in settings.alarms if name not in known_tags]
    for name, device in settings.scan.devices.items():
        known = plant.devices[name].tags if name in plant.devices else {}
        wrong += [
            (("scan", "devices", name), f"no tag of {name} is called like {pattern!r}")
            for group in device.groups
            for pattern in group.tags
            if known and not any(fnmatchcase(tag, pattern) for tag in known)
        ]
    if wrong or unknown:
        lines = key_lines(text)
        key_parts = [(tuple(map(str, key)), message) for key, message in wrong]
        key_parts += [(("alarms", name), f"the plant has no tag {name!r}") for name in unknown]
        raise PlantFileError(
            [Fault(file=path.name, line=line_of(key, lines), key=".".join(key), message=why) for key, why in key_parts]
        )


def paced(tags: list[Tag], scan: Scan, device: str) -> dict[float, list[Tag]]:
    """The tags of one device by their interval; the first group that names a tag decides."""
    own = scan.devices.get(device, DeviceScan())
    found: dict[float, list[Tag]] = {}
    for tag in tags:
        named = (g.interval_s for g in own.groups if any(fnmatchcase(tag.name, pattern) for pattern in g.tags))
        found.setdefault(next(named, own.interval_s or scan.interval_s), []).append(tag)
    return found
