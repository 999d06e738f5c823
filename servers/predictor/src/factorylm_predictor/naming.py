"""Fault naming on files."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from factorylm_predictor.errors import DataError
from factorylm_predictor.faults import FaultModel, NamedFault, fit_faults, name_faults, parse_derived
from factorylm_predictor.tables import Table, pick

_LEAK = 0.9


def learn_names(cases: Table, label: str, tags: Sequence[str], derive: Sequence[str]) -> FaultModel:
    """Learn from labelled rows."""
    header = cases.header()
    pick(label, header, "label", cases.name)
    chunks = list(cases.chunks())
    if not chunks:
        raise DataError(f"{cases.name} has no rows")
    numeric = [n for n in header if n != label and np.isfinite(chunks[0].numbers(n)).mean() > 0.5]
    names = [pick(t, header, "tag", cases.name) for t in tags] or numeric
    labels = np.array([text for chunk in chunks for text in chunk.texts(label)])
    columns = {n: np.concatenate([c.numbers(n) for c in chunks]) for n in names}
    if not tags:
        columns, left_out = _without_leaks(columns, labels)
    else:
        left_out = []
    model = fit_faults(columns, labels, [parse_derived(d) for d in derive])
    model.card["notes"] = left_out
    model.card["source"] = cases.name
    return model


def _without_leaks(columns: dict[str, np.ndarray], labels: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
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


def _only_under_one_label(on: np.ndarray, labels: np.ndarray) -> bool:
    counts = Counter(labels[on].tolist())
    return bool(counts) and max(counts.values()) >= _LEAK * sum(counts.values()) and len(set(labels.tolist())) > 1


def name_table(model: FaultModel, data: Table) -> Iterator[tuple[int, NamedFault]]:
    """Row number and name of every row."""
    for column in model.columns:
        pick(column, data.header(), "tag", data.name)
    for chunk in data.chunks():
        named = name_faults(model, {c: chunk.numbers(c) for c in model.columns})
        yield from enumerate(named, chunk.first_row)
