"""What each tool does: find the data and the twin, run the job, answer in few words."""

import hashlib
import json

import numpy as np
from factorylm_schema.errors import BadRequestError

from factorylm_twin import questions as ask
from factorylm_twin import replies
from factorylm_twin.answers import change_answer, short, twin_card
from factorylm_twin.choosing import Say
from factorylm_twin.desk import Desk
from factorylm_twin.fitting import learn
from factorylm_twin.jobs import past_of, simulate_file
from factorylm_twin.model_file import packed
from factorylm_twin.residuals import departure
from factorylm_twin.tables import Wanted, read_columns, read_record
from factorylm_twin.twin import Twin
from factorylm_twin.whatif import Limits, what_if

_MOST_NAMES, _MOST_OUTPUTS = 25, 3


def files(desk: Desk, asked: ask.Files, _: Say) -> replies.FilesReply:
    """Files, models, and one file's columns."""
    names = desk.files()
    columns = read_columns(desk.path(asked.data)) if asked.data else {}
    return replies.FilesReply(
        files=[] if asked.data else [replies.told(n, 80) for n in names[:_MOST_NAMES]],
        models=desk.twins()[-5:],
        columns=[replies.told(n, 60) for n in list(columns)[: 2 * _MOST_NAMES]],
        rows=len(next(iter(columns.values()))) if columns else None,
        truncated=(not asked.data and len(names) > _MOST_NAMES) or len(columns) > 2 * _MOST_NAMES,
    )


def fit(desk: Desk, asked: ask.Fit, say: Say) -> replies.CardReply:
    """Learn and grade."""
    wanted = Wanted(
        inputs=_some(asked.inputs, "inputs"),
        outputs=_some(asked.outputs, "outputs"),
        time=asked.time,
        mode=asked.mode,
        setpoint=asked.setpoint,
    )
    twin = learn(read_record(desk.path(asked.data), wanted), "", say)
    return _card(twin, desk.keep(twin, packed(twin)[0][:16]))


def card(desk: Desk, asked: ask.Card, _: Say) -> replies.CardReply:
    """What a model is."""
    return _card(desk.twin(asked.model), asked.model)


def what_if_tool(desk: Desk, asked: ask.WhatIf, _: Say) -> replies.WhatIfReply:
    """What a change would do."""
    twin = desk.twin(asked.model)
    past = past_of(twin, desk.path(asked.start)) if asked.start else None
    answer = what_if(twin, list(ask.listed(asked.changes)), past, _limits(asked.limits))
    found = change_answer(twin, answer, asked.model)
    content = json.dumps([asked.model_dump(), found], sort_keys=True)
    return replies.WhatIfReply(
        simulation="simulation:" + hashlib.sha256(content.encode()).hexdigest()[:12],
        refused=answer.refused,
        reason=replies.told(answer.reason),
        in_envelope=answer.in_envelope,
        inputs={replies.told(k, 60): [v["now"], v["then"]] for k, v in list(found["inputs"].items())[:_MOST_OUTPUTS]},
        time_unit=twin.time_unit,
        effects=[] if answer.refused else [_effect(n, e) for n, e in list(found["outputs"].items())[:_MOST_OUTPUTS]],
        truncated=len(answer.effects) > _MOST_OUTPUTS,
    )


def compare(desk: Desk, asked: ask.Compare, _: Say) -> replies.CompareReply:
    """Measured beside simulated, and since when they part."""
    twin = desk.twin(asked.model)
    found = simulate_file(twin, desk.path(asked.data))
    count = len(twin.outputs)
    watched = []
    for j, output in enumerate(twin.outputs[:_MOST_OUTPUTS]):
        rest = (found.measured[:, j] - found.values[:, j])[found.given :]
        low, high = found.values[found.given :, count + 2 * j], found.values[found.given :, count + 2 * j + 1]
        measured = found.measured[found.given :, j]
        known = np.isfinite(rest)
        at = departure(rest, output.rmse)
        watched.append(
            replies.WatchedReply(
                output=replies.told(output.name, 60),
                rmse=short(float(np.sqrt(np.mean(rest[known] ** 2)))) if known.any() else None,
                inside_band=short(float(np.mean((measured >= low)[known] & (measured <= high)[known])))
                if known.any()
                else None,
                departs_at_row=None if at is None else at + found.given,
                bias=short(float(np.mean(rest[known]))) if known.any() else None,
            )
        )
    return replies.CompareReply(rows=len(found.measured), start_rows=found.given, outputs=watched)


def _card(twin: Twin, name: str) -> replies.CardReply:
    told = twin_card(twin)
    outputs = [
        replies.OutputReply(
            name=replies.told(o["name"], 60),
            grade=o["grade"],
            free_run_fit_percent=o["free_run_fit_percent"],
            free_run_rmse=o["free_run_rmse"],
            model=o["model"],
            reason=replies.told(o["reason"]),
        )
        for o in told["outputs"][:_MOST_OUTPUTS]
    ]
    envelope = {replies.told(k, 60): v for k, v in list(told["envelope"].items())[:5]}
    return replies.CardReply(
        model=name,
        grade=twin.grade,
        rows=twin.rows,
        step=twin.step,
        time_unit=twin.time_unit,
        outputs=outputs,
        envelope=envelope,
        truncated=len(twin.outputs) > _MOST_OUTPUTS or len(twin.wanted.inputs) > len(envelope),
    )


def _effect(name: str, effect: dict[str, object]) -> replies.EffectReply:
    crossed = effect.pop("limits_crossed")
    assert isinstance(crossed, list)
    reason = replies.told(str(effect.pop("reason")))
    words = [f"{c['side']} after {c['after']}" for c in crossed]
    return replies.EffectReply.model_validate(
        {"output": replies.told(name, 60), "limits_crossed": words, "reason": reason} | effect
    )


def _some(text: str, what: str) -> tuple[str, ...]:
    names = ask.listed(text)
    if not names or len(set(names)) < len(names):
        raise BadRequestError(f"{what} names no column, or one twice", hint="write columns as a,b")
    return names


def _limits(text: str) -> Limits:
    found: Limits = {}
    for part in ask.listed(text):
        name, _, ends = part.rpartition("=")
        low, colon, high = ends.partition(":")
        try:
            found[name] = (float(low or "-inf"), float(high or "inf"))
        except ValueError:
            colon = ""
        if not name or not colon:
            raise BadRequestError(f"{part[:60]!r} is no pair of limits", hint="write y=2:8, y=:8 or y=2:")
    return found
