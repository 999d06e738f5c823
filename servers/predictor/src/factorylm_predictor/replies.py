"""What the tools answer: small tables and an evidence id, never a data set."""

from typing import Any

from factorylm_skill.untrusted import told_to_the_model
from pydantic import BaseModel, ConfigDict

Cell = str | int | float | bool | None


class Reply(BaseModel):
    """Every answer of the predictor."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rows(Reply):
    """A small table."""

    columns: list[str]
    rows: list[list[Cell]]
    truncated: bool = False
    cursor: str | None = None


class CheckReply(Reply):
    """What a file holds and what is wrong with it; without a file: what there is."""

    evidence: str | None = None
    files: list[str] | None = None
    models: list[str] | None = None
    rows: int | None = None
    units: int | None = None
    interval: float | None = None
    data_columns: list[str] | None = None
    findings: Rows | None = None


class FitReply(Reply):
    """A fitted model and how far to trust it; `refuses` says why it gives no numbers."""

    model: str
    failures: int
    still_alive: int
    time_unit: str
    refuses: str | None = None
    error: float | None = None
    error_by_age_alone: float | None = None
    error_near_failure: float | None = None
    interval_covers: float | None = None
    longest_life_told: float
    notes: list[str]
    evidence: str


class UnitReply(Reply):
    """One machine's answer."""

    unit: str
    status: str
    remaining: float | None = None
    low: float | None = None
    high: float | None = None
    high_is_open: bool | None = None
    time_unit: str | None = None
    confidence: str | None = None
    declared_coverage: float | None = None
    measured_coverage: float | None = None
    assets_behind_it: int | None = None
    drivers: Rows | None = None
    similar_cases: Rows | None = None
    refusal: str | None = None
    remedy: str | None = None
    novelty: float
    notes: list[str]


class PredictReply(Reply):
    """One machine in full, or all of them as a table."""

    answer: UnitReply | None = None
    fleet: Rows | None = None
    refused: int
    answered: int
    time_unit: str
    drift: str | None = None
    evidence: str


class DetectReply(Reply):
    """Alarms that last, the longest first."""

    rows: int
    rows_in_alarm: int
    declared_false_alarms: float
    false_alarms_on_held_out_healthy_rows: float
    events: Rows
    notes: list[str]
    evidence: str


class TrendReply(Reply):
    """Time until the limit as 5, 50 and 95 % quantiles, or why there is none."""

    status: str
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    time_unit: str
    level_now: float | None = None
    slope: float | None = None
    bend: str | None = None
    chance_of_this_trend_without_one: float
    reason: str | None = None
    evidence: str


class WindowReply(Reply):
    """The three best slots, and what waiting costs."""

    best: Rows
    act_now: bool
    doing_nothing_above_best: float
    advice: str | None = None
    warning: str | None = None
    shape: float | None = None
    scale: float | None = None
    best_age: float | None = None
    evidence: str


class NameReply(Reply):
    """Named rows, and how often such names were right on blocks of time kept apart."""

    last_rows: Rows
    counts: Rows
    balanced_accuracy: float
    accuracy: float
    largest_class: float
    notes: list[str]
    evidence: str


class EvidenceReply(Reply):
    """One part of an answer's evidence."""

    tool: str
    asked: Rows
    part: Rows


def rows(columns: list[str], values: list[list[Any]], *, cursor: str = "") -> Rows:
    """A table with texts made harmless and numbers kept short."""
    return Rows(
        columns=[told(c) for c in columns],
        rows=[[_cell(v) for v in row] for row in values],
        truncated=bool(cursor),
        cursor=cursor or None,
    )


def told(text: str, limit: int = 160) -> str:
    """Text from a file, shown as data."""
    return told_to_the_model(text, limit)


def short(value: float | None) -> float | None:
    """Four digits: more would claim more than is known."""
    return None if value is None or value != value else float(f"{value:.4g}")


def _cell(value: Any) -> Cell:
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return short(value)
    return told(str(value), 200)
