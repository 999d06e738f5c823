"""A partner's whole way, step by step, through the commands alone."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from factorylm_registry.publishers import key_record
from factorylm_registry.quality.environment import CleanEnvironment, build_wheel
from factorylm_registry.registry import Registry, now
from factorylm_registry.signatures import signer_in

ROOT = Path(__file__).parents[2]
NAME = "com.example/pumpcare"


@dataclass
class Partner:
    """Somebody with a domain, a folder, and a plant to install into; `kit` are wheels that no index has here."""

    folder: Path
    kit: Path
    registry: Registry
    address: str
    shows: dict[tuple[str, str], list[str]]
    said: Callable[..., tuple[int, str]]

    @property
    def skill(self) -> Path:
        return self.folder / "factorylm-pumpcare"

    @property
    def account(self) -> list[object]:
        return ["--to", self.address, "--domain", "example.com", "--key", self.folder / "publisher.key"]

    @property
    def key(self) -> list[object]:
        return ["--key", self.registry.signer.verifier]

    @property
    def service(self) -> list[object]:
        return ["--from", self.address, *self.key]

    @property
    def bundle(self) -> Path:
        return self.folder / "skills.zip"

    @property
    def offline(self) -> list[object]:
        return ["--from", self.bundle, *self.key]

    @property
    def data(self) -> list[object]:
        return ["--data", self.registry.wheels.folder.parent]

    @property
    def plant(self) -> CleanEnvironment:
        return CleanEnvironment(self.folder / "plant", (self.kit,))

    @property
    def into(self) -> list[object]:
        return ["--into", self.plant.folder, "--yes", "--find-links", self.kit]

    def does(self, *arguments: object) -> str:
        """A command that works."""
        code, text = self.said(*arguments)
        assert code == 0, text
        return text

    def is_refused(self, *arguments: object, because: str) -> None:
        code, text = self.said(*arguments)
        assert (code, because in text) == (1, True), text

    def served_in_the_plant(self) -> str:
        program = "from factorylm_pumpcare import SKILL; from factorylm_skill import Settings; "
        program += "print(SKILL.version, *[tool.name for tool in SKILL.open(Settings()).tools])"
        done = subprocess.run([self.plant.python, "-c", program], capture_output=True, text=True, check=True)
        return done.stdout.strip()


@pytest.fixture
def partner(registry, domains, serve, said, tmp_path: Path) -> Iterator[Partner]:
    registry = replace(registry, clock=now)
    kit = tmp_path / "kit"
    for name in ("schema", "skill"):
        build_wheel(ROOT / "libs" / name, kit)
    with serve(registry) as address:
        yield Partner(tmp_path, kit, registry, address, domains.shown, said)


def test_a_partners_way_from_an_empty_folder_to_an_upgrade(partner: Partner) -> None:
    scaffolds(partner)
    wheel, check = checks(partner, "first")
    documents(partner)
    proves_the_namespace_and_publishes(partner, wheel, check)
    is_found_and_installed(partner)
    publishes_the_next_version(partner)
    upgrades_from_an_offline_bundle(partner)
    yanks_and_goes_back(partner)


def scaffolds(partner: Partner) -> None:
    text = partner.does("new", "pumpcare", "--namespace", "com.example", "--into", partner.folder)
    assert text.endswith(f"next: factorylm-registry check {partner.skill}\n")


def checks(partner: Partner, version: str) -> tuple[Path, Path]:
    """The folder's wheel, and the judgement on it in a file."""
    wheel = build_wheel(partner.skill, partner.folder / version)
    text = partner.does("check", wheel, "--find-links", partner.kit, "--at-least", "silver", "--json")
    check = partner.folder / version / "check.json"
    check.write_text(text)
    # G04 compares CPU times, and a busy machine may spoil that; everything else must hold
    broken = [rule for rule in json.loads(text)["rules"] if rule["outcome"] != "passed"]
    assert [rule for rule in broken if rule["id"] != "G04"] == []
    return wheel, check


def documents(partner: Partner) -> None:
    partner.does("document", partner.skill, "--write", partner.folder / "out")
    assert json.loads((partner.folder / "out/server.json").read_text())["name"] == NAME


def proves_the_namespace_and_publishes(partner: Partner, wheel: Path, check: Path) -> None:
    key = partner.folder / "publisher.key"
    record = partner.does("key", "--domain", "example.com", "--key", key).splitlines()[0]
    assert record == key_record(signer_in(key, "example.com").verifier.key)
    publish = ["publish", wheel, *partner.account, "--check", check]
    partner.is_refused(*publish, because="example.com shows nothing")
    partner.shows["example.com", "http"] = [record]
    tier = json.loads(check.read_text())["tier"]
    assert partner.does(*publish) == f"{NAME} 0.1.0 is listed: tier {tier}\n"
    partner.is_refused(*publish, because="is listed already")


def is_found_and_installed(partner: Partner) -> None:
    text = partner.does("search", "pump", *partner.service)
    tier = re.match(r"com\.example/pumpcare 0\.1\.0  (silver|platinum)  community  Tells how long", text)
    assert tier, text
    partner.plant.make()
    assert partner.plant.install("factorylm-skill") == "", "the host is there already; the bundle has no third parties"
    text = partner.does("install", NAME, *partner.service, *partner.into)
    for sentence in (
        f"level community, tier {tier[1]}",
        "signed the log's head: 2 entries",
        "this is the first head of factorylm.registry's log seen here",
        "example.com, whose key the registry saw, signed this wheel",
        "factorylm.registry countersigned it",
        "writes:   none",
        "tokens:   ",
    ):
        assert sentence in text
    assert partner.served_in_the_plant() == "0.1.0 pumpcare_forecast"


def publishes_the_next_version(partner: Partner) -> None:
    old_check = partner.folder / "first" / "check.json"
    for name, form in (("pyproject.toml", 'version = "{}"'), ("src/factorylm_pumpcare/server.py", 'version="{}"')):
        file = partner.skill / name
        file.write_text(file.read_text().replace(form.format("0.1.0"), form.format("0.2.0")))
    unchecked = build_wheel(partner.skill, partner.folder / "other")
    partner.is_refused("publish", unchecked, *partner.account, "--check", old_check, because="about another wheel")
    wheel, check = checks(partner, "second")
    partner.does("publish", wheel, *partner.account, "--check", check)


def upgrades_from_an_offline_bundle(partner: Partner) -> None:
    text = partner.does("export", NAME, "--out", partner.bundle, "--dependencies", partner.kit, *partner.data)
    assert text == f"{partner.bundle} holds 2 versions, signed\n"
    text = partner.does("upgrade", *partner.offline, *partner.into)
    assert "the log continues the one seen on" in text
    assert partner.served_in_the_plant() == "0.2.0 pumpcare_forecast"
    assert partner.does("upgrade", *partner.offline, *partner.into) == "everything is up to date\n"


def yanks_and_goes_back(partner: Partner) -> None:
    partner.does("yank", NAME, "0.2.0", "--reason", "wrong unit", *partner.account)
    install = ["install", NAME, "0.2.0"]
    partner.is_refused(*install, *partner.service, *partner.into, because="was withdrawn: wrong unit")
    assert partner.does("remove", NAME, "--into", partner.plant.folder) == f"{NAME} 0.2.0 was removed\n"
    partner.does("install", NAME, *partner.service, *partner.into)
    assert partner.served_in_the_plant() == "0.1.0 pumpcare_forecast"
    # whoever saw the yank does not take the bundle from before it for the present
    partner.is_refused(*install, *partner.offline, *partner.into, because="it was cut")
    assert partner.does("log", *partner.data) == "4 entries, every one as it was logged\n"
    text = partner.does("audit", "com.example", "--from", partner.address)
    assert [line.split()[3] for line in text.splitlines()] == ["key-added", "listed", "listed", "deleted"]
