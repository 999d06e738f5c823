"""What the tools answer: a few numbers and a reason, never a data set."""

from factorylm_skill.untrusted import told_to_the_model
from pydantic import BaseModel, ConfigDict


class Reply(BaseModel):
    """Every answer of the twin."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FilesReply(Reply):
    """What there is to learn from."""

    files: list[str]
    models: list[str]
    columns: list[str]
    rows: int | None = None
    truncated: bool = False


class OutputReply(Reply):
    """How one output was learned."""

    name: str
    grade: str
    free_run_fit_percent: float | None = None
    free_run_rmse: float | None = None
    model: str
    reason: str


class CardReply(Reply):
    """A model and how far to trust it."""

    model: str
    grade: str
    rows: int
    step: float
    time_unit: str
    outputs: list[OutputReply]
    envelope: dict[str, list[float]]
    truncated: bool = False


class EffectReply(Reply):
    """One output's answer."""

    output: str
    grade: str
    baseline: float | None = None
    new: float | None = None
    lo: float | None = None
    hi: float | None = None
    change: float | None = None
    change_lo: float | None = None
    change_hi: float | None = None
    settling: float | None = None
    total_held: float | None = None
    total_changed: float | None = None
    total_change: float | None = None
    limits_crossed: list[str]
    reason: str


class WhatIfReply(Reply):
    """What the change would do; a proposal for review, never a command."""

    simulation: str
    refused: bool
    reason: str
    in_envelope: bool
    inputs: dict[str, list[float]]
    time_unit: str
    effects: list[EffectReply]
    truncated: bool = False


class BestReply(Reply):
    """A place to propose; `refused` says why none is told."""

    refused: str
    place: dict[str, float]
    sensitivity: dict[str, float]
    share_left_to_edge: dict[str, float]
    binding: list[str]
    what_if: WhatIfReply | None = None


class WatchedReply(Reply):
    """One output beside its simulation."""

    output: str
    rmse: float | None = None
    inside_band: float | None = None
    departs_at_row: int | None = None
    bias: float | None = None
    explained_by: dict[str, float]


class CompareReply(Reply):
    """Measured beside simulated."""

    rows: int
    start_rows: int
    outputs: list[WatchedReply]


def told(text: str, limit: int = 240) -> str:
    """Text from a file, shown as data."""
    return told_to_the_model(text, limit)
