"""Training the bag of boosted trees; the only module of remaining life that needs scikit-learn."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from factorylm_schema.errors import MissingPartError
from numpy.typing import NDArray

from factorylm_predictor.arrays import Flags, Floats, Ints
from factorylm_predictor.errors import ModelError
from factorylm_predictor.trees import Forest, Tree, forest_of

_EXPORT_TOLERANCE = 1e-3  # steps; the leaves are stored as float32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a training; the defaults were chosen by cross-validation on training units."""

    iterations: int = 100
    rate: float = 0.1
    leaves: int = 15
    l2: float = 1.0
    feature_share: float = 0.2
    bins: int = 32
    folds: int = 5
    repeats: int = 2

    @property
    def members(self) -> int:
        """Models in the bag: each leaves one fold of assets out."""
        return self.folds * self.repeats


@dataclass(frozen=True, kw_only=True)
class Bag:
    """The trained members, which asset each left out, and how much each feature gained."""

    forest: Forest
    left_out: Flags
    gain: Floats


Progress = Callable[[str], None]


def train_bag(
    features: NDArray[np.float32], target: Floats, asset: Ints, recipe: Recipe, seed: int, say: Progress
) -> Bag:
    """Train members on balanced shares of the assets: each asset is left out equally often."""
    rng = np.random.default_rng(seed)
    assets = int(asset.max()) + 1
    folds = np.stack([rng.permutation(np.arange(assets) % recipe.folds) for _ in range(recipe.repeats)])
    left_out = np.stack([folds[m // recipe.folds] == m % recipe.folds for m in range(recipe.members)])
    smallest = int(np.clip(len(target) / 60, 5, 40))
    members, bases = [], []
    gain = np.zeros(features.shape[1])
    for m in range(recipe.members):
        say(f"training member {m + 1} of {recipe.members}")
        rows = ~left_out[m][asset]
        booster = _booster(recipe, smallest, seed * 1000 + m)
        booster.fit(features[rows], target[rows])
        trees, base = _exported(booster, gain)
        _check_export(booster, trees, base, features[:200])
        members.append(trees)
        bases.append([base])
    return Bag(forest=forest_of(members, np.array(bases)), left_out=left_out, gain=gain)


def out_of_bag(bag: Bag, features: NDArray[np.float32], asset: Ints, cap: float) -> Floats:
    """Each row predicted by the members that never saw its asset."""
    total = np.zeros(len(features))
    for number, left_out in enumerate(bag.left_out):
        unseen = left_out[asset]
        total[unseen] += np.clip(bag.forest.of_member(number).by_member(features[unseen])[:, 0, 0], 0.0, cap)
    return np.asarray(total / bag.left_out[:, asset].sum(axis=0))


def _booster(recipe: Recipe, smallest_leaf: int, seed: int) -> Any:
    # With OpenMP's default threads one fit took minutes on a busy machine: the threads spin waiting for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        from sklearn.ensemble import (  # type: ignore[import-untyped]
            HistGradientBoostingRegressor,
        )
    except ImportError as error:
        raise MissingPartError(
            "training needs scikit-learn; predicting does not",
            hint="pip install 'factorylm-predictor[train]'",
        ) from error
    return HistGradientBoostingRegressor(
        max_iter=recipe.iterations,
        learning_rate=recipe.rate,
        max_leaf_nodes=recipe.leaves,
        min_samples_leaf=smallest_leaf,
        l2_regularization=recipe.l2,
        max_features=recipe.feature_share,
        max_bins=recipe.bins,
        early_stopping=False,
        random_state=seed,
    )


def _exported(booster: Any, gain: Floats) -> tuple[list[Tree], float]:
    trees = []
    for (predictor,) in booster._predictors:  # noqa: SLF001 - checked against the fitted model below
        nodes = predictor.nodes
        inner = nodes["is_leaf"] == 0
        np.add.at(gain, nodes["feature_idx"][inner], nodes["gain"][inner])
        trees.append(
            Tree(
                left=np.where(inner, nodes["left"].astype(np.int64), -1),
                right=np.where(inner, nodes["right"].astype(np.int64), -1),
                feature=nodes["feature_idx"].astype(np.int64),
                threshold=nodes["num_threshold"].astype(np.float64),
                value=nodes["value"].astype(np.float64)[:, None],
            )
        )
    return trees, float(booster._baseline_prediction.ravel()[0])  # noqa: SLF001


def _check_export(booster: Any, trees: list[Tree], base: float, features: NDArray[np.float32]) -> None:
    ours = forest_of([trees], np.array([[base]])).by_member(features)[:, 0, 0]
    worst = float(np.abs(ours - booster.predict(features)).max())
    if not worst < _EXPORT_TOLERANCE:
        raise ModelError(
            f"the exported trees differ from the trained ones by {worst:.3g}",
            hint="this scikit-learn stores its trees differently: install a version the package allows",
        )
