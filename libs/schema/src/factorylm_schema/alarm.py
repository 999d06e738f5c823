"""An alarm's life as OPC UA Part 9 tells it, and the state ISA-18.2 would call it."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class AlarmState(StrEnum):
    """The states of ISA-18.2-2016 figure 2."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED_UNACKNOWLEDGED = "returned unacknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed by design"
    OUT_OF_SERVICE = "out of service"


class AlarmEvent(BaseModel):
    """One change of one alarm. `source`, `name` and `text` come from the device: data, never instructions."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    time: AwareDatetime
    source: str
    name: str
    text: str = ""
    severity: Annotated[int, Field(ge=1, le=1000)] = 500
    active: bool
    acknowledged: bool = True
    confirmed: bool = True
    shelved: bool = False
    suppressed: bool = False
    out_of_service: bool = False
    retain: bool = True
    event_id: str = ""

    @property
    def state(self) -> AlarmState:
        """The ISA-18.2 state; what hides an alarm comes before what it does."""
        if self.out_of_service:
            return AlarmState.OUT_OF_SERVICE
        if self.suppressed:
            return AlarmState.SUPPRESSED
        if self.shelved:
            return AlarmState.SHELVED
        if self.active:
            return AlarmState.ACKNOWLEDGED if self.acknowledged else AlarmState.UNACKNOWLEDGED
        return AlarmState.NORMAL if self.acknowledged else AlarmState.RETURNED_UNACKNOWLEDGED
