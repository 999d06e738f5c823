"""The quality scale: what a skill proves on its own simulator, rule by rule.

- `judge`: a wheel or a folder to a `Judgement`; `judge_all`: several, side by side
- `RULES`: every rule with its reason, an example and its exception
"""

from factorylm_registry.quality.judging import Judgement, Outcome, Ruling, judge, judge_all, judged, summary_of
from factorylm_registry.quality.rules import RULES, Rule, Tier

__all__ = ["RULES", "Judgement", "Outcome", "Rule", "Ruling", "Tier", "judge", "judge_all", "judged", "summary_of"]
