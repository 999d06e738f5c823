"""What the assistant may ask: the tools' arguments, each described and bounded."""

from typing import Annotated, Literal

from factorylm_skill.tool import Arguments
from pydantic import Field

Data = Annotated[
    str, Field(min_length=1, max_length=500, description="File of the data folder, or series:..,series:..")
]
Columns = Annotated[str, Field(min_length=1, max_length=1000, description="Columns a,b")]
Column = Annotated[str, Field(max_length=200, description="Column")]
ModelName = Annotated[str, Field(min_length=1, max_length=300, description="Handle or model file")]


class Files(Arguments):
    """Arguments of files."""

    data: Annotated[str, Field(max_length=500, description="File whose columns to name; empty: list files")] = ""


class Fit(Arguments):
    """Arguments of fit."""

    data: Data
    inputs: Annotated[str, Field(min_length=1, max_length=1000, description="Columns that are moved: a,b")]
    outputs: Annotated[str, Field(min_length=1, max_length=1000, description="Columns that answer: y,z")]
    time: Column = ""
    setpoint: Annotated[
        str, Field(max_length=200, description="Set-point column of the controller moving an input")
    ] = ""
    mode: Annotated[str, Field(max_length=200, description="Column saying auto or manual")] = ""
    template: Annotated[
        Literal["", "tanks", "pump", "fan", "exchanger", "motor", "conveyor"],
        Field(description="Grey box, or any model"),
    ] = ""


class WhatIf(Arguments):
    """Arguments of what_if."""

    model: ModelName
    changes: Annotated[
        str, Field(min_length=3, max_length=500, description="speed=+10%,valve=-5 or speed=1200@600 (later)")
    ]
    start: Annotated[str, Field(max_length=500, description="File whose last rows are now; empty: the fit's end")] = ""
    limits: Annotated[str, Field(max_length=500, description="y=2:8, low and high of outputs")] = ""
    over: Annotated[float, Field(ge=0, le=1e9, description="Time for totals (power: energy)")] = 0.0


class Best(Arguments):
    """Arguments of best."""

    model: ModelName
    output: Annotated[str, Field(min_length=1, max_length=200, description="Output to optimise")]
    aim: Annotated[str, Field(min_length=1, max_length=40, description="max, min or a number to reach")]
    inputs: Annotated[str, Field(max_length=500, description="Inputs that may be moved; empty: all")] = ""
    limits: Annotated[str, Field(max_length=500, description="y=2:8,speed=:1300")] = ""


class Compare(Arguments):
    """Arguments of compare."""

    model: ModelName
    data: Data


class Card(Arguments):
    """Arguments of card."""

    model: ModelName


def listed(text: str) -> tuple[str, ...]:
    """A list of names written as one text."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
