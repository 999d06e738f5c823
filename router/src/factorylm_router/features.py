"""What the verifier sees of an answer: its shape, its arithmetic, and who agrees with whom. Microseconds,
no models."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from factorylm_router.checks import arithmetic

_HEDGE = re.compile(
    r"\b(however|but wait|not sure|unclear|assum\w+|probably|approximately|closest|"
    r"none of the|cannot|unable|might|"
    r"perhaps|seems?|likely|error|mistake|re-?check|incorrect|actually|let's re)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LONG_ANSWER_TOKENS = 900
MOST_READ = 20_000  # characters: an answer's shape shows early


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One answer as the verifier sees it. `answer` is what it comes down to; None agrees with nothing."""

    answer: str | None
    text: str
    out_tokens: int
    fatal: bool = False
    ends_in_one: bool = True  # the text comes down to some answer, even if nobody wrote down which

    @property
    def is_blank(self) -> bool:
        """Nothing to look at: neither a text nor an answer."""
        return self.answer is None and not self.text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The request as the verifier sees it."""

    prompt: str
    options: int = 0


def question_features(question: Question) -> list[float]:
    words = len(question.prompt.split())
    return [math.log1p(words), math.log1p(len(_NUMBER.findall(question.prompt)))]


def shape_features(question: Question, seen: Observation) -> list[float]:
    text = seen.text[:MOST_READ]
    words = len(text.split())
    asked = len(question.prompt.split())
    right, wrong = arithmetic(text)
    return [
        float(seen.fatal or (seen.answer is None and not seen.ends_in_one)),
        math.log1p(words),
        math.log1p(words) - math.log1p(asked),
        len(_HEDGE.findall(text)) / (1 + words / 50),
        math.log1p(len(_NUMBER.findall(text))),
        min(right, 5) / 5,
        float(wrong > 0),
        min(wrong, 3) / 3,
        text.count("\n") / (1 + words / 20),
        float(seen.out_tokens > LONG_ANSWER_TOKENS),
    ]


def agree(first: Observation, second: Observation) -> bool:
    return first.answer is not None and first.answer == second.answer and not (first.fatal or second.fatal)


def agreements(seen: Sequence[Observation]) -> list[float]:
    """Pair by pair; for three also whether nobody agrees with anybody."""
    pairs = [float(agree(seen[i], seen[j])) for j in range(len(seen)) for i in range(j)]
    return [*pairs, float(not any(pairs))] if len(seen) > 2 else pairs
