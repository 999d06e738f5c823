"""What the assistant may ask: the tools' arguments, each described and bounded.

Short on purpose: every conversation pays for these words. Lists of columns are written as one text, "load,speed".
"""

from typing import Annotated, Literal

from factorylm_skill.tool import Arguments
from pydantic import Field

Data = Annotated[str, Field(max_length=2000, description="File or series handles (a,b)")]
Column = Annotated[str, Field(max_length=200, description="Column")]
Columns = Annotated[str, Field(max_length=4000, description="Columns a,b; empty: all")]
Settings = Annotated[str, Field(max_length=1000, description="Columns a,b saying how it is run")]
ModelName = Annotated[str, Field(max_length=300, description="Handle or model file")]
UnitName = Annotated[str, Field(max_length=200, description="Machine name")]
Limit = Annotated[int, Field(ge=1, le=100, description="Rows")]
Cursor = Annotated[str, Field(max_length=99, description="Next page")]
Cost = Annotated[float, Field(ge=0, description="Its cost")]


class CheckData(Arguments):
    """Arguments of check_data."""

    data: Data = ""
    unit: Annotated[str, Field(max_length=200, description="Column naming the machine")] = ""
    time: Column = ""


class Fit(Arguments):
    """Arguments of fit."""

    data: Data
    unit: Annotated[str, Field(max_length=200, description="Column naming the machine")]
    time: Column
    settings: Settings = ""
    censored: Annotated[str, Field(max_length=2000, description="File of units still alive")] = ""


class Predict(Arguments):
    """Arguments of predict."""

    model: ModelName
    data: Data
    unit: Annotated[str, Field(max_length=200, description="Machine name; empty: all, shortest life first")] = ""
    limit: Limit = 15
    cursor: Cursor = ""


class Detect(Arguments):
    """Arguments of detect."""

    baseline: Annotated[str, Field(max_length=2000, description="Healthy rows, as data")]
    data: Data
    tags: Columns = ""
    settings: Settings = ""
    false_alarms: Annotated[float, Field(ge=0.0001, le=0.2, description="Share of healthy rows")] = 0.01


class Trend(Arguments):
    """Arguments of trend."""

    data: Data
    tag: Column = ""
    limit: Annotated[float, Field(ge=-1e15, le=1e15, description="Value not to be reached")]
    time: Column = ""


class Window(Arguments):
    """Arguments of window."""

    planned: Cost
    unplanned: Cost
    lives: Annotated[str, Field(max_length=2000, description="File, a life per row; else model, data, unit")] = ""
    model: ModelName = ""
    data: Data = ""
    unit: UnitName = ""
    age: Annotated[float, Field(ge=0, description="Running time so far")] = 0.0
    lead_time: Annotated[float, Field(ge=0, description="Until parts arrive")] = 0.0
    slots: Annotated[str, Field(max_length=2000, description="Possible times=extra cost: 300=0,480=90")] = ""


class NameFault(Arguments):
    """Arguments of name_fault."""

    cases: Annotated[str, Field(max_length=2000, description="File of labelled rows")]
    label: Column
    data: Data
    tags: Columns = ""


class Evidence(Arguments):
    """Arguments of evidence."""

    id: Annotated[str, Field(max_length=60, description="From an answer")]
    part: Annotated[Literal["summary", "details", "model_card"], Field(description="Part")] = "summary"
    cursor: Cursor = ""


def listed(text: str) -> tuple[str, ...]:
    """The names in "load,speed"."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
