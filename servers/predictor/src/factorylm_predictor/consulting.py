"""What each tool does: the job on the data, a short answer, and its evidence filed."""

import time as clock
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from factorylm_schema.errors import BadRequestError
from factorylm_skill.paging import page
from factorylm_skill.tool import Arguments

from factorylm_predictor import jobs, replies
from factorylm_predictor import questions as ask
from factorylm_predictor.answers import age_plan_answer, estimate_answer, slot_plan_answer
from factorylm_predictor.clocks import HOUR_S, guess_time_column
from factorylm_predictor.costs import CostFile, read_lives
from factorylm_predictor.datacheck import check_data as look_at
from factorylm_predictor.desk import Desk, Filed, flat
from factorylm_predictor.errors import DataError
from factorylm_predictor.fitting import FitOptions
from factorylm_predictor.histories import read_histories
from factorylm_predictor.model_file import packed
from factorylm_predictor.naming import learn_names, name_table
from factorylm_predictor.remaining_life import Assessment, novel_share
from factorylm_predictor.tables import Table, first_chunk
from factorylm_predictor.window import Costs, Slot, WindowPlan

Say = Callable[[str], None]
_MOST_FINDINGS = 15
_MOST_EVENTS = 10
_MOST_NOTES = 6
_SHOWN_ROWS = 10
_EVENT_ROWS = 5
_EVIDENCE_ROWS = 40


def check_data(desk: Desk, asked: ask.CheckData, _: Say) -> replies.CheckReply:
    """What a file holds and what is wrong with it."""
    if not asked.data:
        files = [replies.told(f) for f in desk.folders.files()[:40]]
        return replies.CheckReply(files=files, models=desk.models())
    table = desk.table(asked.data)
    time = asked.time or _time_of(table)
    found = look_at(read_histories(table, unit=asked.unit or None, time=time), now=_now())
    every: list[list[Any]] = [[f.severity, f.text] for f in found.findings]
    summary = {"rows": found.rows, "units": found.units, "findings": len(every)}
    return replies.CheckReply(
        rows=found.rows,
        units=found.units,
        interval=replies.short(found.interval),
        data_columns=[replies.told(c, 60) for c in found.columns[:40]],
        findings=replies.rows(["severity", "finding"], every[:_MOST_FINDINGS]),
        evidence=_file(desk, "check_data", asked, [asked.data], summary, (["severity", "finding"], every)),
    )


def fit(desk: Desk, asked: ask.Fit, say: Say) -> replies.FitReply:
    """Learn remaining life."""
    job = jobs.FitJob(
        data=desk.table(asked.data),
        unit=asked.unit,
        time=asked.time,
        censored=desk.table(asked.censored) if asked.censored else None,
        options=FitOptions(settings=ask.listed(asked.settings)),
    )
    model, _ = jobs.fit(job, say)
    handle = desk.keep_model(model, packed(model)[0][:16])
    card, errors, step = model.card, model.card["errors_in_steps"], model.step
    suspects = [f"unit {u} ends looking healthy: taken as still alive" for u in card["data"]["taken_as_still_alive"]]
    summary = {"model": handle, "errors_in_steps": errors}
    details = (["declared", "measured", "width_in_steps"], [list(r.values()) for r in errors.get("reliability", [])])
    return replies.FitReply(
        model=handle,
        failures=model.failures,
        still_alive=model.censored,
        time_unit=replies.told(model.time_unit()),
        refuses=model.refusal or None,
        error=_times(errors.get("rmse"), step),
        error_by_age_alone=_times(errors.get("rmse_of_the_clock"), step),
        error_near_failure=_times(errors.get("rmse_late"), step),
        interval_covers=next((r["measured"] for r in errors.get("reliability", []) if r["declared"] == 0.9), None),
        longest_life_told=card["horizon"]["cap"],
        notes=_notes([*suspects, *card["data"]["notes"]]),
        evidence=_file(desk, "fit", asked, [asked.data], summary, details, card),
    )


def predict(desk: Desk, asked: ask.Predict, _: Say) -> replies.PredictReply:
    """Remaining life of one machine in full, or of all as a table."""
    model = desk.model(asked.model)
    answers = jobs.predict(model, desk.table(asked.data), now=_now())[1]
    answers.sort(key=lambda a: a.estimate.life if a.estimate else float("inf"))
    full = [estimate_answer(model, a) for a in answers]
    refused = sum(a.refusal is not None for a in answers)
    alone = jobs.answer_for_unit(answers, asked.unit) if asked.unit else answers[0] if len(answers) == 1 else None
    novel, limit = novel_share(answers), model.card["drift"]["novel_share_limit"]
    every = [_fleet_row(a) for a in answers]
    shown, cursor = page(every, asked.limit, asked.cursor, f"{asked.model}\n{asked.data}")
    kept = estimate_answer(model, alone) if alone else {"answers": len(answers), "refused": refused}
    details = (["unit", "place", "value"], [[f["unit"], *row] for f in full for row in flat(f)])
    return replies.PredictReply(
        answer=_unit_reply(estimate_answer(model, alone)) if alone else None,
        fleet=None if alone else replies.rows(_FLEET_COLUMNS, list(shown), cursor=cursor),
        refused=refused,
        answered=len(answers) - refused,
        time_unit=replies.told(model.time_unit()),
        drift=f"{novel:.0%} of the units are unlike the training data: fit again" if novel > limit else None,
        evidence=_file(desk, "predict", asked, [asked.data], kept, details, model.card),
    )


_FLEET_COLUMNS = ["unit", "remaining", "low", "high", "high_is_open", "refused"]


def _fleet_row(answer: Assessment) -> list[Any]:
    if answer.estimate is None:
        return [answer.unit, None, None, None, None, answer.refusal.code if answer.refusal else ""]
    estimate = answer.estimate
    return [answer.unit, estimate.life, estimate.low, estimate.high, estimate.high_open, None]


def _unit_reply(told: dict[str, Any]) -> replies.UnitReply:
    common = {"unit": replies.told(told["unit"]), "status": told["status"], "novelty": told["novelty"]}
    notes = _notes(told["notes"])
    if told["status"] == "refused":
        refusal = told["refusal"]
        reason = replies.told(f"{refusal['code']}: {refusal['found']}", 300)
        return replies.UnitReply(**common, notes=notes, refusal=reason, remedy=refusal["remedy"])
    coverage = told["coverage"]
    drivers = [list(d.values()) for d in told["drivers"]]
    similar = [list(c.values()) for c in told["similar_cases"]]
    return replies.UnitReply(
        **common,
        notes=notes,
        remaining=told["remaining"],
        low=told["low"],
        high=told["high"],
        high_is_open=told["high_is_open"],
        time_unit=replies.told(told["time_unit"]),
        confidence=coverage["confidence"],
        declared_coverage=coverage["declared"],
        measured_coverage=coverage["measured"],
        assets_behind_it=coverage["assets_behind_it"],
        drivers=replies.rows(["tag", "spreads_from_own_baseline", "share"], drivers),
        similar_cases=replies.rows(["unit", "ran_on_for"], similar),
    )


def detect(desk: Desk, asked: ask.Detect, say: Say) -> replies.DetectReply:
    """Rows against a healthy baseline."""
    job = jobs.DetectJob(
        baseline=desk.table(asked.baseline),
        data=desk.table(asked.data),
        settings=ask.listed(asked.settings),
        tags=ask.listed(asked.tags),
        false_alarm_rate=asked.false_alarms,
    )
    detector, judged = jobs.detect(job)
    lines: list[dict[str, Any]] = []
    known = np.zeros(len(detector.tags), np.int64)
    for block in judged:
        known += block.known
        lines.extend(jobs.flag_rows(detector.tags, block))
        say(f"{len(lines)} rows judged")
    gaps = jobs.gaps_noted(detector.tags, known, len(lines))
    events = _events(lines)
    columns = ["from", "to", "rows", "peak_score", "tags"]
    alarms = sum(line["flag"] for line in lines)
    summary = {"rows": len(lines), "alarms": alarms, "tags": list(detector.tags), "events": len(events)}
    longest = sorted(events, key=lambda e: -e[2])[:_MOST_EVENTS]
    return replies.DetectReply(
        rows=len(lines),
        rows_in_alarm=alarms,
        declared_false_alarms=detector.false_alarm_rate,
        false_alarms_on_held_out_healthy_rows=round(detector.baseline_rate, 4),
        events=replies.rows(columns, longest),
        notes=_notes([*gaps, *detector.notes]),
        evidence=_file(desk, "detect", asked, [asked.baseline, asked.data], summary, (columns, events)),
    )


def _events(lines: list[dict[str, Any]]) -> list[list[Any]]:
    """Stretches of at least five alarms in a row, with the tags that carry them most often."""
    events: list[list[Any]] = []
    start = None
    for place in range(len(lines) + 1):
        on = place < len(lines) and lines[place]["flag"]
        if on and start is None:
            start = place
        elif not on and start is not None:
            if place - start >= _EVENT_ROWS:
                events.append(_event(lines[start:place]))
            start = None
    return events


def _event(stretch: list[dict[str, Any]]) -> list[Any]:
    named = [tag for line in stretch for tag in str(line["top_tags"]).split(";")[:1] if tag]
    often = sorted(set(named), key=lambda tag: -named.count(tag))[:3]
    peak = max(float(line["score"]) for line in stretch)
    return [stretch[0]["time"], stretch[-1]["time"], len(stretch), peak, ", ".join(often)]


def trend(desk: Desk, asked: ask.Trend, _: Say) -> replies.TrendReply:
    """Time until a limit."""
    table = desk.table(asked.data)
    time = asked.time or _time_of(table)
    others = [c for c in table.header() if c != time]
    if not asked.tag and len(others) != 1:
        raise BadRequestError("which tag is the health indicator?", hint=f"tag is one of {', '.join(others[:20])}")
    found = jobs.trend_to_limit(table, time, asked.tag or others[0], asked.limit)
    summary = asdict(found)
    return replies.TrendReply(
        status=f"refused: {found.refused}" if found.refused else "estimate",
        p5=replies.short(found.p5),
        p50=replies.short(found.p50),
        p95=replies.short(found.p95),
        time_unit=replies.told(jobs.clock_unit(table, time)),
        level_now=replies.short(found.level_now),
        slope=replies.short(found.slope),
        bend=found.bend,
        chance_of_this_trend_without_one=float(f"{found.p_value:.2g}"),
        reason=found.reason or None,
        evidence=_file(desk, "trend", asked, [asked.data], summary, (["place", "value"], list(flat(summary)))),
    )


def window(desk: Desk, asked: ask.Window, _: Say) -> replies.WindowReply:
    """The cheapest times to service."""
    plan, ages, source = _plan(desk, asked)
    slot_answer = slot_plan_answer(plan)
    best = [
        [s["name"], s["after"], s["expected_cost"], s["risk_until_then"], s["above_best"]] for s in slot_answer["best"]
    ]
    details = (slot_answer["curve_columns"], slot_answer["curve"])
    return replies.WindowReply(
        best=replies.rows(["slot", "after", "expected_cost", "risk_until_then", "above_best"], best),
        act_now=plan.act_now,
        doing_nothing_above_best=float(f"{plan.do_nothing_regret:.4g}"),
        advice=ages.get("advice"),
        warning="; ".join(w for w in (slot_answer["warning"], ages.get("warning", "")) if w) or None,
        shape=replies.short(ages.get("shape")),
        scale=replies.short(ages.get("scale")),
        best_age=replies.short(ages.get("best_age")),
        evidence=_file(desk, "window", asked, [source], {"best": best, **ages}, details),
    )


def _plan(desk: Desk, asked: ask.Window) -> tuple[WindowPlan, dict[str, Any], str]:
    """The plan, what the lives say of it, and the data it came from."""
    costs = Costs(planned=asked.planned, unplanned=asked.unplanned, lead_time=asked.lead_time)
    file = CostFile(costs=costs, age=asked.age, slots=_slots(asked.slots), skipped=())
    if asked.lives:
        plan, by_age = jobs.plan_for_lives(read_lives(desk.table(asked.lives)), file)
        return plan, age_plan_answer(by_age), asked.lives
    if not (asked.model and asked.data and asked.unit):
        raise BadRequestError("whose service is to be planned?", hint="give lives, or model, data and unit")
    model = desk.model(asked.model)
    answers = jobs.predict(model, desk.table(asked.data), now=_now())[1]
    return jobs.plan_for_answer(model, jobs.answer_for_unit(answers, asked.unit), file), {}, asked.data


def _slots(text: str) -> tuple[Slot, ...]:
    """Slots written as `after=extra cost`, the cost left out where there is none."""
    found = []
    for part in ask.listed(text):
        after, _, extra = part.partition("=")
        try:
            slot = Slot(after=float(after), name=f"after {float(after):g}", extra_cost=float(extra or 0))
        except ValueError:
            raise BadRequestError(
                f"{part[:40]!r} is not a slot", hint="write after=extra cost, as in 300=0,480=90"
            ) from None
        if not (0 <= slot.after < 1e15 and 0 <= slot.extra_cost < 1e15):
            raise BadRequestError(f"slot {part[:40]!r}: time and cost are 0 or more")
        found.append(slot)
    return tuple(found)


def name_fault(desk: Desk, asked: ask.NameFault, _: Say) -> replies.NameReply:
    """Which known fault rows look like."""
    model = learn_names(desk.table(asked.cases), asked.label, ask.listed(asked.tags), [])
    named = list(name_table(model, desk.table(asked.data)))
    counts: dict[str, int] = {}
    for _row, name in named:
        counts[name.label or "unknown"] = counts.get(name.label or "unknown", 0) + 1
    every: list[list[Any]] = [[row, n.label or "unknown", n.share, n.why_unknown] for row, n in named]
    columns = ["row", "fault", "share", "reason"]
    metrics = model.card["metrics"]
    ranked: list[list[Any]] = [[label, count] for label, count in sorted(counts.items(), key=lambda c: -c[1])]
    return replies.NameReply(
        last_rows=replies.rows(columns, every[-_SHOWN_ROWS:]),
        counts=replies.rows(["fault", "rows"], ranked[:_SHOWN_ROWS]),
        accuracy=round(metrics["accuracy"], 3),
        balanced_accuracy=round(metrics["balanced_accuracy"], 3),
        largest_class=round(metrics["largest_class"], 3),
        notes=_notes(model.card.get("notes", [])),
        evidence=_file(desk, "name_fault", asked, [asked.cases, asked.data], counts, (columns, every), model.card),
    )


def evidence(desk: Desk, asked: ask.Evidence, _: Say) -> replies.EvidenceReply:
    """What stands behind an answer."""
    filed = desk.evidence(asked.id)
    columns, every = ["place", "value"], list(flat({"sources": filed.sources, "answer": filed.summary}))
    if asked.part == "details":
        columns, every = filed.details
    elif asked.part == "model_card":
        every = list(flat(filed.card))
    shown, cursor = page(every, _EVIDENCE_ROWS, asked.cursor, f"{asked.id}\n{asked.part}")
    asked_rows = [[key, str(value)] for key, value in filed.asked.items() if value not in ("", [], 0.0)]
    return replies.EvidenceReply(
        tool=f"predictor_{filed.tool}",
        asked=replies.rows(["argument", "value"], asked_rows),
        part=replies.rows(columns, [list(r) for r in shown], cursor=cursor),
    )


def _file(
    desk: Desk,
    tool: str,
    asked: Arguments,
    sources: list[str],
    summary: dict[str, Any],
    details: tuple[list[str], list[list[Any]]],
    card: dict[str, Any] | None = None,
) -> str:
    filed = Filed(
        tool=tool,
        asked=asked.model_dump(mode="json"),
        sources=[desk.source(s) for s in sources],
        summary=summary,
        details=details,
        card=card or {},
    )
    return desk.file_evidence(filed)


def _time_of(table: Table) -> str:
    found = guess_time_column(table.header(), first_chunk(table).columns)
    if found is None:
        raise DataError(
            f"no column of {table.name} is clearly the clock", hint=f"time is one of {', '.join(table.header()[:20])}"
        )
    return found


def _times(value: float | None, step: float) -> float | None:
    return None if value is None or np.isnan(value) else replies.short(value * step)


def _notes(notes: list[str]) -> list[str]:
    more = [f"and {len(notes) - _MOST_NOTES} more"] if len(notes) > _MOST_NOTES else []
    return [*(replies.told(n) for n in notes[:_MOST_NOTES]), *more]


def _now() -> float:
    return clock.time() / HOUR_S
