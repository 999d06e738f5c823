"""Fault naming on files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from factorylm_predictor.errors import DataError
from factorylm_predictor.faults import FaultModel, fit_faults, name_faults, parse_derived
from factorylm_predictor.jobs import csv_writer
from factorylm_predictor.model_file import load_model, save_model
from factorylm_predictor.tables import TableFile, pick

_LEAK = 0.9


def fit_names(cases: Path, label: str, tags: Sequence[str], derive: Sequence[str], out: Path) -> FaultModel:
    """Learn from labelled rows and write the model."""
    file = TableFile(cases)
    header = file.header()
    pick(label, header, "label", cases.name)
    chunks = list(file.chunks())
    if not chunks:
        raise DataError(f"{cases.name} has no rows")
    numeric = [n for n in header if n != label and np.isfinite(chunks[0].numbers(n)).mean() > 0.5]
    names = [pick(t, header, "tag", cases.name) for t in tags] or numeric
    labels = np.concatenate([c.texts(label) for c in chunks])
    columns = {n: np.concatenate([c.numbers(n) for c in chunks]) for n in names}
    if not tags:
        columns, left_out = _without_leaks(columns, labels)
    else:
        left_out = []
    model = fit_faults(columns, labels, [parse_derived(d) for d in derive])
    model.card["notes"] = left_out
    model.card["source"] = cases.name
    save_model(model, out)
    return model


def _without_leaks(columns: dict[str, np.ndarray], labels: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:  # type: ignore[type-arg]
    """Without row numbers, and without flags that are on only under one label: they are the label again."""
    kept, left_out = {}, []
    for name, values in columns.items():
        known = values[np.isfinite(values)]
        if len(known) > 2 and bool(np.all(np.diff(known) > 0)):
            left_out.append(f"'{name}' only counts upwards: it is left out")
        elif set(np.unique(known)) <= {0.0, 1.0} and _only_under_one_label(values == 1, labels):
            left_out.append(f"'{name}' is on under one label alone: it is the answer, not a measurement, and left out")
        else:
            kept[name] = values
    return kept, left_out


def _only_under_one_label(on: np.ndarray, labels: np.ndarray) -> bool:  # type: ignore[type-arg]
    counts = Counter(labels[on].tolist())
    return bool(counts) and max(counts.values()) >= _LEAK * sum(counts.values()) and len(set(labels.tolist())) > 1


def name_rows(model: Path, data: Path, out: Path) -> dict[str, int]:
    """Name every row of a file; returns how often each name was given."""
    fitted = load_model(model, FaultModel).model
    file = TableFile(data)
    for column in fitted.columns:
        pick(column, file.header(), "tag", data.name)
    counts: Counter[str] = Counter()
    with csv_writer(out, ("row", "fault", "share", "reason")) as writer:
        for chunk in file.chunks():
            named = name_faults(fitted, {c: chunk.numbers(c) for c in fitted.columns})
            counts.update(n.label or "unknown" for n in named)
            writer.writerows(
                {"row": row, "fault": n.label or "unknown", "share": f"{n.share:.3g}", "reason": n.why_unknown}
                for row, n in enumerate(named, chunk.first_row)
            )
    return dict(counts)
