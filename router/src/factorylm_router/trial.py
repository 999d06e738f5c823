"""Two verifiers on the plant's own traffic: a challenger gets a share of the requests until a sequential test knows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from factorylm_router.config import RoutingConfig
from factorylm_router.learning import Quality, quality_of, sequential_test
from factorylm_router.verifier import Verifier, load_verifier

Arm = Literal["", "old", "new"]
Samples = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    challenger: Verifier
    share: float

    @property
    def name(self) -> str:
        """Of this challenger: the samples of an earlier one do not count."""
        return hashlib.sha256(self.challenger.as_json()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One verifier's sampled requests: how often premium agreed, and what a request cost on the mean."""

    quality: Quality | None
    cost_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    decided: str  # of the challenger: better, worse or undecided
    pairs: int
    old: Side
    new: Side


def in_use(routing: RoutingConfig) -> Verifier:
    return _at_our_price(load_verifier(routing.verifier_file), routing)


def on_trial(routing: RoutingConfig) -> Trial | None:
    if routing.challenger_file is None:
        return None
    challenger = _at_our_price(load_verifier(routing.challenger_file), routing)
    return Trial(challenger=challenger, share=routing.challenger_share)


def _at_our_price(verifier: Verifier, routing: RoutingConfig) -> Verifier:
    if routing.premium_calls_per_right_answer is None:
        return verifier
    return replace(verifier, premium_calls_per_right_answer=routing.premium_calls_per_right_answer)


def standing(newest_first: Samples, trial: str) -> Standing:
    """The nth sample of one side is paired with the nth of the other (Wald's way to compare two shares), in the order
    in which they came, so that it may be read at any time."""
    told = [s for s in reversed(newest_first) if s.get("trial") == trial and _is_right(s) is not None]
    old, new = ([s for s in told if s["arm"] == arm] for arm in ("old", "new"))
    wins = losses = pairs = 0
    decided = "undecided"
    for first, second in zip(old, new, strict=False):
        pairs += 1
        wins += bool(_is_right(second)) and not _is_right(first)
        losses += bool(_is_right(first)) and not _is_right(second)
        decided = sequential_test(wins, losses).decided
        if decided != "undecided":
            break
    return Standing(decided=decided, pairs=pairs, old=_side(old), new=_side(new))


def _is_right(sample: Mapping[str, Any]) -> bool | None:
    """Premium's own answer is the measure; an answer that could not be compared says nothing."""
    return True if sample.get("escalated") else sample.get("agreed")


def _side(samples: Samples) -> Side:
    cost = sum(int(s.get("cost_micro", 0)) for s in samples)
    quality = quality_of(sum(bool(_is_right(s)) for s in samples), len(samples))
    return Side(quality=quality, cost_micro=cost // max(1, len(samples)))


def as_text(found: Standing) -> str:
    lines = [f"the challenger is {found.decided} after {found.pairs} pairs"]
    for name, side in (("old", found.old), ("new", found.new)):
        if side.quality is None:
            lines.append(f"{name}: no samples yet")
            continue
        seen = side.quality
        lines.append(
            f"{name}: premium agreed with {seen.share:.1%} ({seen.low:.1%} to {seen.high:.1%}, "
            f"{seen.samples} samples), ${side.cost_micro / 1e6:.6f} a request"
        )
    return "\n".join(lines)
