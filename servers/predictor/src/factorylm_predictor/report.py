"""One offline HTML page per machine: what is said, how it came to that, and what stands behind it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from factorylm_predictor.answers import estimate_answer
from factorylm_predictor.arrays import Floats
from factorylm_predictor.drawing import fan, lines, reliability
from factorylm_predictor.errors import DataError
from factorylm_predictor.fleet import run_of
from factorylm_predictor.histories import Histories, History
from factorylm_predictor.life_model import LifeModel
from factorylm_predictor.model_file import Loaded
from factorylm_predictor.remaining_life import Assessment, assess

_MOMENTS = 40
_SMOOTH = 10


@dataclass(frozen=True, kw_only=True)
class Past:
    """What would have been said at earlier moments."""

    times: Floats
    low: Floats
    life: Floats
    high: Floats


def write_reports(
    folder: Path, loaded: Loaded[LifeModel], histories: Histories, answers: Sequence[Assessment]
) -> list[Path]:
    """Write a page per unit; returns their paths."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        for history, answer in zip(histories.units, answers, strict=True):
            path = _free(folder, history.unit, written)
            path.write_text(page(loaded, history, histories.columns, answer), encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise DataError(f"the reports cannot be written to {folder}: {error.strerror}") from error
    return written


def page(loaded: Loaded[LifeModel], history: History, columns: tuple[str, ...], answer: Assessment) -> str:
    """The page of one unit."""
    model = loaded.model
    told = estimate_answer(model, answer)
    start = float(history.times[0])
    name = escape(history.unit)
    body = "".join(
        [
            f"<header><p>Maintenance report from {len(history)} rows</p><h1>{escape(model.unit_column)} {name}</h1>",
            f"{_verdict(told)}</header>",
            _fan_section(model, history, columns, start),
            _health_section(model, history, columns, answer, start),
            _evidence_section(told),
            _calibration_section(model),
            _card_section(loaded),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{name}: maintenance report</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


def _verdict(told: dict[str, Any]) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in told["notes"])
    listed = f"<ul>{notes}</ul>" if notes else ""
    if told["status"] == "refused":
        refusal = told["refusal"]
        return (
            f'<p class="big refused">No number</p><p><b>{escape(refusal["found"])}</b></p>'
            f"<p>What would help: {escape(refusal['remedy'])}.</p>{listed}"
        )
    unit = escape(told["time_unit"])
    high = f"more than {told['high']:.3g}" if told["high_is_open"] else f"{told['high']:.3g}"
    coverage = told["coverage"]
    measured = f", measured {coverage['measured']:.0%}" if coverage["measured"] is not None else ""
    return (
        f'<p class="big">{told["low"]:.3g} to {high} <span>{unit} left</span></p>'
        f"<p>Middle {told['remaining']:.3g} {unit}. Declared coverage {coverage['declared']:.0%}{measured}, "
        f"from {coverage['assets_behind_it']} failures; {escape(coverage['confidence'])}.</p>"
        f'{listed}<p class="quiet">For {escape(told["supports"])}.</p>'
    )


def _fan_section(model: LifeModel, history: History, columns: tuple[str, ...], start: float) -> str:
    past = looked_back(model, history, columns)
    clock = _clock(model)
    picture = fan(past.times - start, past.low, past.life, past.high, f"{clock} since start", f"{clock} left")
    if not picture:
        return ""
    horizon = model.cap * model.step
    said = f"Band: interval at each moment. At {horizon:g} the upper end is open: 'more than'."
    return f"<section><h2>What would have been said earlier</h2>{picture}<p class=quiet>{escape(said)}</p></section>"


def looked_back(model: LifeModel, history: History, columns: tuple[str, ...]) -> Past:
    """The answers at evenly spread earlier moments, from the rows known then."""
    moments = np.unique(np.linspace(0, len(history) - 1, min(_MOMENTS, len(history))).astype(int))
    found = []
    for last in moments.tolist():
        known = History(unit=history.unit, times=history.times[: last + 1], values=history.values[: last + 1])
        estimate = assess(model, known, columns).estimate
        found.append((estimate.low, estimate.life, estimate.high) if estimate else (np.nan, np.nan, np.nan))
    low, life, high = np.array(found).T
    return Past(times=history.times[moments], low=low, life=life, high=high)


def _health_section(
    model: LifeModel, history: History, columns: tuple[str, ...], answer: Assessment, start: float
) -> str:
    run = run_of(history, columns, model.settings, model.sensors, model.step, ended=False)
    away = model.conditions.deviations(run.settings, run.sensors)
    if not np.isfinite(away).all() or len(away) < 2:
        return ""
    tags = [d.tag for d in answer.estimate.drivers] if answer.estimate else _strangest(model, away)
    named = [(tag, _smoothed(away[:, model.sensors.index(tag)])) for tag in tags]
    picture = lines(run.times - start, named, f"{_clock(model)} since start", "spreads away from normal")
    text = "Away from what the settings make normal, in fleet spreads; up is towards failure. Means of ten rows."
    return f"<section><h2>Health trend</h2>{picture}<p class=quiet>{text}</p></section>"


def _strangest(model: LifeModel, away: Floats) -> list[str]:
    return [model.sensors[i] for i in np.argsort(-np.abs(away[-_SMOOTH:].mean(axis=0)))[:3].tolist()]


def _smoothed(values: Floats) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - _SMOOTH, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _evidence_section(told: dict[str, Any]) -> str:
    if told["status"] == "refused":
        return ""
    drivers = "".join(
        f"<tr><td>{_breakable(d['tag'])}<td>{d['spreads_from_own_baseline']:+.2f}"
        f'<td>{d["share"]:.0%}<i class="bar" style="width:{d["share"]:.0%}"></i>'
        for d in told["drivers"]
    )
    similar = "".join(f"<tr><td>{_breakable(c['unit'])}<td>{c['ran_on_for']:g}" for c in told["similar_cases"])
    unit = escape(told["time_unit"])
    return (
        "<section><h2>Why</h2><table><tr><th>Tag<th>Moved, in spreads<th>Share of the evidence"
        f"{drivers}</table><p class=quiet>Moved from its own first rows; up is towards failure.</p></section>"
        f"<section><h2>Past cases that looked like this</h2><table><tr><th>Unit<th>Ran on for ({unit})"
        f"{similar}</table></section>"
    )


def _breakable(name: str) -> str:
    """A long name may go on in the next line after an underscore."""
    return escape(name).replace("_", "_<wbr>")


def _calibration_section(model: LifeModel) -> str:
    rows = model.card["errors_in_steps"].get("reliability", [])
    if not rows:
        return ""
    picture = reliability([(r["declared"], r["measured"]) for r in rows])
    said = f"On {model.failures} assets left out of the members that predicted them. On the line: honest."
    return f"<section><h2>Are the intervals honest?</h2>{picture}<p class=quiet>{said}</p></section>"


def _card_section(loaded: Loaded[LifeModel]) -> str:
    rows = "".join(
        f"<tr><td>{escape(k)}<td>{escape(v)}" for k, v in _flat({"model_id": loaded.id, **loaded.model.card})
    )
    return f"<section><details><summary>Model card</summary><table class=card>{rows}</table></details></section>"


def _flat(value: dict[str, Any], at: str = "") -> list[tuple[str, str]]:
    found = []
    for key, inner in value.items():
        place = f"{at}{key}".replace("_", " ")
        if isinstance(inner, dict):
            found += _flat(inner, f"{place} / ")
        elif isinstance(inner, list):
            listed = "; ".join(_short(v) for v in inner[:12]) + (" …" if len(inner) > 12 else "")
            found.append((place, listed or "none"))
        else:
            found.append((place, _short(inner)))
    return found


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock(model: LifeModel) -> str:
    return model.time_unit()


def _free(folder: Path, unit: str, taken: list[Path]) -> Path:
    """A file name made of the unit's name; two that come out alike get a number."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", unit).strip("._")[:80] or "unit"
    path, number = folder / f"{stem}.html", 2
    while path in taken:
        path, number = folder / f"{stem}_{number}.html", number + 1
    return path


_STYLE = """
:root{--ink:#16202a;--soft:#566573;--paper:#f7f8f9;--card:#fff;--rule:#dde2e6;--one:#0b6e99;--band:#0b6e9930;
--two:#b25b00;--three:#6b4fa0;--alarm:#b3261e;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaee;--soft:#9aa7b2;--paper:#12171c;--card:#1a2127;--rule:#2e3840;
--one:#5cc0ec;--band:#5cc0ec33;--two:#f2a65a;--three:#b9a3e3;--alarm:#ff8a80}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:46rem;margin:0 auto;padding:1rem}
header,section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:1rem;margin:0 0 1rem}
h1{margin:0;font-size:1.5rem;overflow-wrap:anywhere}h2{margin:.2rem 0 .6rem;font-size:1.05rem}
header>p:first-child{margin:0;color:var(--soft);font-size:.85rem}
.big{font-size:1.9rem;font-weight:650;margin:.5rem 0 .2rem;line-height:1.2}.big span{font-size:1rem;font-weight:400}
.refused{color:var(--alarm)}.quiet{color:var(--soft);font-size:.9rem;margin:.4rem 0 0}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--ink);font-size:14px}svg .tick,svg .name{fill:var(--soft);font-size:13px}
@media(max-width:520px){svg .tick,svg .name{font-size:26px}.half{display:none}.line{stroke-width:4}
main{padding:.5rem}header,section{padding:.8rem}}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:0 0 .4rem;font-size:.9rem}
.legend svg{display:inline-block;width:1.6rem;height:.55rem;margin-right:.4rem;vertical-align:middle}
.grid{stroke:var(--rule)}.band{fill:var(--band)}.line{fill:none;stroke:var(--one);stroke-width:2.2}
.l1{stroke:var(--two);stroke-dasharray:7 3}.l2{stroke:var(--three);stroke-dasharray:2 3}
.guide{fill:none;stroke:var(--soft);stroke-dasharray:4 4}.dot{fill:var(--one)}
table{border-collapse:collapse;width:100%;margin:0 0 1rem}th{text-align:left;color:var(--soft);font-weight:500}
td,th{padding:.35rem .5rem .35rem 0;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}
.card td:first-child{width:38%;color:var(--soft)}
.bar{display:block;height:.4rem;border-radius:.2rem;background:var(--one)}
summary{cursor:pointer;font-weight:600}
@media print{:root{--ink:#16202a;--soft:#566573;--paper:#fff;--card:#fff;--rule:#dde2e6;--one:#0b6e99;--band:#0b6e9930;
--two:#b25b00;--three:#6b4fa0;--alarm:#b3261e}header,section{break-inside:avoid}}
"""
