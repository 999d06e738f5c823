"""What a read or a write brings back, for one tag."""

import math
from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

from factorylm_schema.quality import Quality

Value = bool | int | float | str


class Reading(BaseModel):
    """One tag's value at one time, or why there is none.

    A bad reading has no value; an uncertain one may carry the last or the doubtful value.
    A value that is not a finite number is never a value (`NaN` becomes a bad reading where it is decoded).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tag: str
    value: Value | None = None
    unit: str = ""
    time: AwareDatetime
    quality: Quality = Quality.Good
    problem: str = ""
    hint: str = ""
    address: str = ""
    raw: str = ""

    @classmethod
    def of_checked(
        cls,
        *,
        tag: str,
        value: Value | None,
        unit: str,
        time: datetime,
        quality: Quality,
        problem: str,
        hint: str,
        address: str,
        raw: str,
    ) -> Self:
        """Made without checking again, four times as fast: for the one place that has just decided every part.

        What pydantic's own `model_construct` does, less its look at every field's alias and default.
        """
        reading = cls.__new__(cls)
        fields = {
            "tag": tag, "value": value, "unit": unit, "time": time, "quality": quality,
            "problem": problem, "hint": hint, "address": address, "raw": raw,
        }  # fmt: skip
        object.__setattr__(reading, "__dict__", fields)
        object.__setattr__(reading, "__pydantic_fields_set__", _ALL_FIELDS)
        object.__setattr__(reading, "__pydantic_extra__", None)
        object.__setattr__(reading, "__pydantic_private__", None)
        return reading

    @model_validator(mode="after")
    def _value_fits_quality(self) -> Self:
        if self.quality.is_good and self.value is None:
            raise ValueError("a good reading has a value")
        if self.quality.is_bad and self.value is not None:
            raise ValueError("a bad reading has no value")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise ValueError("a value is finite; say why there is none instead")
        return self


_ALL_FIELDS = set(Reading.model_fields)


class Problem(BaseModel):
    """What went wrong for one tag, and what to try."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tag: str
    quality: Quality
    problem: str
    hint: str = ""
    last_value: Value | None = None
    last_time: AwareDatetime | None = None


class WriteReceipt(BaseModel):
    """What one write did: the value before, the value asked for, and what reads back afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tag: str
    outcome: Literal["written", "differs", "unknown"]
    before: Value | None = None
    requested: Value
    after: Value | None = None
    unit: str = ""
    time: AwareDatetime
    note: str = ""
