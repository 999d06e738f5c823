"""The words that cross a package boundary in FactoryLM.

- plant file: `Plant`, `Device`, `Tag`, `WriteLimits`, `load_plant`; what a skill adds to it: `PlantDialect`
- values: `Reading`, `Problem`, `Quality`, `Value`, `Series`
- what a device says of itself: `Identity`, `Diagnosis`, `Rung`
- writing: `WriteReceipt`
- alarms: `AlarmEvent`, `AlarmState`
- a skill's listing: `SkillManifest`, `load_manifest`
- units: `check_unit`
- errors: the tree in `errors`
"""

from factorylm_schema.alarm import AlarmEvent, AlarmState
from factorylm_schema.diagnosis import Diagnosis, Identity, Rung
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
from factorylm_schema.manifest import SkillManifest, load_manifest
from factorylm_schema.names import nearest
from factorylm_schema.plant import Device, Plant, PlantDialect, Tag, WriteLimits
from factorylm_schema.plant_file import load_plant
from factorylm_schema.quality import Quality
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
