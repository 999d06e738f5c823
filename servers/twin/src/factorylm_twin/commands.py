"""What each subcommand does: run the job, write the file, print the answer."""

import argparse
import csv
import itertools
import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Both before numpy: BLAS and OpenMP threads spin against each other on small matrices and busy machines
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from factorylm_schema.errors import UnknownNameError

from factorylm_twin.answers import change_answer, twin_card
from factorylm_twin.errors import DataError
from factorylm_twin.fitting import learn
from factorylm_twin.jobs import past_of, simulate_file
from factorylm_twin.model_file import load_twin, save_twin
from factorylm_twin.planning import Goal, best_place, rounded
from factorylm_twin.refitting import refit as refitted
from factorylm_twin.tables import Wanted, read_columns, read_record
from factorylm_twin.watching import Watched, compared, newest
from factorylm_twin.whatif import what_if


def fit(options: argparse.Namespace) -> None:
    """Learn and grade."""
    wanted = Wanted(
        inputs=options.inputs,
        outputs=options.outputs,
        time=options.time,
        mode=options.mode,
        setpoint=options.setpoint,
    )
    twin = learn(read_record(options.data, wanted), options.template, _progress, _signs(options))
    identity = save_twin(twin, options.out)
    card = twin_card(twin) | {"id": identity}
    if options.report:
        from factorylm_twin.report import model_page

        _write(options.report, model_page(twin, identity))
    if _told(options.json, card):
        return
    _say(f"{options.out}: grade {twin.grade}, id {identity}")
    for output in card["outputs"]:
        if output["reason"]:
            _say(f"  {output['name']}: refused, {output['reason']}")
        else:
            fit_words = f"free-run fit {output['free_run_fit_percent']} %, RMSE {output['free_run_rmse']}"
            _say(f"  {output['name']}: grade {output['grade']}, {fit_words}; {output['model']}")


def _signs(options: argparse.Namespace) -> list[int]:
    for name in (*options.rises, *options.falls):
        if name not in options.inputs:
            raise UnknownNameError("input", name, options.inputs)
    return [(name in options.rises) - (name in options.falls) for name in options.inputs]


def simulate(options: argparse.Namespace) -> None:
    """Free run over a file."""
    twin, identity = load_twin(options.model)
    found = simulate_file(twin, options.data)
    try:
        with options.out.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(found.columns)
            writer.writerows(found.rows())
    except OSError as error:
        raise DataError(f"{options.out} cannot be written: {error.strerror}") from error
    summary = {"model": identity, "grade": twin.grade, "rows": len(found.places), "start_rows": found.given}
    if not _told(options.json, summary):
        _say(f"{options.out}: {len(found.places)} rows, {found.given} of them given, grade {twin.grade}")


def whatif(options: argparse.Namespace) -> None:
    """What a change would do."""
    twin, identity = load_twin(options.model)
    past = past_of(twin, read_columns(options.past), options.past.name) if options.past else None
    answer = what_if(twin, options.change, past, dict(options.limit), options.over)
    told = change_answer(twin, answer, identity)
    if options.report:
        from factorylm_twin.report import change_page

        _write(options.report, change_page(twin, options.change, past, told, dict(options.limit)))
    if _told(options.json, told):
        return
    for name, effect in told["outputs"].items():
        if effect["change"] is None:
            _say(f"{name}: refused, {effect['reason']}")
            continue
        _say(
            f"{name}: {effect['baseline']} -> {effect['new']} (90 %: {effect['lo']} to {effect['hi']}), "
            f"change {effect['change']}, settled after {effect['settling']} {told['time_unit']}, "
            f"grade {effect['grade']}"
        )
    _say("A proposal for review by a person, never a command.")


def best(options: argparse.Namespace) -> None:
    """Which place of the inputs is best."""
    twin, identity = load_twin(options.model)
    past = past_of(twin, read_columns(options.past), options.past.name) if options.past else None
    goal, limits = Goal(output=options.output, aim=options.aim), dict(options.limit)
    found = rounded(best_place(twin, goal, options.inputs or twin.wanted.inputs, limits, past), 6)
    told: dict[str, Any] = asdict(found) | {"what_if": None}
    if not found.refused:
        changes = [f"{name}=={value!r}" for name, value in found.place.items()]
        told["what_if"] = change_answer(twin, what_if(twin, changes, past, limits), identity)
    if _told(options.json, told):
        return
    if found.refused:
        _say(f"refused, {found.refused}")
        return
    for name, value in found.place.items():
        _say(
            f"{name} = {value:g}: {options.output} moves by {found.sensitivity[name]:.4g} per unit, "
            f"{found.to_the_edge[name]:.0%} of the seen range left to its end"
        )
    expected = ", ".join(f"{name} {value:g}" for name, value in found.expected.items())
    _say(f"expected: {expected}" + (f"; held by {', '.join(found.binding)}" if found.binding else ""))
    _say("A proposal for review by a person, never a command.")


def refit(options: argparse.Namespace) -> None:
    """Replace a twin only by a better one."""
    twin, _ = load_twin(options.model)
    found = refitted(twin, read_record(options.data, twin.wanted), options.template, _progress)
    identity = save_twin(found.twin, options.out or options.model) if found.twin else None
    told: dict[str, Any] = {"replaced": found.twin is not None, "id": identity, "reason": found.reason}
    told |= {"error_before": found.before, "error_after": found.after}
    if not _told(options.json, told):
        _say(found.reason)
        for name, after in found.after.items():
            before = f"{found.before[name]:.4g}" if name in found.before else "none"
            _say(f"  {name}: error on the newest quarter {after:.4g}, before {before}")


def watch(options: argparse.Namespace) -> None:
    """Beside the plant: look at a growing history again and again; say what changes."""
    twin, _ = load_twin(options.model)
    said: dict[str, str] = {}
    pause = threading.Event()
    for number in itertools.count(1):
        found = compared(twin, newest(read_columns(options.data), options.rows), options.data.name)
        for output in found.outputs:
            state = _state(output)
            if said.get(output.output) != state.split(":")[0]:
                _say(f"{output.output} {state}")
            said[output.output] = state.split(":")[0]
        sys.stdout.flush()
        if options.rounds and number >= options.rounds:
            return
        pause.wait(options.every)


def _state(watched: Watched) -> str:
    if watched.departs_at_row is None:
        return f"behaves as its twin says: error {watched.rmse or 0:.4g}, {watched.inside_band or 0:.0%} in the band"
    causes = ", ".join(f"{name} ({share:.0%})" for name, share in watched.explained_by)
    return (
        f"departs from its twin: since row {watched.departs_at_row} of those looked at, by {watched.bias or 0:.4g} on "
        f"average; {'explained by ' + causes if causes else 'no column explains it'}"
    )


def _told(to: Path | None, answer: dict[str, Any]) -> bool:
    """Write or print the JSON; whether it took the place of the words."""
    if to is None:
        return False
    text = json.dumps(answer, indent=2, ensure_ascii=False)
    if str(to) == "-":
        _say(text)
        return True
    _write(to, text + "\n")
    return False


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def _say(text: str) -> None:
    print(text)  # noqa: T201 (stdout is the answer)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:110]}", end="", file=sys.stderr, flush=True)  # noqa: T201
