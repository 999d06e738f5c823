"""Subscriptions: a licence holds offline, for one skill, a while longer than it says; use is counted with consent."""

import json
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factorylm_registry.licences import KIND, Terms, issue_licence, licence_id, verify_licence
from factorylm_registry.licensing import keep_licence
from factorylm_registry.refusals import RefusedError, UntrustedError
from factorylm_registry.registry import now
from factorylm_registry.signatures import Signer
from factorylm_registry.sources import open_source
from factorylm_registry.static_index import write_index
from factorylm_registry.usage import Meter

NAME = "com.example/pumpcare"


@pytest.fixture
def terms(clock):
    return Terms(
        skill=NAME,
        holder="Plant 7",
        begin=clock(),
        until=clock() + timedelta(days=30),
        grace=timedelta(days=14),
        entitlements={"tags": 500, "export": True},
    )


def test_a_licence_holds_until_its_end_then_on_its_grace_then_no_more(terms, signer):
    text = issue_licence(terms, signer)
    keys = [signer.verifier]
    held = verify_licence(text, NAME, keys, terms.until - timedelta(seconds=1))
    assert (held.terms, held.publisher, held.warning, held.id) == (terms, "example.com", "", licence_id(text))
    late = verify_licence(text, NAME, keys, terms.until)
    assert late.warning == "the licence ended on 2026-03-31; it works until 2026-04-14"
    with pytest.raises(UntrustedError, match=r"ended on 2026-03-31, its grace too.*Ask example\.com to renew"):
        verify_licence(text, NAME, keys, terms.until + terms.grace)
    with pytest.raises(UntrustedError, match="begins on 2026-03-01"):
        verify_licence(text, NAME, keys, terms.begin - timedelta(minutes=6))
    assert verify_licence(text, NAME, keys, terms.begin - timedelta(minutes=4)).warning == "", "clocks differ"


def test_a_licence_for_another_skill_by_another_key_or_revoked_is_refused(terms, signer):
    text, keys, at = issue_licence(terms, signer), [signer.verifier], terms.begin
    with pytest.raises(UntrustedError, match="another skill"):
        verify_licence(text, "com.example/other", keys, at)
    with pytest.raises(UntrustedError, match="not signed by a key of nobody"):
        verify_licence(text, NAME, [], at)
    impostor = Signer("example.com", Ed25519PrivateKey.generate())
    with pytest.raises(UntrustedError, match=r"not signed by a key of example\.com"):
        verify_licence(issue_licence(terms, impostor), NAME, keys, at)
    with pytest.raises(UntrustedError, match="was revoked"):
        verify_licence(text, NAME, keys, at, frozenset({licence_id(text)}))
    # the publisher replaced its key: what the old one signed holds while the old one is in use
    assert verify_licence(text, NAME, [impostor.verifier, signer.verifier], at)


def test_a_licence_that_was_touched_is_refused(terms, signer):
    text, head = issue_licence(terms, signer), {"typ": KIND, "kid": str(signer.verifier)}
    begin, payload, signature = text.split(".")
    claims = jwt.decode(text, options={"verify_signature": False})
    forged = [
        f"{begin}.{payload[:-2]}xx.{signature}",
        f"{begin}.{payload}.",
        text[:40],
        "",
        jwt.encode(claims, "", algorithm="none", headers=head),
        jwt.encode(claims, str(signer.verifier).ljust(64, "x"), algorithm="HS256", headers=head),
        jwt.encode(claims, signer.key, algorithm="EdDSA", headers={**head, "typ": "JWT"}),
        jwt.encode({**claims, "entitlements": 7}, signer.key, algorithm="EdDSA", headers=head),
        jwt.encode({**claims, "iss": "other.example"}, signer.key, algorithm="EdDSA", headers=head),
    ]
    for one in forged:
        with pytest.raises(UntrustedError):
            verify_licence(one, NAME, [signer.verifier], terms.begin)


def test_a_subscription_is_planned_with_a_licence_alone(shop):
    with pytest.raises(RefusedError, match=r"needs a licence.*Ask example\.com.*--licence FILE"):
        shop.plan()
    plan = shop.plan(licence=shop.licence())
    assert plan.licence.terms.entitlements == {"tags": 500}
    assert any(
        line.startswith("  licence:  Plant 7, until 2026-03-31, entitled to tags=500 (") for line in plan.lines()
    )
    late = shop.plan(licence=shop.licence(), at=shop.registry.clock() + timedelta(days=31))
    assert any("it works until 2026-04-14" in line for line in late.lines())


def test_a_clock_set_back_does_not_revive_a_licence(shop):
    old = shop.licence(days=1, begin=shop.registry.clock() - timedelta(days=99), grace=timedelta(0))
    ended = replace(
        verify_licence(old, NAME, [shop.publisher.verifier], shop.registry.clock()).terms,
        until=shop.registry.clock() - timedelta(days=2),
    )
    with pytest.raises(UntrustedError, match="its grace too"):
        shop.plan(licence=issue_licence(ended, shop.publisher), at=shop.registry.clock() - timedelta(days=30))


def test_a_revoked_licence_is_refused_from_the_service_and_from_a_signed_copy(shop, tmp_path):
    text, other = shop.licence(), shop.licence()
    shop.revoke(text)
    write_index(shop.registry, tmp_path / "public")
    with open_source(str(tmp_path / "public"), shop.registry.signer.verifier) as copy:
        for source in (None, copy):
            with pytest.raises(UntrustedError, match="was revoked"):
                shop.plan(source, licence=text)
            assert shop.plan(source, licence=other).licence.terms.holder == "Plant 7"
    with pytest.raises(RefusedError, match="revoked already"):
        shop.revoke(text)


def test_a_listing_on_request_names_whom_to_ask(shop):
    shop.registry.store.annotate(NAME, "0.1.0", {"listing": "custom"}, shop.registry.clock(), "tests")
    with pytest.raises(RefusedError, match=r"on request.*Contact example\.com"):
        shop.plan()


def test_the_commands_grant_a_licence_and_say_what_is_wrong(said, tmp_path):
    account = ["--domain", "example.com", "--key", tmp_path / "my.key"]
    code, text = said(
        "licence", NAME, "--for", "Plant 7", "--entitle", "tags=500", "--entitle", "export=true", *account
    )
    claims = jwt.decode(text.strip(), options={"verify_signature": False})
    assert (code, claims["aud"], claims["sub"], claims["entitlements"]) == (
        0,
        NAME,
        "Plant 7",
        {"tags": 500, "export": True},
    )
    assert claims["exp"] - claims["iat"] == 365 * 86400
    for wrong in (["pumpcare"], [NAME, "--entitle", "tags"], [NAME, "--days", "0"]):
        code, text = said("licence", *wrong, "--for", "x", *account)
        assert (code, "For example" in text or "--days" in text) == (1, True), text


def test_nothing_is_counted_without_consent_and_withdrawing_it_erases(said, terms, signer):
    assert said("usage", "count", NAME) == (0, "nothing was counted: nobody allowed it\n")
    assert "is kept here" in said("usage", "allow", NAME)[1]
    keep_licence(NAME, issue_licence(terms, signer))
    assert said("usage", "allow", NAME)[0] == 0
    assert said("usage", "count", NAME, "--number", "3") == (0, "counted\n")
    (event,) = json.loads(said("usage", "show", NAME)[1])
    assert set(event) == {"specversion", "type", "source", "id", "subject", "time", "datacontenttype", "data"}
    assert event["data"] == {"unit": "calls", "count": 3}
    assert said("usage", "forbid", NAME)[1].endswith("1 events were erased unsent\n")
    assert json.loads(said("usage", "show", NAME)[1]) == []


def test_events_sent_twice_count_once_and_the_publisher_alone_reads_them(shop, said, tmp_path):
    text = shop.licence()
    keep_licence(NAME, text)
    meter = Meter(tmp_path / "home" / "usage")
    meter.allow(NAME, licence_id(text), now())
    for number in (3, 4):
        meter.count(NAME, "calls", number, now())
    waiting = meter.waiting(NAME)
    assert said("usage", "send", NAME, "--to", shop.address) == (0, "2 events were sent\n")
    assert meter.waiting(NAME) == []
    path = "/v0.1/servers/com.example%2Fpumpcare/usage"
    again = shop.account.service.call("POST", path, json.dumps(waiting).encode(), text)
    assert json.loads(again) == {"accepted": 0, "known": 2}
    shop.registry.clock.pass_(seconds=1)
    found = json.loads(shop.account.service.call("GET", path, token=shop.account.log_in()))
    assert [(one["unit"], one["count"]) for one in found["usage"]] == [("calls", 7)]
    with pytest.raises(RefusedError, match="token"):
        shop.account.service.call("GET", path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"source": "urn:factorylm:licence:other"}, "its source"),
        ({"subject": "com.example/other"}, "its subject"),
        ({"specversion": "0.3"}, "its specversion"),
        ({"id": ""}, "its id"),
        ({"data": {"unit": "calls", "count": True}}, "its count"),
        ({"data": {"unit": "calls", "count": -1}}, "its count"),
        ({"data": {"unit": "calls", "count": 1, "person": "Jane"}}, "unit and count"),
        ({"time": "noon"}, "its time"),
        ({"person": "Jane"}, "unknown fields"),
    ],
)
def test_an_event_that_is_wrong_or_says_too_much_is_refused_with_its_place(shop, tmp_path, wrong, said):
    text = shop.licence()
    meter = Meter(tmp_path / "meter")
    meter.allow(NAME, licence_id(text), now())
    meter.count(NAME, "calls", 1, now())
    meter.count(NAME, "calls", 1, now())
    good, bad = meter.waiting(NAME)
    path = "/v0.1/servers/com.example%2Fpumpcare/usage"
    with pytest.raises(RefusedError, match=f"event 1: .*{said}"):
        shop.account.service.call("POST", path, json.dumps([good, {**bad, **wrong}]).encode(), text)
    assert shop.registry.store.accounts.usage(NAME) == [], "none of a wrong batch counts"
