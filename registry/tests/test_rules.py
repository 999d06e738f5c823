"""Each rule catches the skill that breaks it, and a whole skill breaks none."""

import base64
import csv
import hashlib
import io
import sys
import textwrap
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from factorylm_registry.quality import RULES, Outcome, Tier, judged
from factorylm_registry.quality.evidence import Answered, Evidence, Seen
from factorylm_registry.quality.watching import watch
from factorylm_registry.wheels import read_wheel
from factorylm_schema import SkillManifest

TOOL = {
    "name": "pump_read",
    "description": "Returns the speed.",
    "inputSchema": {
        "type": "object",
        "properties": {"tag": {"type": "string", "maxLength": 9, "description": "Which"}},
        "additionalProperties": False,
    },
    "annotations": {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False},
}
HEAD = "---\nname: factorylm-pump\ndescription: Reads a pump.\n---\n\n`pump_read` reads.\n"
METADATA = """Metadata-Version: 2.4
Name: factorylm-pump
Version: 1.0.0
Requires-Dist: mcp>=2.3,<3

# factorylm-pump

```sh
uvx factorylm-pump
```

mcp-name: com.example/pump
"""


def wheel(**changed):
    """A small sound wheel; a file is left out where it is None."""
    files = {
        "METADATA": METADATA,
        "entry_points.txt": "[console_scripts]\nfactorylm-pump = pump:main\n",
        "skill.toml": "",
        "SKILL.md": HEAD,
        "py.typed": "",
    } | changed
    inside = {"METADATA", "entry_points.txt"}
    placed = {
        f"{'factorylm_pump-1.0.0.dist-info' if name in inside else 'pump'}/{name}": text
        for name, text in files.items()
        if text is not None
    }
    record = io.StringIO()
    for name, text in placed.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        csv.writer(record).writerow([name, f"sha256={digest}", len(text)])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in [*placed.items(), ("factorylm_pump-1.0.0.dist-info/RECORD", record.getvalue())]:
            archive.writestr(name, text)
    return read_wheel("factorylm_pump-1.0.0-py3-none-any.whl", buffer.getvalue())


MANIFEST = SkillManifest(
    name="pump",
    title="Pump",
    description="Reads a pump.",
    kind="domain",
    owner="Example",
    safety="read-only",
    categories=["pump"],
)
SEEN = Seen(
    answered=True,
    tools=[TOOL],
    tools_again=[TOOL],
    modern=True,
    unknown_argument={"pump_read": Answered(is_error=True, text="no argument surely_unknown; it has: tag")},
    survived_nonsense=True,
    ended_on_eof=True,
    ended_on_signal=True,
    start_cpu_s=0.6,
    floor_cpu_s=0.5,
    memory_mb=70,
)
GOOD = Evidence(wheel=wheel(), manifest=MANIFEST, seen=SEEN, contract={"numbers_are_not_made_of_texts": ""})


def seen(**changed):
    return replace(GOOD, seen=replace(SEEN, **changed))


def tool(**changed):
    made = [{**TOOL, **changed}]
    return seen(tools=made, tools_again=made)


LONG = {**TOOL["inputSchema"], "properties": {f"p{n}": {"type": "boolean", "description": "x " * 9} for n in range(70)}}


def excusing(rule, reason):
    return SkillManifest.model_validate({**MANIFEST.model_dump(), "exemptions": [{"rule": rule, "reason": reason}]})


MIDDLE = [{**TOOL, "name": f"pump_read{n}", "description": "Returns the speed. " * 50} for n in range(4)]
BREACHES = {
    "B01": replace(GOOD, install_trouble="no such distribution"),
    "B02": replace(GOOD, manifest=None, manifest_trouble="skill.toml:4: kind"),
    "B03": seen(answered=False, trouble="no answer to initialize in 20 s"),
    "B04": seen(stray_output="Hello"),
    "B05": seen(ended_on_eof=False),
    "B06": tool(annotations={**TOOL["annotations"], "readOnlyHint": False}),
    "B07": seen(tools=[TOOL] * 9, tools_again=[TOOL] * 9),
    "B08": seen(tools_again=[{**TOOL, "description": "Returns the speed, 2nd time."}]),
    "B09": tool(inputSchema={"anyOf": [{"type": "object"}]}),
    "B10": tool(title="Speed\u200b"),
    "B11": replace(GOOD, wheel=wheel(METADATA=METADATA.replace("mcp>=2.3,<3", "mcp>=2.3"))),
    "B12": replace(GOOD, wheel=wheel(**{"entry_points.txt": "[console_scripts]\npump = pump:main\n"})),
    "S01": seen(unknown_argument={"pump_read": Answered(is_error=False, text="surely_unknown tag")}),
    "S02": seen(survived_nonsense=False),
    "S03": seen(ended_on_signal=False),
    "S04": replace(GOOD, contract={"a_lie_is_never_a_value": "AssertionError: SHORT"}),
    "G01": seen(modern=False),
    "G02": seen(unknown_argument={"pump_read": Answered(is_error=True, text="invalid input")}),
    "G03": tool(inputSchema=LONG),
    "G04": seen(start_cpu_s=2.0),
    "G05": replace(GOOD, wheel=wheel(**{"SKILL.md": HEAD.replace("`pump_read` reads", "It reads")})),
    "G06": replace(GOOD, wheel=wheel(**{"skill.toml": None})),
    "G07": replace(GOOD, contract={"a_reading_costs_few_tokens": "AssertionError: 40 tokens"}),
    "G08": replace(GOOD, wheel=wheel(METADATA=METADATA.replace("mcp-name", "name"))),
    "G09": replace(GOOD, manifest=MANIFEST.model_copy(update={"categories": ["pump", "misc"]})),
    "P01": replace(GOOD, wheel=wheel(**{"py.typed": None})),
    "P02": replace(GOOD, manifest=excusing("G03", "a long reason")),
    "P03": seen(tools=MIDDLE, tools_again=MIDDLE),
}
AT = datetime(2026, 3, 1, tzinfo=UTC)


def failed(evidence):
    return {one.rule.id for one in judged(evidence, AT).rulings if one.outcome is Outcome.FAILED}


def test_a_good_skill_breaks_no_rule_and_is_platinum():
    found = judged(GOOD, AT)
    assert [(one.rule.id, one.detail) for one in found.rulings if one.outcome is not Outcome.PASSED] == []
    assert (found.tier, found.wire()["tier"], found.wire()["judged_at"][:10]) == (
        Tier.PLATINUM,
        "platinum",
        "2026-03-01",
    )


def test_every_rule_has_a_breach_a_page_and_an_order():
    assert [rule.id for rule in RULES] == list(BREACHES)
    assert all(rule.title and rule.reason and rule.example and rule.exception for rule in RULES)
    assert sorted(RULES, key=lambda rule: rule.tier) == RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_skill_that_breaks_a_rule_is_caught_by_it_and_loses_the_tier(rule):
    evidence = BREACHES[rule.id]
    assert rule.id in failed(evidence)
    tier = judged(evidence, AT).tier
    assert tier is None or tier < rule.tier


def test_an_exemption_is_shown_with_its_reason_and_only_where_the_rule_allows_it():
    dear = replace(tool(inputSchema=LONG), manifest=excusing("G03", "a long reason"))
    ruling = next(one for one in judged(dear, AT).rulings if one.rule.id == "G03")
    assert (ruling.outcome, ruling.detail.startswith("a long reason (")) == (Outcome.EXEMPT, True)
    writes = replace(BREACHES["B06"], manifest=excusing("B06", "we trust ourselves"))
    assert "B06" in failed(writes)


SERVER = """
import json, sys, signal
MODERN = {modern}
{before}
calls = 0
while line := sys.stdin.readline():
    try:
        asked = json.loads(line)
        method, number = asked["method"], asked.get("id")
    except Exception:
        {nonsense}
    if number is None:
        continue
    calls += 1
    tool = {{"name": "t", "description": f"d{changes}", "inputSchema": {{"type": "object", "properties": {{}}}}}}
    result = {{"initialize": {{"protocolVersion": "2025-11-25", "capabilities": {{}}, "serverInfo": {{}}}},
              "tools/list": {{"tools": [tool] * {count}}},
              "server/discover": {{"ok": 1}} if MODERN else None,
              "tools/call": {{"content": [], "isError": {refuses}}}}}.get(method)
    answer = {{"result": result}} if result else {{"error": {{"code": -32601, "message": "no"}}}}
    print(json.dumps({{"jsonrpc": "2.0", "id": number, **answer}}), flush=True)
{after}
"""


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ({}, {}),
        ({"modern": "True"}, {"modern": True}),
        ({"before": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"}, {"ended_on_signal": True}),
        ({"before": "print('Hello')"}, {"stray_output": "Hello\n"}),
        ({"before": "sys.exit('no device')"}, {"answered": False}),
        ({"nonsense": "sys.exit(3)"}, {"survived_nonsense": False, "ended_on_eof": False}),
        ({"changes": "{calls}"}, {"changed": True}),
        ({"count": "3"}, {"count": 3}),  # its answer to nonsense is not taken for the seventh answer
        ({"count": "500"}, {"count": 500}),
        ({"refuses": "False"}, {"refused": False}),
        ({"after": "import time; time.sleep(9)"}, {"ended_on_eof": False}),
    ],
)
def test_a_bad_server_is_seen_for_what_it_is(bad, found):
    parts = {"before": "", "after": "", "nonsense": "continue", "changes": "", "count": "1", "refuses": "True"}
    parts |= {"modern": "False"} | bad
    program = textwrap.dedent(SERVER).format(**parts)
    result = watch([sys.executable, "-S", "-c", program], sys.executable)
    expected = {
        "answered": True,
        "stray_output": "",
        "survived_nonsense": True,
        "changed": False,
        "count": 1,
        "refused": True,
        "ended_on_eof": True,
        "ended_on_signal": False,
        "modern": False,
    } | found
    if not expected["answered"]:
        assert (result.answered, result.trouble) == (False, "the server ended: no device")
        return
    assert {
        "answered": result.answered,
        "stray_output": result.stray_output,
        "survived_nonsense": result.survived_nonsense,
        "changed": result.tools != result.tools_again,
        "count": len(result.tools),
        "refused": all(one.is_error for one in result.unknown_argument.values()),
        "ended_on_eof": result.ended_on_eof,
        "ended_on_signal": result.ended_on_signal,
        "modern": result.modern,
    } == expected


def test_a_program_that_is_not_there_is_said():
    assert "cannot be started" in watch(["/no/such/program"], sys.executable).trouble
