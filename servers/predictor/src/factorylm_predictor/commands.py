"""What each subcommand does: run the job, write the file, print the answer."""

import argparse
import json
import os
import sys
import time as clock
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Both before numpy: BLAS and OpenMP threads spin against each other on small matrices and busy machines
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from factorylm_schema.errors import BadRequestError

from factorylm_predictor import jobs
from factorylm_predictor.answers import age_plan_answer, estimate_answer, slot_plan_answer
from factorylm_predictor.clocks import HOUR_S
from factorylm_predictor.costs import read_costs, read_lives
from factorylm_predictor.datacheck import check_data
from factorylm_predictor.faults import FaultModel
from factorylm_predictor.fitting import FitOptions
from factorylm_predictor.histories import read_histories
from factorylm_predictor.history_export import table_at
from factorylm_predictor.jobs import (
    FLAG_COLUMNS,
    PREDICTION_COLUMNS,
    DetectJob,
    FitJob,
    Fitted,
    answer_for_unit,
    csv_writer,
    fit_file,
    flag_rows,
    plan_for_answer,
    plan_for_lives,
    prediction_row,
    trend_to_limit,
)
from factorylm_predictor.life_model import LifeModel
from factorylm_predictor.model_file import load_model, save_model
from factorylm_predictor.naming import learn_names, name_table


def fit(options: argparse.Namespace) -> None:
    """Learn remaining life."""
    settings = FitOptions(settings=options.settings, cap=options.cap, coverage=options.coverage, seed=options.seed)
    job = FitJob(
        data=table_at(options.data),
        unit=options.unit,
        time=options.time,
        censored=table_at(options.censored) if options.censored else None,
        options=settings,
    )
    fitted = fit_file(job, options.out, replace=options.replace, say=_progress)
    if options.json:
        model = fitted.model
        _print_json({"model": str(options.out), "id": fitted.id, "refuses": model.refusal, "card": model.card})
    else:
        _print_fit(options.out, fitted)


def _print_fit(out: Path, fitted: Fitted) -> None:
    card = fitted.model.card
    data, errors, unit = card["data"], card["errors_in_steps"], card["data"]["time_unit"]
    _say(f"{out}: {data['failures']} failures, {data['still_alive']} still alive, id {fitted.id}")
    for note in data["notes"]:
        _say(f"  {note}")
    for name in data["taken_as_still_alive"]:
        _say(f"  unit {name} ends looking healthy: taken as still alive, not as a failure")
    if errors:
        step = fitted.model.step
        _say(
            f"  error on assets left out: {errors['rmse'] * step:.4g} {unit}; by age alone "
            f"{errors['rmse_of_the_clock'] * step:.4g}, by a constant {errors['rmse_of_a_constant'] * step:.4g}"
        )
    if fitted.comparison:
        _say(f"  beside the model before: {fitted.comparison.text}")
    if fitted.model.refusal:
        _say(f"  this model gives no numbers: {fitted.model.refusal}")


def predict(options: argparse.Namespace) -> None:
    """Remaining life of every unit."""
    now = clock.time() / HOUR_S
    loaded = load_model(options.model, LifeModel)
    histories, answers = jobs.predict(
        loaded.model, table_at(options.data), unit=options.unit, time=options.time, now=now
    )
    with csv_writer(options.out, PREDICTION_COLUMNS, options.data, options.model) as writer:
        writer.writerows(prediction_row(a) for a in answers)
    if options.report:
        from factorylm_predictor.report import write_reports

        write_reports(options.report, loaded, histories, answers)
    if options.json:
        _print_json({"model": loaded.id, "answers": [estimate_answer(loaded.model, a) for a in answers]})
        return
    refused = [a for a in answers if a.refusal]
    _say(f"{options.out}: {len(answers) - len(refused)} answered, {len(refused)} refused, model {loaded.id}")
    for code in sorted({a.refusal.code for a in refused if a.refusal}):
        first = next(a for a in refused if a.refusal and a.refusal.code == code)
        _say(f"  {sum(a.refusal is not None and a.refusal.code == code for a in refused)} × {first.refusal}")
    limit = loaded.model.card["drift"]["novel_share_limit"]
    novel = float(np.mean([a.novelty > 1 for a in answers])) if answers else 0.0
    if novel > limit and len(answers) >= 10:
        _say(f"  drift: {novel:.0%} of the units are unlike the training data (limit {limit:.0%}): fit again")


def detect(options: argparse.Namespace) -> None:
    """Judge rows against a baseline."""
    job = DetectJob(
        baseline=table_at(options.baseline),
        data=table_at(options.data),
        time=options.time,
        settings=options.settings,
        tags=options.tags,
        method=options.method,
        false_alarm_rate=options.false_alarms,
        persist=max(1, options.persist),
    )
    detector, judged = jobs.detect(job)
    rows = alarms = missing = 0
    known = np.zeros(len(detector.tags), np.int64)
    with csv_writer(options.out, FLAG_COLUMNS, options.data, options.baseline) as writer:
        for block in judged:
            lines = list(flag_rows(detector.tags, block))
            writer.writerows(lines)
            rows, missing, known = rows + len(lines), missing + sum(block.missing), known + block.known
            alarms += sum(line["flag"] for line in lines)
            _progress(f"{rows} rows judged")
        gaps = jobs.gaps_noted(detector.tags, known, rows)
    summary = {
        "rows": rows,
        "alarms": alarms,
        "not_judged": missing,
        "tags": list(detector.tags),
        "declared_false_alarms": detector.false_alarm_rate,
        "false_alarms_on_the_baseline": detector.baseline_rate,
        "notes": [*detector.notes, *gaps],
    }
    if options.json:
        _print_json(summary)
    else:
        _print_alarms(options.out, summary)


def _print_alarms(out: Path, summary: dict[str, Any]) -> None:
    rate = summary["false_alarms_on_the_baseline"]
    _say(f"{out}: {summary['alarms']} of {summary['rows']} rows in alarm; on held-out healthy blocks {rate:.2%}")
    for note in summary["notes"]:
        _say(f"  {note}")
    if missing := summary["not_judged"]:
        _say(f"  {missing} rows have too few values to be judged")


def window(options: argparse.Namespace) -> None:
    """The cheapest times to service."""
    costs = read_costs(options.costs)
    if options.lives:
        lives = read_lives(table_at(options.lives), life=options.life, failed=options.failed)
        plan, ages = plan_for_lives(lives, costs)
        answer = {"by_age": age_plan_answer(ages), "slots": slot_plan_answer(plan)}
    else:
        if not options.data or not options.unit:
            raise BadRequestError("--model needs --data FILE and --unit NAME", hint="whose service is to be planned?")
        model = load_model(options.model, LifeModel).model
        _, answers = jobs.predict(model, table_at(options.data), now=clock.time() / HOUR_S)
        plan = plan_for_answer(model, answer_for_unit(answers, options.unit), costs)
        answer = {"slots": slot_plan_answer(plan)}
    if costs.skipped:
        answer["skipped"] = {"without_crew": list(costs.skipped)}
    if options.json:
        _print_json(answer)
        return
    _print_plan(answer)


def _print_plan(answer: dict[str, Any]) -> None:
    if ages := answer.get("by_age"):
        _say(f"Weibull shape {ages['shape']:.3g}, scale {ages['scale']:.6g} from {ages['failures']} failures")
        for text in (ages["advice"], ages["warning"]):
            if text:
                _say(text)
    _say("slot                           expected cost   risk until then   above the best")
    for slot in answer["slots"]["best"]:
        cells = f"{slot['expected_cost']:13.6g}   {slot['risk_until_then']:15.1%}   {slot['above_best']:14.4g}"
        _say(f"{slot['name']:<30} {cells}")
    if answer["slots"]["warning"]:
        _say(answer["slots"]["warning"])
    _say(f"doing nothing costs {answer['slots']['doing_nothing_above_best']:.6g} more than the best slot")
    _say("A candidate for review: look at the machine before you act.")


def check(options: argparse.Namespace) -> None:
    """What is wrong with a file."""
    histories = read_histories(table_at(options.data), unit=options.unit, time=options.time)
    found = check_data(histories, now=clock.time() / HOUR_S)
    if options.json:
        _print_json(asdict(found))
        return
    _say(f"{found.source}: {found.rows} rows, {found.units} units, a row every {found.interval:.6g}")
    if not found.findings:
        _say("  nothing wrong was found")
    for finding in found.findings:
        _say(f"  {finding.severity}: {finding.text}")


def trend(options: argparse.Namespace) -> None:
    """Time until a limit."""
    answer = trend_to_limit(table_at(options.data), options.time, options.tag, options.limit, options.settings)
    if options.json:
        _print_json(asdict(answer))
    elif answer.refused:
        _say(f"refused ({answer.refused}): {answer.reason}")
    else:
        _say(f"{options.tag} reaches {options.limit:g} in {answer.p50:.4g} (90 %: {answer.p5:.4g} to {answer.p95:.4g})")


def name(options: argparse.Namespace) -> None:
    """Learn fault names, or give them."""
    if not options.cases and not options.data:
        raise BadRequestError("nothing to do", hint="give --cases to learn, --data to name, or both")
    if options.cases:
        if not options.label:
            raise BadRequestError("--cases needs --label COL", hint="which column names the fault?")
        learned = learn_names(table_at(options.cases), options.label, options.tags, options.derive)
        save_model(learned, options.model)
        _print_json(learned.card) if options.json else _say(_fault_summary(learned.card))
    if options.data:
        if not options.out:
            raise BadRequestError("--data needs --out FILE", hint="where shall the names go?")
        counts = _name_file(load_model(options.model, FaultModel).model, options.data, options.out)
        _print_json(counts) if options.json else _say(f"{options.out}: {counts}")


def _name_file(model: FaultModel, data: Path, out: Path) -> dict[str, int]:
    counts: Counter[str] = Counter()
    with csv_writer(out, ("row", "fault", "share", "reason"), data) as writer:
        for row, named in name_table(model, table_at(data)):
            fault = named.label or "unknown"
            counts[fault] += 1
            writer.writerow({"row": row, "fault": fault, "share": f"{named.share:.3g}", "reason": named.why_unknown})
    return dict(counts)


def example(options: argparse.Namespace) -> None:
    """Simulated data."""
    from factorylm_predictor.example import write_example

    for path in write_example(options.out, options.seed):
        _say(str(path))


def _fault_summary(card: dict[str, Any]) -> str:
    metrics = card["metrics"]
    return (
        f"accuracy {metrics['accuracy']:.3f} on blocks of time kept apart "
        f"(largest class {metrics['largest_class']:.3f}), "
        f"balanced {metrics['balanced_accuracy']:.3f}"
    )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    print(text)  # noqa: T201 (this is the command's answer)


def _print_json(answer: Any) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False))  # noqa: T201 (this is the command's answer)
