"""What shadow answers teach: quality with its interval, drift, A/B tests, and a better calibrated
verifier."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from factorylm_router.verifier import PREMIUM, Linear, Verifier

Z_95 = 1.959964
LEAST_SAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The share of accepted cheap answers that premium agreed with, and its 95 % interval."""

    share: float
    low: float
    high: float
    samples: int


def quality_of(agreed: int, samples: int) -> Quality | None:
    """Wilson's interval: honest also for few samples and shares near one."""
    if samples == 0:
        return None
    share, z2 = agreed / samples, Z_95**2
    middle = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    half = Z_95 * math.sqrt(share * (1 - share) / samples + z2 / (4 * samples**2)) / (1 + z2 / samples)
    return Quality(share=share, low=max(0.0, middle - half), high=min(1.0, middle + half), samples=samples)


def drift_factor(samples: Sequence[Mapping[str, Any]], recent: int = 100) -> float:
    """How much less a premium call must promise to be made: 1 is as fitted, below 1 sends more up.

    Compares what the verifier promised with what shadows showed for the newest comparable samples."""
    newest = [s for s in samples if s.get("agreed") is not None][:recent]
    if len(newest) < 30:
        return 1.0
    promised = sum(float(s["chance"]) for s in newest) / len(newest)
    agreed = sum(bool(s["agreed"]) for s in newest)
    quality = quality_of(agreed, len(newest))
    assert quality is not None
    if quality.high >= promised:
        return 1.0
    return max(0.25, 1.0 - 4.0 * (promised - quality.high))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a sequential test: "better", "worse", "same" for now undecided, and the evidence so far."""

    decided: str
    evidence: float


def sequential_test(wins: int, losses: int, error: float = 0.05, share: float = 0.6) -> Verdict:
    """Wald's test on the pairs in which only one of two policies was right; it may be read after every pair.

    Decides when one of them wins `share` of such pairs rather than half."""
    up, down = math.log(share / 0.5), math.log((1 - share) / 0.5)
    for_new, for_old = wins * up + losses * down, losses * up + wins * down
    bound = math.log(2 / error)  # two-sided: each side gets half of the error
    if for_new >= bound:
        return Verdict("better", for_new)
    if for_old >= bound:
        return Verdict("worse", for_old)
    return Verdict("undecided", max(for_new, for_old))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """A recalibrated verifier and the comparison that must favour it before it replaces the old one."""

    verifier: Verifier
    loss_before: float
    loss_after: float
    samples: int

    @property
    def is_better(self) -> bool:
        return self.loss_after < self.loss_before


def recalibrated(verifier: Verifier, samples: Sequence[Mapping[str, Any]]) -> Refit | None:
    """Move the verifier's chances towards what shadows showed; fitted on one half, compared on the other.

    A sample tells `chance` (what the verifier gave the accepted answer) and `agreed`. Too few samples:
    None."""
    usable = [(_logit(float(s["chance"])), float(bool(s["agreed"]))) for s in samples if s.get("agreed") is not None]
    if len(usable) < LEAST_SAMPLES:
        return None
    fit_on, judged_on = usable[::2], usable[1::2]
    shift = _fitted_shift(fit_on)
    return Refit(
        verifier=_shifted(verifier, shift, len(usable)),
        loss_before=_log_loss(judged_on, 0.0),
        loss_after=_log_loss(judged_on, shift),
        samples=len(usable),
    )


def _logit(chance: float) -> float:
    kept = min(max(chance, 1e-4), 1 - 1e-4)
    return math.log(kept / (1 - kept))


def _sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def _fitted_shift(pairs: Sequence[tuple[float, float]], prior: float = 4.0) -> float:
    """One number added to every score; a prior keeps it at 0 until the data says otherwise."""
    shift = 0.0
    for _ in range(50):
        gradient = sum(agreed - _sigmoid(score + shift) for score, agreed in pairs) - prior * shift
        slope = sum(p * (1 - p) for p in (_sigmoid(score + shift) for score, _ in pairs)) + prior
        shift += max(-1.0, min(1.0, gradient / slope))  # far from the middle Newton's step runs too far
    return shift


def _log_loss(pairs: Sequence[tuple[float, float]], shift: float) -> float:
    losses = [-math.log(p if agreed else 1 - p) for p, agreed in ((_sigmoid(s + shift), a) for s, a in pairs)]
    return math.fsum(losses) / len(losses)


def _shifted(verifier: Verifier, shift: float, samples: int) -> Verifier:
    def moved(who: str, model: Linear) -> Linear:
        return model if who == PREMIUM else replace(model, bias=model.bias + shift)

    right = {k: {who: moved(who, model) for who, model in models.items()} for k, models in verifier.right.items()}
    return replace(verifier, right=right, fitted_on=f"{verifier.fitted_on}; shifted by {samples} shadow samples")
