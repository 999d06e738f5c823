"""From a wheel or a folder to a judgement: collect evidence in a clean environment, then ask every rule."""

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from factorylm_schema import PlantFileError, SkillManifest, load_manifest
from factorylm_skill.testing import count_tokens

from factorylm_registry.listing import digest_of, instant
from factorylm_registry.quality.environment import CHECKS_NEED, CleanEnvironment, build_wheel
from factorylm_registry.quality.evidence import Evidence, Seen
from factorylm_registry.quality.rules import MOST_TOOLS, RULES, Rule, Tier, tool_cost
from factorylm_registry.quality.watching import watch
from factorylm_registry.refusals import BadQuestionError
from factorylm_registry.wheels import Wheel, wheel_in

_DEFINITION = ("name", "description", "inputSchema", "outputSchema", "annotations")
Progress = Callable[[str], None]


class Outcome(StrEnum):
    """Of one rule."""

    PASSED = "passed"
    FAILED = "failed"
    EXEMPT = "exempt"


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """One rule's outcome, and why."""

    rule: Rule
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A skill's tier, with the evidence."""

    name: str
    version: str
    sha256: str
    at: str
    rulings: list[Ruling]
    figures: dict[str, float]
    tool_costs: dict[str, int]
    tools: str

    @property
    def tier(self) -> Tier | None:
        """The highest tier whose rules, and those of all tiers below, hold."""
        reached = None
        for tier in Tier:
            if any(one.rule.tier is tier and one.outcome is Outcome.FAILED for one in self.rulings):
                return reached
            reached = tier
        return reached

    def wire(self) -> dict[str, Any]:
        """As it is published: date, versions, every rule."""
        rules = [
            {"id": one.rule.id, "tier": one.rule.tier.label, "outcome": one.outcome, "detail": one.detail}
            for one in self.rulings
        ]
        head = {"skill": self.name, "version": self.version, "sha256": self.sha256, "judged_at": self.at}
        tier = self.tier.label if self.tier else "none"
        return {
            **head,
            "judge": "factorylm-registry 0.1.0",
            "tier": tier,
            "tools": self.tools,
            "figures": self.figures,
            "tool_costs": self.tool_costs,
            "rules": rules,
        }


def summary_of(found: dict[str, Any]) -> dict[str, Any]:
    """What of a judgement fits into a listing."""
    failed = [one["id"] for one in found["rules"] if one["outcome"] == Outcome.FAILED]
    exempt = {one["id"]: one["detail"] for one in found["rules"] if one["outcome"] == Outcome.EXEMPT}
    kept = {key: found[key] for key in ("tier", "judge", "figures", "tool_costs")} | {"at": found["judged_at"]}
    return {**kept, "failed": failed, "exempt": exempt}


def judge(
    path: Path,
    at: datetime,
    *,
    sources: Sequence[Path] = (),
    offline: bool = False,
    progress: Progress = lambda _: None,
) -> Judgement:
    """Judge the wheel at `path`, or the one its folder builds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = path if path.is_dir() else None
        if not path.exists():
            raise BadQuestionError(f"there is no {path}", hint="Name a skill's folder or a wheel")
        if folder:
            progress("building the wheel")
            path = build_wheel(folder, Path(scratch) / "built")
        evidence = collect(wheel_in(path), folder, Path(scratch), sources, offline=offline, progress=progress)
    return judged(evidence, at)


def judge_all(
    paths: Sequence[Path],
    at: datetime,
    *,
    sources: Sequence[Path] = (),
    offline: bool = False,
    progress: Progress = lambda _: None,
) -> list[Judgement]:
    """Judge each of `paths`, as many at a time as the machine has processors; CPU times, not wall times, are judged."""

    def one(path: Path) -> Judgement:
        return judge(path, at, sources=sources, offline=offline, progress=lambda what: progress(f"{path}: {what}"))

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as workers:
        return list(workers.map(one, paths))


def judged(evidence: Evidence, at: datetime) -> Judgement:
    """Pure: the same evidence gives the same judgement."""
    excused = {one.rule: one.reason for one in evidence.manifest.exemptions} if evidence.manifest else {}
    return Judgement(
        name=evidence.distribution,
        version=evidence.version,
        sha256=evidence.wheel.sha256,
        at=instant(at),
        rulings=[_ruling(rule, evidence, excused) for rule in RULES],
        figures=_figures(evidence),
        tool_costs={str(tool.get("name")): tool_cost(tool) for tool in evidence.seen.tools[:MOST_TOOLS]},
        tools=tools_digest(evidence.seen.tools),
    )


def tools_digest(tools: Sequence[dict[str, Any]]) -> str:
    """Pins what an assistant is told of the tools: a changed definition is another digest."""
    return digest_of([{key: tool.get(key) for key in _DEFINITION} for tool in tools])


def start_arguments(manifest: SkillManifest | None, data: Path) -> list[str]:
    """How a skill is started without a plant."""
    if manifest is not None and manifest.kind == "domain":
        return ["--data", str(data)]
    return ["--simulate"]


def collect(
    wheel: Wheel,
    folder: Path | None,
    scratch: Path,
    sources: Sequence[Path],
    *,
    offline: bool,
    progress: Progress,
) -> Evidence:
    """Install the wheel alone, start it, watch it, run the kit's checks."""
    manifest, trouble = manifest_of(wheel, folder, scratch)
    file = scratch / wheel.filename
    file.write_bytes(wheel.content)
    progress("installing it alone")
    place = CleanEnvironment(scratch / "alone", tuple(sources), offline).make()
    complaint = place.install(file)
    name = str(wheel.metadata["Name"])
    if complaint:
        return Evidence(wheel=wheel, manifest=manifest, manifest_trouble=trouble, install_trouble=complaint)
    installed = place.distributions()
    progress("watching it on its simulator")
    data = scratch / "data"
    data.mkdir()
    seen = watch([str(place.script(name)), *start_arguments(manifest, data)], str(place.python))
    progress("running the contract against its simulator")
    contract, contract_trouble = _contract(place, name, installed, seen)
    return Evidence(
        wheel=wheel,
        manifest=manifest,
        manifest_trouble=trouble,
        installed=installed,
        seen=seen,
        contract=contract,
        contract_trouble=contract_trouble,
    )


def manifest_of(wheel: Wheel, folder: Path | None, scratch: Path) -> tuple[SkillManifest | None, str]:
    """The wheel's skill.toml; while a folder is judged, the one beside its pyproject.toml will do."""
    inside = wheel.named("skill.toml")
    path = scratch / "skill.toml"
    if inside:
        path.write_text(wheel.text(inside), encoding="utf-8")
    elif folder:
        path = folder / "skill.toml"
    if not path.is_file():
        return None, "there is no skill.toml in the wheel"
    try:
        return load_manifest(path), ""
    except PlantFileError as error:
        return None, str(error)


def _contract(
    place: CleanEnvironment, name: str, installed: Sequence[str], seen: Seen
) -> tuple[dict[str, str] | None, str]:
    if not any(line.startswith("factorylm-skill==") for line in installed):
        return None, "the skill does not stand on factorylm-skill, whose contract is run here"
    if not seen.answered:
        return None, "the skill does not start"
    complaint = place.install(*CHECKS_NEED)
    if complaint:
        return None, f"what the checks need could not be installed: {complaint}"
    found, trouble = place.contract(name)
    return (found, trouble) if found or trouble else (None, "it announces no skill in the group factorylm.skills")


def _ruling(rule: Rule, evidence: Evidence, excused: dict[str, str]) -> Ruling:
    detail = rule.judge(evidence)
    if not detail:
        return Ruling(rule=rule, outcome=Outcome.PASSED)
    if rule.id in excused and rule.exemptible:
        return Ruling(rule=rule, outcome=Outcome.EXEMPT, detail=f"{excused[rule.id]} ({detail})")
    return Ruling(rule=rule, outcome=Outcome.FAILED, detail=detail)


def _figures(evidence: Evidence) -> dict[str, float]:
    seen = evidence.seen
    cost = [tool_cost(tool) for tool in seen.tools]
    return {
        "tools": len(cost),
        "tool_tokens": sum(cost),
        "instruction_tokens": count_tokens(evidence.wheel.text(evidence.wheel.named("SKILL.md"))),
        "start_ratio": round(seen.start_cpu_s / seen.floor_cpu_s, 2) if seen.floor_cpu_s else 0.0,
        "memory_mb": round(seen.memory_mb, 1),
        "distributions": len(evidence.installed),
        "wheel_kb": round(len(evidence.wheel.content) / 1000, 1),
    }
