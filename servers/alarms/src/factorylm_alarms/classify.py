"""Naming a flood by labelled ones while it is still developing, and saying "not seen before" when nothing is like it.

Each class is a normal distribution over what a flood shows early: per alarm whether and how long it was active and when
it came first. The class is decided with covariances drawn together over the classes (Friedman's regularized
discriminant analysis); novelty with each class's own, so that a class that scatters much does not swallow everything.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from factorylm_alarms.arrays import Bytes, Doubles
from factorylm_alarms.errors import LogError

POOLED, RIDGE = 0.7, 0.05
NOVELTY_RIDGE = 0.05
TEMPERATURE = 3.0
"""Neighbouring samples say nearly the same, so the plain likelihood would be far too sure of itself."""
ACCEPTED, MARGIN = 0.99, 1.1
"""Share of the known floods, each held out once, that must not be called unseen, and room beyond it."""
FOLDS = 5
MAX_FILE_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class FloodMatrix:
    """One flood: rows are samples, columns alarms, 1 while the alarm is active."""

    alarms: tuple[str, ...]
    active: Bytes


@dataclass(frozen=True, kw_only=True)
class Classes:
    """Fitted distributions; `novelty` of a flood above 1 means unseen."""

    names: tuple[str, ...]
    means: Doubles
    inverses: Doubles
    spreads: Doubles
    own_inverses: Doubles
    own_spreads: Doubles
    usual: float = 0.0
    limit: float = 1.0


def read_flood(path: Path) -> FloodMatrix:
    """A CSV with alarm names in its first row and 0 or 1 below."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LogError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MB", hint="is it one flood?")
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            header = next(csv.reader(file), [])
            rows = [row.split(",") for row in file.read().splitlines() if row.strip()]
    except OSError as error:
        raise LogError(f"{path} cannot be read", hint="check the name") from error
    if not header or not rows or any(len(row) != len(header) for row in rows):
        raise LogError(f"{path.name} is no flood", hint="first row alarm names, then one row of 0 and 1 a sample")
    active = np.array([[cell.strip() in {"1", "1.0"} for cell in row] for row in rows], np.uint8)
    if not all(cell.strip() in {"0", "1", "0.0", "1.0"} for row in rows for cell in row):
        raise LogError(f"{path.name} holds cells other than 0 and 1")
    return FloodMatrix(alarms=tuple(name.strip() for name in header), active=active)


def read_labelled(folder: Path) -> list[tuple[str, FloodMatrix]]:
    """Every flood below the folder, named by the folder it lies in."""
    if not folder.is_dir():
        raise LogError(f"there is no folder {folder}", hint="--train wants a folder of class folders, unpacked")
    found = [(path.parent.name, read_flood(path)) for path in sorted(folder.glob("*/*.csv"))]
    if len({name for name, _ in found}) < 2:
        raise LogError(f"{folder} holds fewer than two classes", hint="one folder a class, each with flood CSVs")
    return found


def classify_flood(
    labelled: list[tuple[str, FloodMatrix]], flood: FloodMatrix, *, samples: int | None
) -> dict[str, object]:
    """The class with its probability, or `unseen`; everything judged on the first `samples` samples."""
    alarms = tuple(sorted({name for _, one in labelled for name in one.alarms}))
    length = min(samples or len(flood.active), len(flood.active), min(len(one.active) for _, one in labelled))
    known = features_of([aligned(one, alarms)[:length] for _, one in labelled])
    new = features_of([aligned(flood, alarms)[:length]])
    strangers = sorted(set(flood.alarms) - set(alarms))
    active_strangers = [name for name in strangers if flood.active[:length, flood.alarms.index(name)].any()]
    model = fit(known, np.array([name for name, _ in labelled]))
    chance, novelty = judge(model, new)
    best = int(chance[0].argmax())
    unseen = bool(novelty[0] > 1) or bool(active_strangers)
    return {
        "class": "unseen" if unseen else model.names[best],
        "probability": None if unseen else float(chance[0, best]),
        "unseen": unseen,
        "nearest": model.names[best],
        "novelty": float(novelty[0]),
        "probabilities": {name: float(value) for name, value in zip(model.names, chance[0], strict=True)},
        "classes": len(model.names),
        "samples": length,
        "alarms_never_seen_in_training": active_strangers[:20],
    }


def aligned(flood: FloodMatrix, alarms: tuple[str, ...]) -> Bytes:
    """The flood's columns in the order of `alarms`; an alarm it does not know was never active."""
    place = {name: i for i, name in enumerate(flood.alarms)}
    out = np.zeros((len(flood.active), len(alarms)), np.uint8)
    for column, name in enumerate(alarms):
        if name in place:
            out[:, column] = flood.active[:, place[name]]
    return out


def features_of(floods: list[Bytes]) -> Doubles:
    """Per alarm: share of time active, ever active, when first, how long; all from 0 to 1."""
    active = np.stack(floods).astype(bool)
    length = active.shape[1]
    ever = active.any(axis=1)
    first = np.where(ever, active.argmax(axis=1), length)
    scale = np.log1p(length)
    return np.concatenate(
        (active.mean(axis=1), ever, np.log1p(first) / scale, np.log1p(active.sum(axis=1)) / scale), axis=1
    )


def fit(features: Doubles, labels: npt.NDArray[np.str_]) -> Classes:
    """Fit the classes, and find from held-out known floods where novelty begins."""
    model = _fit(features, labels)
    held_out = np.concatenate(list(_held_out(features, labels)))
    usual, limit = np.quantile(held_out, (0.5, ACCEPTED))
    return Classes(
        **{**model.__dict__, "usual": float(usual), "limit": float(usual + max(MARGIN * (limit - usual), 1e-9))}
    )


def _held_out(features: Doubles, labels: npt.NDArray[np.str_]) -> Iterator[Doubles]:
    """Novelty scores of known floods by models that have not seen them."""
    fold = np.arange(len(labels)) % FOLDS
    for part in range(FOLDS):
        rest = fold != part
        if rest.all() or len(set(labels[rest])) < 2:
            continue
        yield _scores(_fit(features[rest], labels[rest]), features[~rest])[1].min(axis=1)


def _fit(features: Doubles, labels: npt.NDArray[np.str_]) -> Classes:
    names = tuple(str(name) for name in np.unique(labels))
    groups = [features[labels == name] for name in names]
    own = [np.cov(group.T, bias=True) if len(group) > 1 else np.zeros((features.shape[1],) * 2) for group in groups]
    sizes = np.array([len(group) for group in groups])
    pooled = np.tensordot(sizes / sizes.sum(), np.stack(own), axes=1)
    level = max(float(np.trace(pooled)) / len(pooled), 1e-9) * np.eye(len(pooled))
    shared = [(1 - POOLED) * one + POOLED * pooled + RIDGE * level for one in own]
    single = [one + NOVELTY_RIDGE * level for one in own]
    return Classes(
        names=names,
        means=np.stack([group.mean(axis=0) for group in groups]),
        inverses=np.linalg.inv(np.stack(shared)),
        spreads=np.linalg.slogdet(np.stack(shared))[1],
        own_inverses=np.linalg.inv(np.stack(single)),
        own_spreads=np.linalg.slogdet(np.stack(single))[1],
    )


def _scores(model: Classes, features: Doubles) -> tuple[Doubles, Doubles]:
    """(by drawn-together, by own covariance): -2 log likelihood of each flood under each class."""
    return (
        _distances(features, model.means, model.inverses) + model.spreads,
        _distances(features, model.means, model.own_inverses) + model.own_spreads,
    )


def _distances(features: Doubles, means: Doubles, inverses: Doubles) -> Doubles:
    """Squared Mahalanobis distance of each flood to each class."""
    columns = []
    for mean, inverse in zip(means, inverses, strict=True):
        away = features - mean
        columns.append(((away @ inverse) * away).sum(axis=1))
    return np.stack(columns, axis=1)


def judge(model: Classes, features: Doubles) -> tuple[Doubles, Doubles]:
    """(probability of each class, novelty) of each flood; 0 is a usual known flood, above 1 is unseen."""
    shared, own = _scores(model, features)
    logs = -(shared - shared.min(axis=1, keepdims=True)) / (2 * TEMPERATURE)
    chance = np.exp(logs)
    novelty = (own.min(axis=1) - model.usual) / (model.limit - model.usual)
    return chance / chance.sum(axis=1, keepdims=True), novelty
