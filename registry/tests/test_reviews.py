"""Level reviewed: a named person signed what they found, about exactly this wheel."""

import copy
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factorylm_registry.listing import OUR_META
from factorylm_registry.quality import Outcome, judged
from factorylm_registry.quality.evidence import Evidence, Seen
from factorylm_registry.refusals import BadQuestionError, UntrustedError
from factorylm_registry.reviewing import review_of
from factorylm_registry.signatures import Signer
from factorylm_registry.sources import HttpSource
from factorylm_registry.verification import verify_listing, verify_wheel

NAME = "com.example/pumpcare"


@pytest.fixture
def reviewer():
    return Signer("jane@example.org", Ed25519PrivateKey.generate())


@pytest.fixture
def verified(shop):
    """The skill after the registry judged it itself."""
    registry = shop.registry
    registry.store.annotate(NAME, "0.1.0", {"level": "verified"}, registry.clock(), "tests")
    return shop


def evidence_of(shop):
    evidence = HttpSource(shop.address).evidence(NAME, "latest")
    return evidence, verify_listing(evidence, shop.registry.signer.verifier)


def test_a_review_raises_the_level_and_the_reader_sees_who_said_what(verified, reviewer):
    _, listing = evidence_of(verified)
    review = review_of(listing, "Read it, ran it against two controllers", reviewer)
    accepted = verified.registry.accept_review(NAME, "0.1.0", review, reviewer.verifier)
    assert accepted.ours["level"] == "reviewed"
    plan = verified.plan(licence=verified.licence(), level="reviewed")
    assert "jane@example.org reviewed it: Read it, ran it against two controllers" in plan.said


def test_what_was_not_judged_here_is_not_reviewed(shop, reviewer):
    _, listing = evidence_of(shop)
    review = review_of(listing, "fine", reviewer)
    with pytest.raises(BadQuestionError, match=r"not judged by this registry yet.*judge com\.example/pumpcare 0\.1\.0"):
        shop.registry.accept_review(NAME, "0.1.0", review, reviewer.verifier)
    with pytest.raises(UntrustedError, match="at least reviewed is asked for"):
        shop.plan(licence=shop.licence(), level="reviewed")


@pytest.mark.parametrize("says", ["", " ", "two\nlines", "x" * 501])
def test_a_review_says_something_in_one_line(verified, reviewer, says):
    with pytest.raises(BadQuestionError, match="One line"):
        review_of(evidence_of(verified)[1], says, reviewer)


def test_a_review_by_another_key_or_of_another_wheel_is_refused(verified, reviewer):
    _, listing = evidence_of(verified)
    review = review_of(listing, "fine", reviewer)
    other = Signer("jane@example.org", Ed25519PrivateKey.generate())
    with pytest.raises(UntrustedError, match=r"not signed by jane@example\.org"):
        verified.registry.accept_review(NAME, "0.1.0", review, other.verifier)
    listing.ours["wheel"]["sha256"] = "0" * 64
    with pytest.raises(UntrustedError, match="about another release"):
        verified.registry.accept_review(NAME, "0.1.0", review_of(listing, "fine", reviewer), reviewer.verifier)


def test_the_level_alone_is_not_believed(verified, reviewer, skill_wheel):
    """Even where the registry signs it: a review without its reviewer's signature is none."""
    registry = verified.registry
    registry.store.annotate(NAME, "0.1.0", {"level": "reviewed"}, registry.clock(), "tests")
    evidence, listing = evidence_of(verified)
    with pytest.raises(UntrustedError, match="no reviewer signed"):
        verify_wheel(listing, evidence, skill_wheel, registry.signer.verifier)
    tampered = copy.deepcopy(evidence)
    tampered["listing"]["_meta"][OUR_META]["review"] = {"reviewer": str(reviewer.verifier), "statement": {}}
    with pytest.raises(UntrustedError, match="not what it logged"):
        verify_listing(tampered, registry.signer.verifier)


def test_the_commands_take_a_review_from_the_reviewer_to_the_registry(verified, said, tmp_path):
    registry, key = verified.registry, tmp_path / "reviewer.key"
    trusted = ["--from", verified.address, "--key", registry.signer.verifier]
    signed = ["--as", "jane@example.org", "--reviewer-key", key, "--says", "Read it"]
    code, text = said("review", NAME, "0.1.0", *trusted, *signed)
    assert code == 0, text
    file = tmp_path / "review.json"
    file.write_text(text)
    data = ["--data", registry.wheels.folder.parent]
    code, text = said("accept", file, "--reviewer", json.loads(text)["reviewer"], *data)
    assert (code, text) == (0, "com.example/pumpcare 0.1.0: level reviewed, by jane@example.org\n")
    file.write_text("{}")
    code, text = said("accept", file, "--reviewer", registry.signer.verifier, *data)
    assert (code, "`review` prints one" in text) == (1, True), text


@pytest.fixture
def judged_as(shop, skill_wheel, monkeypatch):
    """The registry's own check, with its outcome given: the check itself has its own tests."""

    def outcome(tools, **seen):
        found = judged(Evidence(wheel=skill_wheel, seen=Seen(**seen)), shop.registry.clock())
        tier_passed = [replace(one, outcome=Outcome.PASSED) for one in found.rulings]
        made = replace(found, tools=tools, rulings=tier_passed if seen else found.rulings)
        monkeypatch.setattr("factorylm_registry.operating.judge", lambda *_, **__: made)

    return outcome


def test_a_registry_that_judges_again_makes_the_level_verified(shop, judged_as, said):
    judged_as("sha256:1", answered=True)
    data = ["--data", shop.registry.wheels.folder.parent]
    code, text = said("judge", NAME, "0.1.0", *data)
    assert (code, text) == (0, "com.example/pumpcare 0.1.0: tier platinum, level verified\n")
    ours = shop.registry.store.version(NAME, "0.1.0").ours
    assert (ours["level"], ours["check"]["tier"], ours["check"]["by"]) == ("verified", "platinum", "factorylm.registry")


def test_a_skill_that_fails_the_registrys_check_keeps_its_level_and_shows_the_result(shop, judged_as, said):
    judged_as("sha256:1")
    assert said("judge", NAME, "0.1.0", "--data", shop.registry.wheels.folder.parent)[0] == 0
    ours = shop.registry.store.version(NAME, "0.1.0").ours
    assert (ours["level"], ours["check"]["tier"], "B03" in ours["check"]["failed"]) == ("community", "none", True)


def test_other_tools_than_the_signed_ones_are_a_rug_pull(shop, judged_as, said):
    judged_as("sha256:2", answered=True)
    code, text = said("judge", NAME, "0.1.0", "--data", shop.registry.wheels.folder.parent)
    assert (code, "its tools are not those that its publisher signed" in text) == (1, True)
    assert shop.registry.store.version(NAME, "0.1.0").ours["level"] == "community"
