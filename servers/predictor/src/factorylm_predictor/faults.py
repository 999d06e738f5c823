"""Naming faults from labelled cases: a forest of trees, 'unknown' where it has no ground to stand on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from factorylm_schema.errors import BadRequestError, MissingPartError, UnknownNameError

from factorylm_predictor import physics
from factorylm_predictor.arrays import Floats, Ints, Texts
from factorylm_predictor.errors import DataError
from factorylm_predictor.novelty import Gate, learn_gate
from factorylm_predictor.trees import Forest, Tree, forest_of

FOLDS = 5
FEWEST_CASES = 5
_TREES = 100
_SKILL = 0.05
_WANTED_ACCURACY = 0.9
FORMULAS = {
    "shaft_power_w": physics.shaft_power_w,
    "temperature_difference_k": physics.temperature_difference_k,
    "wear_strain": physics.wear_strain,
    "hydraulic_power_w": physics.hydraulic_power_w,
    "pump_efficiency": physics.pump_efficiency,
}


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A column made from others by a named physical formula."""

    name: str
    formula: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FaultModel:
    """A fitted fault namer."""

    columns: tuple[str, ...]
    derived: tuple[Derived, ...]
    labels: tuple[str, ...]
    forest: Forest
    gate: Gate
    least_share: float
    card: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class NamedFault:
    """The likeliest label and its share of the trees; `label` None: unknown, and why."""

    label: str | None
    share: float
    why_unknown: str = ""


def parse_derived(text: str) -> Derived:
    """Read `name=formula(column,column)`."""
    match = re.fullmatch(r"\s*([^=]+?)\s*=\s*(\w+)\(([^()]*)\)\s*", text)
    if not match:
        raise BadRequestError(
            f"{text!r} is not a derived column",
            hint="write name=formula(column,column), as in power=shaft_power_w(M,n)",
        )
    name, formula, inputs = match.groups()
    if formula not in FORMULAS:
        raise UnknownNameError("formula", formula, FORMULAS)
    return Derived(name=name, formula=formula, inputs=tuple(i.strip() for i in inputs.split(",")))


def with_derived(columns: Mapping[str, Floats], derived: Sequence[Derived]) -> dict[str, Floats]:
    """The columns and those made from them."""
    full = dict(columns)
    for made in derived:
        for name in made.inputs:
            if name not in full:
                raise UnknownNameError(f"column for '{made.name}'", name, full)
        try:
            full[made.name] = np.asarray(FORMULAS[made.formula](*(full[i] for i in made.inputs)))  # type: ignore[operator]
        except TypeError as error:
            raise BadRequestError(f"{made.formula} does not take {len(made.inputs)} columns") from error
    return full


def fit_faults(
    columns: Mapping[str, Floats], labels: Texts, derived: Sequence[Derived] = (), *, seed: int = 1
) -> FaultModel:
    """Fit on labelled rows in time order; refuses where the tags do not carry the fault."""
    table = with_derived(columns, derived)
    matrix = np.column_stack(list(table.values())).astype(np.float32)
    known = np.isfinite(matrix).all(axis=1)
    matrix, (names, codes) = matrix[known], np.unique(labels[known], return_inverse=True)
    _check_cases(names, codes)
    shares = held_out_shares(matrix, codes, blocked_folds(codes), seed)
    metrics = fault_metrics(shares, codes, tuple(str(n) for n in names))
    _refuse_chance(metrics["balanced_accuracy"], 1 / len(names))
    return FaultModel(
        columns=tuple(columns),
        derived=tuple(derived),
        labels=tuple(str(n) for n in names),
        forest=_forest(matrix, codes, len(names), seed),
        gate=learn_gate(matrix),
        least_share=_least_share(shares, codes),
        card={"purpose": "naming faults seen before", "rows": len(matrix), "split": _SPLIT, "metrics": metrics},
    )


def _refuse_chance(balanced: float, chance: float) -> None:
    if balanced < chance + _SKILL:
        raise DataError(
            f"these tags do not carry this fault: balanced accuracy {balanced:.2f} on blocks of time kept apart, "
            f"chance is {chance:.2f}",
            hint="add tags that feel the fault; shuffled folds would have looked better and meant nothing",
        )


_SPLIT = "five folds; every label's rows are cut into contiguous blocks of time"


def name_faults(model: FaultModel, columns: Mapping[str, Floats]) -> list[NamedFault]:
    """Name each row's fault."""
    for name in model.columns:
        if name not in columns:
            raise UnknownNameError("column", name, columns, hint="the model was trained with it")
    table = with_derived({n: columns[n] for n in model.columns}, model.derived)
    matrix = np.column_stack(list(table.values())).astype(np.float32)
    complete = np.asarray(np.isfinite(matrix).all(axis=1))
    filled = np.nan_to_num(matrix)
    shares = model.forest.by_member(filled)[:, 0, :] / _TREES
    novelty = model.gate.novelty(filled)
    return [_named(model, shares[i], float(novelty[i]), bool(complete[i])) for i in range(len(matrix))]


def _named(model: FaultModel, shares: Floats, novelty: float, complete: bool) -> NamedFault:
    best = int(shares.argmax())
    share = float(shares[best])
    if not complete:
        return NamedFault(label=None, share=0.0, why_unknown="a value is missing")
    if novelty > 1:
        return NamedFault(
            label=None, share=share, why_unknown=f"unlike every labelled case ({novelty:.1f} of the limit)"
        )
    if share < model.least_share:
        return NamedFault(
            label=None,
            share=share,
            why_unknown=f"the likeliest, '{model.labels[best]}', is not likely enough",
        )
    return NamedFault(label=model.labels[best], share=share)


def held_out_shares(matrix: Any, codes: Ints, fold: Ints, seed: int) -> Floats:
    """Each row's label shares by a forest that saw none of its fold."""
    labels = int(codes.max()) + 1
    shares = np.zeros((len(matrix), labels))
    for k in range(FOLDS):
        forest = _forest(matrix[fold != k], codes[fold != k], labels, seed)
        shares[fold == k] = forest.by_member(matrix[fold == k])[:, 0, :] / _TREES
    return shares


def blocked_folds(codes: Ints) -> Ints:
    """Fold k holds the k-th contiguous fifth of every label's rows."""
    fold = np.zeros(len(codes), dtype=np.int64)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        fold[rows] = np.arange(len(rows)) * FOLDS // len(rows)
    return fold


def shuffled_folds(codes: Ints, seed: int) -> Ints:
    """Folds at random within each label: right only where rows have nothing to do with their neighbours."""
    order = np.random.default_rng(seed).permutation(len(codes))
    fold = np.empty(len(codes), dtype=np.int64)
    fold[order] = blocked_folds(codes[order])
    return fold


def fault_metrics(shares: Floats, codes: Ints, labels: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, balanced accuracy, and F1 per label."""
    named = shares.argmax(axis=1)
    recall, f1 = {}, {}
    for code, label in enumerate(labels):
        hit = float(((named == code) & (codes == code)).sum())
        recall[label] = hit / max(1, int((codes == code).sum()))
        f1[label] = 2 * hit / max(1, int((named == code).sum() + (codes == code).sum()))
    return {
        "accuracy": float((named == codes).mean()),
        "balanced_accuracy": float(np.mean(list(recall.values()))),
        "largest_class": float(np.bincount(codes).max() / len(codes)),
        "f1": f1,
    }


def _check_cases(names: Texts, codes: Ints) -> None:
    counts = np.bincount(codes)
    if len(names) < 2:
        raise DataError("all rows carry the same label", hint="give normal rows and at least one kind of fault")
    if len(names) > 50:
        raise DataError(f"{len(names)} different labels", hint="is it the label column? Labels are a few words")
    for name, count in zip(names, counts, strict=True):
        if count < FEWEST_CASES:
            raise DataError(f"'{name}' has {count} rows; {FEWEST_CASES} are the least", hint="leave this label out")


def _least_share(shares: Floats, codes: Ints) -> float:
    """The smallest share from which on nine of ten names were right on blocks kept apart."""
    best, right = shares.max(axis=1), shares.argmax(axis=1) == codes
    for least in np.linspace(0.3, 0.95, 14):
        sure = best >= least
        if sure.any() and right[sure].mean() >= _WANTED_ACCURACY:
            return float(least)
    return 0.95


def _forest(matrix: Any, codes: Ints, labels: int, seed: int) -> Forest:
    try:
        from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPartError(
            "training needs scikit-learn; naming does not", hint="pip install 'factorylm-predictor[train]'"
        ) from error
    model = RandomForestClassifier(n_estimators=_TREES, n_jobs=1, random_state=seed).fit(matrix, codes)
    trees = [_tree(e.tree_, labels, model.classes_) for e in model.estimators_]
    return forest_of([trees], np.zeros((1, labels)))


def _tree(tree: Any, labels: int, classes: Ints) -> Tree:
    value = np.zeros((tree.node_count, labels))
    counts = tree.value[:, 0, :]
    value[:, classes] = counts / counts.sum(axis=1, keepdims=True)
    left = tree.children_left.astype(np.int64)
    return Tree(
        left=left,
        right=tree.children_right.astype(np.int64),
        feature=tree.feature.astype(np.int64),
        threshold=tree.threshold.astype(np.float64),
        value=value,
    )
