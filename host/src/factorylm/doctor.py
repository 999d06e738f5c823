"""`factorylm doctor`: what is installed, what can be reached, what is wrong, and what to do about it."""

import argparse
import os
import platform
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from typing import Literal

import anyio
from factorylm_schema import Diagnosis, FactoryLMError, Plant, load_plant
from factorylm_skill import AuditLog, Devices, Diagnoses, Driver
from factorylm_skill.places import audit_file, home
from factorylm_skill.process import configure_logging

from factorylm.installed import InstalledSkills, installed_skills
from factorylm.printing import print_json, print_line
from factorylm.serve import add_plant_options


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at."""

    what: str
    outcome: Literal["ok", "wrong"]
    evidence: str
    next_step: str = ""


class SomethingWrongError(FactoryLMError):
    """At least one finding is wrong; all were printed."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    add_plant_options(parser)
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(options: argparse.Namespace) -> None:
    """Look at everything and print it; raises SomethingWrongError when anything is."""
    configure_logging("ERROR")
    findings = anyio.run(examined, options)
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print_line(f"{finding.outcome:5}  {finding.what}: {finding.evidence}")
            if finding.next_step:
                print_line(f"       next: {finding.next_step}")
    wrong = sum(finding.outcome == "wrong" for finding in findings)
    if wrong:
        raise SomethingWrongError(f"{wrong} of {len(findings)} checks found something wrong")


async def examined(options: argparse.Namespace) -> list[Finding]:
    """Every finding, from the installation to the devices."""
    found = installed_skills()
    findings = [_python(), *_packages(), *_skills(found), _home(), _audit()]
    if options.plant:
        try:
            plant = load_plant(options.plant, found.dialects)
        except FactoryLMError as error:
            return [*findings, Finding(what="plant file", outcome="wrong", evidence=str(error))]
        count = sum(len(device.tags) for device in plant.devices.values())
        said = f"{options.plant}: {len(plant.devices)} devices, {count} tags"
        findings.append(Finding(what="plant file", outcome="ok", evidence=said))
        findings += [finding async for finding in _devices(plant, found)]
    return findings


def _python() -> Finding:
    return Finding(what="python", outcome="ok", evidence=f"{platform.python_version()} at {sys.executable}")


def _packages() -> Iterator[Finding]:
    ours = {d.name: d.version for d in distributions() if d.name and d.name.startswith("factorylm")}
    one = len(set(ours.values())) <= 1
    listed = ", ".join(f"{name} {version}" for name, version in sorted(ours.items()))
    yield Finding(
        what="packages",
        outcome="ok" if one else "wrong",
        evidence=listed,
        next_step="" if one else "The packages move in lockstep: upgrade them together",
    )


def _skills(found: InstalledSkills) -> Iterator[Finding]:
    if not found.skills:
        yield Finding(
            what="skills", outcome="wrong", evidence="none installed", next_step="pip install factorylm-modbus"
        )
    for name, skill in found.skills.items():
        yield Finding(what=f"skill {name}", outcome="ok", evidence=f"{skill.title} {skill.version}")
    for name, reason in found.broken.items():
        yield Finding(what=f"skill {name}", outcome="wrong", evidence=reason, next_step=f"Reinstall factorylm-{name}")


def _home() -> Finding:
    place = home()
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if os.access(nearest, os.W_OK):
        return Finding(what="data folder", outcome="ok", evidence=str(place))
    step = f"Allow writing to {nearest}, or set FACTORYLM_HOME"
    return Finding(what="data folder", outcome="wrong", evidence=f"{place} cannot be written", next_step=step)


def _audit() -> Finding:
    found = AuditLog(audit_file()).verify()
    if found.intact:
        return Finding(what="audit trail", outcome="ok", evidence=f"{found.lines} lines, intact")
    said = f"line {found.line} {found.message}"
    return Finding(what="audit trail", outcome="wrong", evidence=said, next_step="factorylm audit verify")


async def _devices(plant: Plant, found: InstalledSkills) -> AsyncIterator[Finding]:
    served = {scheme for skill in found.protocols for scheme in skill.dialect.schemes}
    for device in plant.devices.values():
        if device.scheme not in served:
            step = "Install the skill that speaks it; factorylm skills lists what is installed"
            said = f"no installed skill speaks {device.scheme}://"
            yield Finding(what=f"device {device.name}", outcome="wrong", evidence=said, next_step=step)
    for skill in found.protocols:
        devices = Devices(plant.only(skill.dialect.schemes), skill.connect)
        for name in devices.plant.devices:
            yield _ladder(name, await devices.line(name).run(_diagnosed))
        await devices.close()


async def _diagnosed(driver: Driver) -> Diagnosis | None:
    return await driver.diagnose() if isinstance(driver, Diagnoses) else None


def _ladder(name: str, diagnosis: Diagnosis | None) -> Finding:
    rungs = diagnosis.rungs if diagnosis else []
    failed = next((rung for rung in rungs if rung.outcome == "failed"), None)
    if failed:
        said = f"{failed.name}: {failed.evidence}"
        return Finding(what=f"device {name}", outcome="wrong", evidence=said, next_step=failed.next_step)
    passed = ", ".join(rung.name for rung in rungs if rung.outcome == "passed")
    return Finding(what=f"device {name}", outcome="ok", evidence=f"passed {passed}")
