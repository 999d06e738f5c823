"""The rules. A rule answers "" where it holds, else what is wrong; it judges evidence and touches nothing."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from factorylm_skill.front_matter import front_matter
from factorylm_skill.testing import count_tokens, lint_tool

from factorylm_registry.quality.evidence import Evidence
from factorylm_registry.quality.watching import UNKNOWN

MOST_TOOLS, MOST_TOKENS, MOST_TOKENS_PER_TOOL = 8, 1_200, 300
MOST_START_RATIO, MOST_MEMORY_MB = 1.6, 160
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
    exemptible: bool = False


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
    if head.get("name") != evidence.distribution or not 1 <= len(str(head.get("description", ""))) <= 1024:
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


def _typed(evidence: Evidence) -> str:
    return "" if evidence.wheel.named("py.typed") else "py.typed is missing: its types are not for others"


def _no_exemptions(evidence: Evidence) -> str:
    count = len(evidence.manifest.exemptions) if evidence.manifest else 0
    return f"{count} rules are exempted" if count else ""


def _half_budget(evidence: Evidence) -> str:
    cost = sum(map(tool_cost, evidence.seen.tools))
    return "" if cost <= MOST_TOKENS * 0.75 else f"the tool list costs {cost} tokens; a reference keeps to {MOST_TOKENS * 3 // 4}"


def _some(names: list[Any]) -> str:
    shown = ", ".join(map(str, names[:4]))
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


_B, _S, _G, _P = Tier.BRONZE, Tier.SILVER, Tier.GOLD, Tier.PLATINUM
_NONE = "None."
# id, tier, title, reason, example of a breach, exception, judge
_TABLE: list[tuple[str, Tier, str, str, str, str, Callable[[Evidence], str]]] = [
    ("B01", _B, "The wheel installs alone", "A plant installs one skill, not a workspace.", "It imports a sibling that it does not declare.", _NONE, _installs),
    ("B02", _B, "skill.toml says what the skill is", "Listings, bundles and cards are made from it.", "`kind = \"plc\"`, which is no kind.", _NONE, _manifest),
    ("B03", _B, "It starts and answers", "Hosts drop silent servers without a word.", "It waits for a device before it answers initialize.", _NONE, _starts),
    ("B04", _B, "stdout belongs to the protocol", "One stray line breaks the conversation.", "print() in a module that is imported.", _NONE, _clean_stdout),
    ("B05", _B, "It ends when its client goes", "Orphans pile up: users counted a thousand.", "A thread that is no daemon.", _NONE, _ends),
    ("B06", _B, "Nothing writes by default", "A write needs the operator's decision.", "A write tool without --allow-writes.", _NONE, _reads_only),
    ("B07", _B, "One to eight tools", "Every tool costs every user on every request.", "500 tools made from an API description.", _NONE, _few_tools),
    ("B08", _B, "The tool list never changes by itself", "A definition that changes after approval is the rug pull.", "A description that counts calls.", _NONE, _stable),
    ("B09", _B, "Definitions pass the lint", "One bad schema makes model APIs refuse every tool.", "anyOf at the root of a schema.", _NONE, _lint),
    ("B10", _B, "No hidden text, no orders to the model", "Tool poisoning hides orders in descriptions.", "`<IMPORTANT>` and a zero-width space.", _NONE, _no_hidden_text),
    ("B11", _B, "Both bounds on every requirement", "A new major version broke unpinned skills overnight.", "`mcp>=1`", "Exempt with a reason.", _requirements),
    ("B12", _B, "The console script has the distribution's name", "Hosts run `uvx NAME`.", "`pump = …` in factorylm-pump.", _NONE, _script),
    ("S01", _S, "Unknown arguments are refused", "A model's slip must not become another question.", "An argument that is ignored.", _NONE, _refuses_unknown),
    ("S02", _S, "Nonsense on the wire does not stop it", "Hosts and networks send odd things.", "A half line ends the process.", _NONE, _survives),
    ("S03", _S, "SIGTERM is a clean end", "Service managers stop what they started.", "Exit code -15, clean-up not run.", _NONE, _ends_on_signal),
    ("S04", _S, "The contract holds on its own simulator", "Faults of the line: silence, garbage, late and foreign answers must never become values.", "A late reply answers the next question.", "Domain skills have no line; their part of the contract is shorter.", _contract),
    ("G01", _G, "Both protocol eras", "Hosts in the field open with either.", "Only initialize is known.", "Exempt with a reason.", _both_eras),
    ("G02", _G, "A refusal names what is right", "The model corrects itself from the error's text.", "`invalid input`", _NONE, _explains),
    ("G03", _G, "At most 1,200 tokens for the tool list, 300 for a tool", "Definitions are paid on every request.", "A page of prose in a description.", "Exempt with a reason.", _token_budget),
    ("G04", _G, "It starts and rests lightly", "Gateways are small; hosts wait seconds.", "numpy imported at start.", "Exempt with a reason.", _light),
    ("G05", _G, "SKILL.md describes every tool", "An assistant learns from it when to use what.", "A tool that SKILL.md does not mention.", _NONE, _skill_md),
    ("G06", _G, "The wheel carries skill.toml", "What is listed must be in what is installed.", "skill.toml beside src, not in the wheel.", _NONE, _carries_manifest),
    ("G07", _G, "Answers are small", "Fifty readings must not fill the conversation.", "An object for each reading.", "Exempt with a reason.", _usable),
    ("G08", _G, "The README shows a command and the server's name", "The name proves that wheel and listing belong together.", "No `mcp-name:` line.", _NONE, _readme),
    ("P01", _P, "It is typed for others", "A reference is read and extended.", "No py.typed.", _NONE, _typed),
    ("P02", _P, "Nothing is exempted", "A reference needs no excuse.", "An exemption in skill.toml.", _NONE, _no_exemptions),
    ("P03", _P, "At most 900 tokens for the tool list", "Others copy what a reference does.", "1,100 tokens.", _NONE, _half_budget),
]  # fmt: skip

RULES: list[Rule] = [
    Rule(
        id=id_,
        tier=tier,
        title=title,
        reason=reason,
        example=example,
        exception=exception,
        judge=judge,
        exemptible=exception.startswith("Exempt"),
    )
    for id_, tier, title, reason, example, exception, judge in _TABLE
]
