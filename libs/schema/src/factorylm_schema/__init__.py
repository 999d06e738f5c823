"""The words that cross a package boundary in FactoryLM.

- plant file: `Plant`, `Device`, `Tag`, `WriteLimits`, `load_plant`; what a skill adds to it: `PlantDialect`
- values: `Reading`, `Problem`, `Quality`, `Value`, `Series`
- what a device says of itself: `Identity`, `Diagnosis`, `Rung`
- writing: `WriteReceipt`
- alarms: `AlarmEvent`, `AlarmState`
- a skill's listing: `SkillManifest`, `load_manifest`
- units: `check_unit`
- errors: the tree in `errors`

What is a pydantic model is loaded when its name is first used, so that a command which only raises these errors starts
without pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from factorylm_schema.errors import (
    AuditError,
    BadReplyError,
    BadRequestError,
    DeviceError,
    DeviceRefusedError,
    DeviceTimeoutError,
    FactoryLMError,
    Fault,
    MissingPartError,
    NotConnectedError,
    OutcomeUnknownError,
    PlantFileError,
    UnknownNameError,
    WriteRefusedError,
)
from factorylm_schema.names import nearest
from factorylm_schema.quality import Quality

if TYPE_CHECKING:
    from factorylm_schema.alarm import AlarmEvent, AlarmState
    from factorylm_schema.diagnosis import Diagnosis, Identity, Rung
    from factorylm_schema.manifest import SkillManifest, load_manifest
    from factorylm_schema.plant import Device, Plant, PlantDialect, Tag, WriteLimits
    from factorylm_schema.plant_file import load_plant
    from factorylm_schema.reading import Problem, Reading, Value, WriteReceipt
    from factorylm_schema.series import Series, SeriesStatistics
    from factorylm_schema.units import check_unit

__all__ = [
    "AlarmEvent",
    "AlarmState",
    "AuditError",
    "BadReplyError",
    "BadRequestError",
    "Device",
    "DeviceError",
    "DeviceRefusedError",
    "DeviceTimeoutError",
    "Diagnosis",
    "FactoryLMError",
    "Fault",
    "Identity",
    "MissingPartError",
    "NotConnectedError",
    "OutcomeUnknownError",
    "Plant",
    "PlantDialect",
    "PlantFileError",
    "Problem",
    "Quality",
    "Reading",
    "Rung",
    "Series",
    "SeriesStatistics",
    "SkillManifest",
    "Tag",
    "UnknownNameError",
    "Value",
    "WriteLimits",
    "WriteReceipt",
    "WriteRefusedError",
    "check_unit",
    "load_manifest",
    "load_plant",
    "nearest",
]

_NAMES_BY_MODULE = {
    "alarm": "AlarmEvent AlarmState",
    "diagnosis": "Diagnosis Identity Rung",
    "manifest": "SkillManifest load_manifest",
    "plant": "Device Plant PlantDialect Tag WriteLimits",
    "plant_file": "load_plant",
    "reading": "Problem Reading Value WriteReceipt",
    "series": "Series SeriesStatistics",
    "units": "check_unit",
}
_MODULE = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names.split()}

# Hidden from type checkers, for which it would make every misspelt name a good one
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The name from its module, at its first use."""
        if name not in _MODULE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
