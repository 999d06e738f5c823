"""What each subcommand does: run the job, write the file, print the answer."""

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

# Both before numpy: BLAS and OpenMP threads spin against each other on small matrices and busy machines
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from factorylm_twin.answers import change_answer, twin_card
from factorylm_twin.errors import DataError
from factorylm_twin.fitting import learn
from factorylm_twin.jobs import past_of, simulate_file
from factorylm_twin.model_file import load_twin, save_twin
from factorylm_twin.tables import Wanted, read_record
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
    twin = learn(read_record(options.data, wanted), options.template, _progress)
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
    past = past_of(twin, options.past) if options.past else None
    answer = what_if(twin, options.change, past, dict(options.limit))
    told = change_answer(twin, answer, identity)
    if options.report:
        from factorylm_twin.report import change_page

        _write(options.report, change_page(twin, options.change, past, told))
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
