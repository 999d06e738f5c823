"""Installing with a plan first: what is verified, what it brings, what it may do; then the person decides."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from factorylm_registry.licences import Licence, verify_licence
from factorylm_registry.listing import Status
from factorylm_registry.quality.environment import run_installer
from factorylm_registry.quality.judging import start_arguments, tools_digest
from factorylm_registry.quality.wire import SilentError, start
from factorylm_registry.refusals import NotListedError, RefusedError, UntrustedError
from factorylm_registry.signatures import Verifier, verifier_from
from factorylm_registry.sources import Source
from factorylm_registry.verification import Verified, verified_licences, verify_listing, verify_wheel
from factorylm_registry.wheels import Wheel

LEVELS = ("unsigned", "community", "verified", "reviewed")
_RECORD = "factorylm-skills.json"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What installing would do; nothing was done yet."""

    name: str
    version: str
    level: str
    tier: str
    wheel: Wheel
    requirements: tuple[str, ...]
    tools: str
    said: tuple[str, ...]
    warning: str
    listing: Verified
    licence: Licence | None = None

    def lines(self) -> list[str]:
        """The plan as a person reads it."""
        ours = self.listing.ours
        figures = ours.get("check", {}).get("figures", {})
        network = ", ".join(ours.get("schemes", [])) or "none of its own"
        writes = "offered only with --allow-writes, each approved by a person"
        return [
            f"{self.name} {self.version}: level {self.level}, tier {self.tier}",
            *(f"  verified: {sentence}" for sentence in self.said),
            f"  packages: {self.wheel.filename} and what it needs: {', '.join(self.requirements) or 'nothing'}",
            f"  network:  {network}",
            f"  writes:   {writes if ours.get('safety') == 'gated-writes' else 'none'}",
            f"  tokens:   {figures.get('tool_tokens', 0):.0f} in each request for {figures.get('tools', 0):.0f} tools",
            *([f"  licence:  {self.licence.line()}"] if self.licence else []),
            *(f"  warning:  {one}" for one in (self.warning, self.licence.warning if self.licence else "") if one),
        ]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A line in the record of what was installed here."""

    name: str
    version: str
    distribution: str
    sha256: str
    tools: str


def plan_install(
    source: Source,
    key: Verifier,
    name: str,
    version: str = "latest",
    level: str = "community",
    *,
    licence: str = "",
    at: datetime,
) -> Plan:
    """Fetch and verify; raises UntrustedError before anything is installed."""
    evidence = source.evidence(name, version)
    listing = verify_listing(evidence, key)
    if listing.name != name or version not in ("latest", listing.version):
        raise UntrustedError(f"asked for {name} {version}, offered {listing.name} {listing.version}")
    found = str(listing.ours.get("level", "unsigned"))
    if found not in LEVELS or LEVELS.index(found) < max(1, LEVELS.index(level)):
        hint = "Ask its publisher for a signed release" if found == "unsigned" else "Lower --level if you trust it"
        raise UntrustedError(f"{name} {listing.version} is {found}; at least {level} is asked for", hint=hint)
    if listing.status is Status.DELETED:
        raise UntrustedError(f"{name} {listing.version} was withdrawn: {listing.status_message}", hint="See `show`")
    wheel = source.wheel(listing.ours["wheel"]["sha256"], listing.ours["wheel"]["filename"])
    said = verify_wheel(listing, evidence, wheel, key)
    granted = _licence(listing, evidence, key, licence, at)
    requires = wheel.metadata.get_all("Requires-Dist", [])
    deprecated = listing.status is Status.DEPRECATED
    return Plan(
        name=name,
        version=listing.version,
        level=found,
        tier=str(listing.ours.get("check", {}).get("tier", "none")),
        wheel=wheel,
        requirements=tuple(line for line in requires if "extra ==" not in line),
        tools=listing.ours["tools"],
        said=(*listing.said, *said),
        warning=f"deprecated: {listing.status_message}" if deprecated else "",
        listing=listing,
        licence=granted,
    )


def _licence(listing: Verified, evidence: Any, key: Verifier, text: str, at: datetime) -> Licence | None:
    """What a listing that is not free asks for; a clock set back before the log's entries does not help."""
    match listing.ours.get("listing", "free"):
        case "subscription" if text:
            keys, revoked = verified_licences(evidence, key)
            return verify_licence(text, listing.name, keys, max(at, listing.logged_at), revoked)
        case "subscription":
            hint = f"Ask {verifier_from(listing.ours['publisher']).name} for one; then: install --licence FILE"
            raise RefusedError(f"{listing.name} needs a licence", hint=hint)
        case "custom":
            contact = listing.server.get("websiteUrl") or verifier_from(listing.ours["publisher"]).name
            raise RefusedError(f"{listing.name} is delivered on request", hint=f"Contact {contact}")
        case _:
            return None


@dataclass(frozen=True)
class Place:
    """A Python environment that skills are installed into, and the record of what is there."""

    python: Path

    def install(self, plan: Plan, sources: Sequence[Path] = (), *, offline: bool = False) -> Installed:
        """Install, start it once, and take it away again if its tools are not the pinned ones."""
        before = self.installed().get(plan.name)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / plan.wheel.filename
            file.write_bytes(plan.wheel.content)
            complaint = run_installer("install", self.python, [file], sources, offline=offline or bool(sources))
        if complaint:
            raise RefusedError(f"{plan.wheel.filename} could not be installed:\n{complaint}")
        distribution = str(plan.wheel.metadata["Name"])
        found = self._tools(distribution, plan)
        if found != plan.tools:
            run_installer("uninstall", self.python, [distribution])
            self._write({name: one for name, one in self.installed().items() if name != plan.name})
            again = f"; version {before.version} was replaced and is gone too" if before else ""
            raise UntrustedError(f"its tools are not those that were signed; it was removed again{again}")
        made = Installed(
            name=plan.name,
            version=plan.version,
            distribution=distribution,
            sha256=plan.wheel.sha256,
            tools=plan.tools,
        )
        self._write({**self.installed(), plan.name: made})
        return made

    def remove(self, name: str) -> Installed:
        """Uninstall a skill; what it needed stays, others may need it too."""
        known = self.installed()
        if name not in known:
            raise NotListedError(f"{name} was not installed here", hint=f"Here are: {', '.join(known) or 'none'}")
        complaint = run_installer("uninstall", self.python, [known[name].distribution])
        if complaint:
            raise RefusedError(f"{known[name].distribution} could not be removed:\n{complaint}")
        self._write({other: one for other, one in known.items() if other != name})
        return known[name]

    def installed(self) -> dict[str, Installed]:
        """What was installed from registries, by server name."""
        if not self._record.is_file():
            return {}
        return {one["name"]: Installed(**one) for one in json.loads(self._record.read_text(encoding="utf-8"))}

    @property
    def _record(self) -> Path:
        return self.python.parent.parent / _RECORD

    def _write(self, known: dict[str, Installed]) -> None:
        waiting = self._record.with_suffix(".partial")
        waiting.write_text(json.dumps([asdict(one) for one in known.values()], indent=1), encoding="utf-8")
        waiting.replace(self._record)

    def _tools(self, distribution: str, plan: Plan) -> str:
        script = self.python.with_name(distribution + self.python.suffix)
        with tempfile.TemporaryDirectory() as data:
            manifest = plan.listing.ours.get("kind")
            arguments = ["--data", data] if manifest == "domain" else start_arguments(None, Path(data))
            try:
                wire = start([str(script), *arguments], {"HOME": data, "PATH": str(script.parent)})
            except SilentError as error:
                return str(error)
            try:
                wire.initialize()
                return tools_digest(wire.tools())
            except SilentError as error:
                return str(error)
            finally:
                wire.stop()


def python_in(place: str) -> Path:
    """The interpreter of a virtual environment, or of this one."""
    import os
    import sys

    if not place:
        return Path(sys.executable)
    return Path(place) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def newer_than_installed(
    place: Place, source: Source, key: Verifier, licence_of: Callable[[str], str], at: datetime
) -> list[Plan]:
    """A plan for each installed skill that has another latest version."""
    plans = []
    for name, one in place.installed().items():
        plan = plan_install(source, key, name, licence=licence_of(name), at=at)
        if plan.version != one.version:
            plans.append(plan)
    return plans


def to_json(plan: Plan) -> dict[str, Any]:
    """For scripts."""
    return {
        "name": plan.name,
        "version": plan.version,
        "level": plan.level,
        "tier": plan.tier,
        "wheel": plan.wheel.filename,
        "sha256": plan.wheel.sha256,
        "requirements": list(plan.requirements),
        "verified": list(plan.said),
        "warning": plan.warning,
        "licence": plan.licence.line() if plan.licence else "",
    }
