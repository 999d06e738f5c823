"""What the tools of a protocol skill are asked and answer; tables are columnar, so that a name is paid for once."""

from typing import Annotated

from factorylm_schema import Value
from pydantic import BaseModel, ConfigDict, Field

from factorylm_skill.tool import Arguments

Row = list[Value | None]

TagName = Annotated[str, Field(min_length=1, max_length=300)]
TagList = Annotated[
    list[TagName],
    Field(min_length=1, max_length=200, description="Tag names (pump1.speed) or device/address (pump1/ADDRESS)"),
]
DeviceName = Annotated[str, Field(min_length=1, max_length=64, description="Device name from the plant file")]
Search = Annotated[str, Field(max_length=100, description="Part of a name or description; empty: all")]
Limit = Annotated[int, Field(ge=1, le=500, description="Rows at most")]
Cursor = Annotated[str, Field(max_length=200, description="From the previous page")]


class ListTags(Arguments):
    """Arguments of list_tags."""

    search: Search = ""
    device: Annotated[str, Field(max_length=64, description="Only this device; empty: all")] = ""
    limit: Limit = 50
    cursor: Cursor = ""


class ReadTags(Arguments):
    """Arguments of read_tags."""

    tags: TagList


class SampleTags(Arguments):
    """Arguments of sample_tags."""

    tags: Annotated[list[TagName], Field(min_length=1, max_length=20, description="As in read_tags")]
    seconds: Annotated[float, Field(ge=0.5, le=20, description="How long")] = 5.0
    interval_s: Annotated[float, Field(ge=0.05, le=10, description="Time between samples")] = 0.5


class Browse(Arguments):
    """Arguments of browse."""

    device: DeviceName
    path: Annotated[str, Field(max_length=300, description="Where to look; empty: the top")] = ""
    search: Search = ""
    limit: Limit = 50
    cursor: Cursor = ""


class Diagnose(Arguments):
    """Arguments of diagnose."""

    device: DeviceName


class WriteTag(Arguments):
    """Arguments of write_tag."""

    tag: Annotated[str, Field(min_length=1, max_length=300, description="Tag name; never a raw address")]
    value: Annotated[Value, Field(description="New value in the tag's unit")]
    plan_id: Annotated[str, Field(max_length=64, description="Only when an answer gave one")] = ""
    reason: Annotated[str, Field(max_length=200, description="Why, for the person who decides")] = ""


class TableAnswer(BaseModel):
    """A page of rows; `cursor` continues where `truncated` is true; `note` says why there are none."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    columns: list[str]
    rows: list[Row]
    truncated: bool
    cursor: str | None = None
    note: str | None = None


class ToldProblem(BaseModel):
    """One tag without a good value."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    tag: str
    quality: str
    problem: str
    hint: str | None = None
    last_value: Value | None = None
    last_time: str | None = None


class ReadAnswer(BaseModel):
    """Good readings as rows, the others as problems.

    `time` (UTC) holds for every row, to the second; where a device gives its own times that are further apart,
    a column `time` holds them.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    time: str
    columns: list[str]
    rows: list[Row]
    problems: list[ToldProblem]
    truncated: bool
    addresses: dict[str, str] | None = None


class SampleAnswer(BaseModel):
    """Statistics per tag, a downsampled table (seconds since `time`), and a handle per series."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    time: str
    columns: list[str]
    rows: list[Row]
    samples: TableAnswer
    problems: list[ToldProblem]
    truncated: bool


class DiagnoseAnswer(BaseModel):
    """The ladder; `verdict` names the first failed step."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    verdict: str
    columns: list[str]
    rows: list[Row]
    identity: dict[str, Value] | None = None


class WriteAnswer(BaseModel):
    """What the write did; `outcome` is written, differs (reads back otherwise) or unknown (no answer)."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    tag: str
    outcome: str
    before: Value | None = None
    requested: Value
    after: Value | None = None
    unit: str | None = None
    time: str
    note: str | None = None
    audit_line: int
