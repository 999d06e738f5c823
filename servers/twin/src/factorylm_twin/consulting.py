"""What each tool does: find the data and the twin, run the job, answer in few words."""

from factorylm_schema.errors import BadRequestError

from factorylm_twin import questions as ask
from factorylm_twin import replies
from factorylm_twin.answers import change_answer, short, twin_card
from factorylm_twin.choosing import Say
from factorylm_twin.desk import Desk
from factorylm_twin.fitting import learn
from factorylm_twin.jobs import past_of
from factorylm_twin.model_file import packed
from factorylm_twin.planning import Goal, best_place, rounded
from factorylm_twin.tables import Wanted, record_of
from factorylm_twin.twin import Twin
from factorylm_twin.watching import compared
from factorylm_twin.whatif import Answer, Limits, what_if

_MOST_NAMES, _MOST_OUTPUTS = 25, 3


def files(desk: Desk, asked: ask.Files, _: Say) -> replies.FilesReply:
    """Files, models, and one file's columns."""
    names = desk.folders.files()
    columns = desk.columns(asked.data) if asked.data else {}
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
    twin = learn(record_of(desk.columns(asked.data), wanted, asked.data[:80]), asked.template, say)
    return _card(twin, desk.keep(twin, packed(twin)[0][:16]))


def card(desk: Desk, asked: ask.Card, _: Say) -> replies.CardReply:
    """What a model is."""
    return _card(desk.twin(asked.model), asked.model)


def what_if_tool(desk: Desk, asked: ask.WhatIf, _: Say) -> replies.WhatIfReply:
    """What a change would do."""
    twin = desk.twin(asked.model)
    past = past_of(twin, desk.columns(asked.start), asked.start[:80]) if asked.start else None
    answer = what_if(twin, list(ask.listed(asked.changes)), past, _limits(asked.limits), asked.over)
    return _told(twin, answer, asked.model)


def best(desk: Desk, asked: ask.Best, _: Say) -> replies.BestReply:
    """Which place is best, and what the twin says of going there."""
    twin, limits = desk.twin(asked.model), _limits(asked.limits)
    goal = Goal(output=asked.output, aim=_aim(asked.aim))
    found = rounded(best_place(twin, goal, ask.listed(asked.inputs) or twin.wanted.inputs, limits), 6)
    told = None
    if not found.refused:
        answer = what_if(twin, [f"{name}=={value!r}" for name, value in found.place.items()], None, limits)
        told = _told(twin, answer, asked.model, most=1, first=asked.output)
    return replies.BestReply(
        refused=replies.told(found.refused),
        place=_named(found.place),
        sensitivity=_named(found.sensitivity),
        share_left_to_edge=_named(found.to_the_edge),
        binding=[replies.told(b, 60) for b in found.binding[:_MOST_OUTPUTS]],
        what_if=told,
    )


def compare(desk: Desk, asked: ask.Compare, _: Say) -> replies.CompareReply:
    """Measured beside simulated, since when they part, and what explains it."""
    found = compared(desk.twin(asked.model), desk.columns(asked.data), asked.data[:80])
    watched = [
        replies.WatchedReply(
            output=replies.told(w.output, 60),
            rmse=short(w.rmse),
            inside_band=short(w.inside_band),
            departs_at_row=w.departs_at_row,
            bias=short(w.bias),
            explained_by=_named(dict(w.explained_by), 2),
        )
        for w in found.outputs[:_MOST_OUTPUTS]
    ]
    return replies.CompareReply(rows=found.rows, start_rows=found.given, outputs=watched)


def _told(twin: Twin, answer: Answer, model: str, most: int = _MOST_OUTPUTS, first: str = "") -> replies.WhatIfReply:
    found = change_answer(twin, answer, model)
    effects = sorted(found["outputs"].items(), key=lambda item: item[0] != first) if first else found["outputs"].items()
    return replies.WhatIfReply(
        simulation=found["simulation"],
        refused=answer.refused,
        reason=replies.told(answer.reason),
        in_envelope=answer.in_envelope,
        inputs={replies.told(k, 60): [v["now"], v["then"]] for k, v in list(found["inputs"].items())[:_MOST_OUTPUTS]},
        time_unit=twin.time_unit,
        effects=[] if answer.refused else [_effect(n, e) for n, e in list(effects)[:most]],
        truncated=len(answer.effects) > most,
    )


def _named(values: dict[str, float], digits: int = 4) -> dict[str, float]:
    return {replies.told(k, 60): float(f"{v:.{digits}g}") for k, v in list(values.items())[:5]}


def _aim(text: str) -> str | float:
    if text in {"max", "min"}:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise BadRequestError(f"{text!r} is no aim", hint="write max, min or a number to reach") from error


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
