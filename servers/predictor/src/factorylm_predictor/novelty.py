"""Whether an asset looks like anything the training saw: principal components, T² inside them and Q beside them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from factorylm_predictor.arrays import Floats

_KEPT_VARIANCE = 0.95
_LIMIT_SHARE = 0.999


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The training's principal components and the limits its own rows keep to."""

    mean: Floats
    scale: Floats
    axes: Floats
    variances: Floats
    t2_limit: float
    q_limit: float

    def novelty(self, features: NDArray[np.float32] | Floats) -> Floats:
        """The larger of T² and Q as a share of its limit; above 1 is unlike all training data."""
        standard = self.standardised(features)
        t2, q = _t2_q(standard, self.axes, self.variances)
        return np.maximum(t2 / self.t2_limit, q / self.q_limit)

    def standardised(self, features: NDArray[np.float32] | Floats) -> Floats:
        """Features in spreads from the training's mean."""
        return (features.astype(np.float64) - self.mean) / self.scale


def learn_gate(features: NDArray[np.float32] | Floats) -> Gate:
    """Learn components and limits from training rows."""
    values = features.astype(np.float64)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    standard = (values - mean) / scale
    axes, variances = principal_axes(standard, _KEPT_VARIANCE)
    t2, q = _t2_q(standard, axes, variances)
    return Gate(
        mean=mean,
        scale=scale,
        axes=axes,
        variances=variances,
        t2_limit=float(np.quantile(t2, _LIMIT_SHARE)),
        q_limit=max(float(np.quantile(q, _LIMIT_SHARE)), 1e-9),
    )


def principal_axes(standard: Floats, kept: float) -> tuple[Floats, Floats]:
    """As many axes as it takes to keep this share of the variance."""
    variances, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    count = int(np.searchsorted(np.cumsum(variances) / variances.sum(), kept)) + 1
    return np.ascontiguousarray(axes[:, :count]), np.maximum(variances[:count], 1e-12)


def _t2_q(standard: Floats, axes: Floats, variances: Floats) -> tuple[Floats, Floats]:
    coordinates = standard @ axes
    t2 = (coordinates**2 / variances).mean(axis=1)
    q = np.maximum((standard**2).sum(axis=1) - (coordinates**2).sum(axis=1), 0.0) / standard.shape[1]
    return t2, q
