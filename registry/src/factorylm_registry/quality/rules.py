"""The rules. A rule answers "" where it holds, else what is wrong; it judges evidence and touches nothing."""

import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files
from typing import Any

from factorylm_skill.front_matter import front_matter
from factorylm_skill.testing import count_tokens, lint_tool

from factorylm_registry.quality.evidence import Evidence
from factorylm_registry.quality.watching import UNKNOWN
from factorylm_registry.taxonomy import CATEGORIES

MOST_TOOLS, MOST_TOKENS, MOST_TOKENS_PER_TOOL = 8, 1_200, 300
# a server on its simulator against `import mcp.server` alone
MOST_START_RATIO, MOST_MEMORY_MB = 2.5, 160
_ORDERS = re.compile(
    r"ignore (all|any|previous|other)|do not (tell|mention|inform)|<(important|system)>|before using (this|any) tool"
    r"|system prompt|without (asking|telling) the user|instead of the other tool",
    re.IGNORECASE,
)
# Checks of the kit that show something else than surviving faults
_USABILITY = {"the_tool_list_keeps_its_token_budget", "a_reading_costs_few_tokens", "skill_md_describes_the_skill"}


class Tier(IntEnum):
    """Bronze: does no harm. Silver: survives faults. Gold: usable in a plant. Platinum: a reference."""

    BRONZE = 1
    SILVER = 2
    GOLD = 3
    PLATINUM = 4

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule and its page."""

    id: str
    tier: Tier
    title: str
    reason: str
    example: str
    exception: str
    judge: Callable[[Evidence], str]

    @property
    def exemptible(self) -> bool:
        """Whether a reason in skill.toml excuses a breach."""
        return self.exception.startswith("Exempt")


def _installs(evidence: Evidence) -> str:
    return evidence.install_trouble


def _manifest(evidence: Evidence) -> str:
    return evidence.manifest_trouble


def _starts(evidence: Evidence) -> str:
    return "" if evidence.seen.answered else evidence.seen.trouble or "it was not started"


def _clean_stdout(evidence: Evidence) -> str:
    stray = evidence.seen.stray_output
    return f"stdout carries something else than MCP: {stray[:120]!r}" if stray else ""


def _ends(evidence: Evidence) -> str:
    return "" if evidence.seen.ended_on_eof else "it does not end with 0 within 5 s when its client goes"


def _reads_only(evidence: Evidence) -> str:
    writing = [
        tool.get("name") for tool in evidence.seen.tools if not (tool.get("annotations") or {}).get("readOnlyHint")
    ]
    return f"tools that are not read-only by default: {_some(writing)}" if writing else ""


def _few_tools(evidence: Evidence) -> str:
    count = len(evidence.seen.tools)
    return "" if 0 < count <= MOST_TOOLS else f"{count} tools; 1 to {MOST_TOOLS} are allowed"


def _stable(evidence: Evidence) -> str:
    same = evidence.seen.tools == evidence.seen.tools_again
    return "" if same else "the tool list changed between two questions"


def _lint(evidence: Evidence) -> str:
    return next((f"{tool.get('name')}: {fault}" for tool in evidence.seen.tools for fault in _faults(tool)), "")


def _faults(tool: dict[str, Any]) -> Iterator[str]:
    from mcp_types import Tool
    from pydantic import ValidationError

    try:
        yield from lint_tool(Tool.model_validate(tool))
    except ValidationError as error:
        yield f"not a tool definition: {error.errors()[0]['msg']}"


def _no_hidden_text(evidence: Evidence) -> str:
    for tool in evidence.seen.tools:
        text = json.dumps(tool, ensure_ascii=False)
        if any(unicodedata.category(c) in ("Cf", "Co", "Cn", "Cs") for c in text):
            return f"{tool.get('name')}: invisible characters in its definition"
        if found := _ORDERS.search(text):
            return f"{tool.get('name')}: its definition speaks to the model: {found[0]!r}"
    return ""


def _requirements(evidence: Evidence) -> str:
    loose = [line for line in evidence.requirements if "==" not in line and ("<" not in line or ">" not in line)]
    return f"requirements without both bounds: {_some(loose)}" if loose else ""


def _script(evidence: Evidence) -> str:
    name = evidence.distribution
    found = re.search(rf"^\s*{re.escape(name)}\s*=", evidence.entry_points, re.MULTILINE)
    return "" if found else f"no console script is called {name}, so `uvx {name}` starts nothing"


def _refuses_unknown(evidence: Evidence) -> str:
    taken = [name for name, answer in evidence.seen.unknown_argument.items() if not answer.is_error]
    return f"unknown arguments are not refused by {_some(taken)}" if taken else ""


def _survives(evidence: Evidence) -> str:
    return "" if evidence.seen.survived_nonsense else "after nonsense on the wire it answers no more"


def _ends_on_signal(evidence: Evidence) -> str:
    return "" if evidence.seen.ended_on_signal else "it does not end with 0 within 5 s on SIGTERM"


def _contract(evidence: Evidence) -> str:
    if evidence.contract is None:
        return evidence.contract_trouble or "the contract was not run"
    broken = [f"{name}: {why}" for name, why in evidence.contract.items() if why and name not in _USABILITY]
    return broken[0] if broken else ""


def _both_eras(evidence: Evidence) -> str:
    return "" if evidence.seen.modern else "it does not answer server/discover (protocol 2026-07-28)"


def _explains(evidence: Evidence) -> str:
    properties = {tool["name"]: (tool.get("inputSchema") or {}).get("properties", {}) for tool in evidence.seen.tools}
    for name, answer in evidence.seen.unknown_argument.items():
        if UNKNOWN not in answer.text or not all(one in answer.text for one in properties.get(name, ())):
            return f"{name}: its refusal of an unknown argument does not name it and the right ones"
    return ""


def tool_cost(tool: dict[str, Any]) -> int:
    """What a definition costs in every request: name, description, input schema."""
    definition = [tool.get("name"), tool.get("description") or "", tool.get("inputSchema")]
    return count_tokens(json.dumps(definition, separators=(",", ":"), ensure_ascii=False))


def _token_budget(evidence: Evidence) -> str:
    cost = {str(tool.get("name")): tool_cost(tool) for tool in evidence.seen.tools}
    if sum(cost.values()) > MOST_TOKENS:
        return f"the tool list costs {sum(cost.values())} tokens; at most {MOST_TOKENS}"
    dear = [name for name, tokens in cost.items() if tokens > MOST_TOKENS_PER_TOOL]
    return f"more than {MOST_TOKENS_PER_TOOL} tokens: {_some(dear)}" if dear else ""


def _light(evidence: Evidence) -> str:
    seen = evidence.seen
    if seen.floor_cpu_s and seen.start_cpu_s > MOST_START_RATIO * seen.floor_cpu_s:
        return f"it starts in {seen.start_cpu_s / seen.floor_cpu_s:.1f} times the CPU of importing the SDK"
    return f"{seen.memory_mb:.0f} MB at rest; at most {MOST_MEMORY_MB}" if seen.memory_mb > MOST_MEMORY_MB else ""


def _skill_md(evidence: Evidence) -> str:
    text = evidence.wheel.text(evidence.wheel.named("SKILL.md"))
    try:
        head = front_matter(text)
    except ValueError as error:
        return f"SKILL.md: {error}"
    # a distribution may bring a skill of another name: factorylm-edge brings the history
    names = {evidence.distribution, f"factorylm-{evidence.manifest.name}" if evidence.manifest else ""}
    if head.get("name") not in names or not 1 <= len(str(head.get("description", ""))) <= 1024:
        return f"SKILL.md: its name is {evidence.distribution} and its description has 1 to 1024 characters"
    missing = [tool["name"] for tool in evidence.seen.tools if tool["name"] not in text]
    return f"SKILL.md does not mention {_some(missing)}" if missing else ""


def _carries_manifest(evidence: Evidence) -> str:
    return "" if evidence.wheel.named("skill.toml") else "skill.toml is not in the wheel"


def _usable(evidence: Evidence) -> str:
    broken = {name: why for name, why in (evidence.contract or {}).items() if why and name in _USABILITY}
    return next((f"{name}: {why}" for name, why in broken.items()), "")


def _readme(evidence: Evidence) -> str:
    text = str(evidence.wheel.metadata.get_payload())
    if evidence.distribution not in text or "```" not in text:
        return "the README shows no command"
    return "" if evidence.wheel.claimed_name else "the README has no line `mcp-name: NAMESPACE/NAME`"


def _sorted_in(evidence: Evidence) -> str:
    named = evidence.manifest.categories if evidence.manifest else []
    foreign = [one for one in named if one not in CATEGORIES]
    if foreign or not named:
        return f"{_some(foreign) or 'none'} in categories; choose of {', '.join(sorted(CATEGORIES))}"
    return ""


def _typed(evidence: Evidence) -> str:
    return "" if evidence.wheel.named("py.typed") else "py.typed is missing: its types are not for others"


def _no_exemptions(evidence: Evidence) -> str:
    count = len(evidence.manifest.exemptions) if evidence.manifest else 0
    return f"{count} rules are exempted" if count else ""


def _half_budget(evidence: Evidence) -> str:
    cost = sum(map(tool_cost, evidence.seen.tools))
    return (
        ""
        if cost <= MOST_TOKENS * 0.75
        else f"the tool list costs {cost} tokens; a reference keeps to {MOST_TOKENS * 3 // 4}"
    )


def _some(names: list[Any]) -> str:
    shown = ", ".join(map(str, names[:4]))
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


_CHECKS: dict[str, Callable[[Evidence], str]] = {
    "B01": _installs,
    "B02": _manifest,
    "B03": _starts,
    "B04": _clean_stdout,
    "B05": _ends,
    "B06": _reads_only,
    "B07": _few_tools,
    "B08": _stable,
    "B09": _lint,
    "B10": _no_hidden_text,
    "B11": _requirements,
    "B12": _script,
    "S01": _refuses_unknown,
    "S02": _survives,
    "S03": _ends_on_signal,
    "S04": _contract,
    "G01": _both_eras,
    "G02": _explains,
    "G03": _token_budget,
    "G04": _light,
    "G05": _skill_md,
    "G06": _carries_manifest,
    "G07": _usable,
    "G08": _readme,
    "G09": _sorted_in,
    "P01": _typed,
    "P02": _no_exemptions,
    "P03": _half_budget,
}


def _rules() -> list[Rule]:
    text = (files("factorylm_registry.quality") / "rules.toml").read_text(encoding="utf-8")
    return [
        Rule(**{**one, "tier": Tier[one["tier"].upper()]}, judge=_CHECKS[one["id"]])
        for one in tomllib.loads(text)["rules"]
    ]


RULES = _rules()
