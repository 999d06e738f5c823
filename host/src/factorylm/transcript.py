"""What happened in a walk, for a machine to check: questions, calls, answers, what they cost, what was concluded."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from factorylm_schema import MissingPartError

Kind = Literal["plant", "wrong", "since_when", "why", "when_fails", "what_if", "may_i", "proof"]
# Tables of numbers and JSON cost more tokens than prose of the same length
_CHARACTERS_PER_TOKEN = 3


@dataclass(frozen=True, kw_only=True)
class Called:
    """One call; `plant` is the pump as it physically was when the answer came."""

    tool: str
    arguments: dict[str, Any]
    refused: bool
    answer: dict[str, Any]
    text: str
    tokens: int
    plant: dict[str, float]


@dataclass
class Step:
    """One question: what the asker knew before (`given`), the calls, what was found, and the words printed for it."""

    kind: Kind
    question: str
    given: dict[str, Any]
    calls: list[Called] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


@dataclass
class Transcript:
    """The walk from the first question to the last."""

    count: Callable[[str], int]
    steps: list[Step] = field(default_factory=list)
    asked_of_person: list[str] = field(default_factory=list)

    def begin(self, kind: Kind, question: str, **given: Any) -> Step:
        """The next question."""
        self.steps.append(Step(kind=kind, question=question, given=given))
        return self.steps[-1]

    @property
    def calls(self) -> list[Called]:
        """All calls, in order."""
        return [call for step in self.steps for call in step.calls]

    @property
    def tokens(self) -> int:
        """What all calls and answers cost."""
        return sum(call.tokens for call in self.calls)

    def cost(self, tool: str, arguments: dict[str, Any], text: str) -> int:
        """What a model writes for the call, and reads as its answer."""
        return self.count(tool + json.dumps(arguments, ensure_ascii=False)) + self.count(text)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "steps": [asdict(step) for step in self.steps],
            "asked_of_person": self.asked_of_person,
            "calls": len(self.calls),
            "tokens": self.tokens,
        }


def counter() -> tuple[Callable[[str], int], str]:
    """How tokens are counted here, and the word that says how exactly: o200k, or a third of the characters."""
    from factorylm_skill.testing import count_tokens

    try:
        count_tokens("")
    except MissingPartError:
        return (lambda text: -(-len(text) // _CHARACTERS_PER_TOKEN)), "about "
    return count_tokens, ""
