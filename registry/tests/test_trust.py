"""Signatures, Merkle proofs, tiles and tokens: public vectors, and what must be rejected."""

import copy
import errno
import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factorylm_registry.merkle import (
    EMPTY,
    completed_nodes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)
from factorylm_registry.names import covers
from factorylm_registry.refusals import BadQuestionError, NotListedError, UntrustedError
from factorylm_registry.signatures import Signer, open_note, sealed, signed_note, unsealed, verifier_from
from factorylm_registry.tile_log import checkpoint_from, tile_number, tile_path
from factorylm_registry.verification import verify_listing
from factorylm_registry.wheels import read_wheel

# RFC 6962 reference vectors of Certificate Transparency's own tests
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# The example of Go's package sumdb/note, from which C2SP signed notes were specified
NOTE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = NOTE_TEXT + (
    "\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture
def tree():
    nodes = {}
    for size, entry in enumerate(LEAVES):
        for level, position, made in completed_nodes(size, leaf_hash(bytes.fromhex(entry)), lambda *at: nodes[at]):
            nodes[level, position] = made
    return lambda level, position: nodes[level, position]


def test_roots_are_those_of_the_public_vectors(tree):
    assert [root_hash(size, tree).hex() for size in range(1, 9)] == ROOTS
    assert root_hash(0, tree) == EMPTY == hashlib.sha256().digest()


def test_every_proof_holds_and_every_other_is_rejected(tree):
    for size in range(1, 9):
        root = bytes.fromhex(ROOTS[size - 1])
        for index in range(size):
            leaf, proof = leaf_hash(bytes.fromhex(LEAVES[index])), inclusion_proof(index, size, tree)
            assert verify_inclusion(index, size, leaf, proof, root)
            wrong = [
                (index + 1, size, leaf, proof, root),
                (-1, size, leaf, proof, root),
                (index, size, leaf, [*proof, EMPTY], root),
                (index, size, leaf, [proof[0][:31], *proof[1:]] if proof else [b""], root),
                (index, size, EMPTY, proof, root),
                (index, size, leaf, proof, EMPTY),
                (index, 0, leaf, proof, root),
            ]
            wrong += [(index, size, leaf, proof[:-1], root)] if proof else []
            assert not any(verify_inclusion(*one) for one in wrong)


def test_a_tree_that_does_not_continue_the_old_one_is_rejected(tree):
    for size in range(1, 9):
        root = bytes.fromhex(ROOTS[size - 1])
        for old in range(1, size + 1):
            old_root, proof = bytes.fromhex(ROOTS[old - 1]), consistency_proof(old, size, tree)
            assert verify_consistency(old, size, old_root, root, proof)
            wrong = [
                (old, size, old_root, EMPTY, proof),
                (old, size, EMPTY, root, proof),
                (old, size, old_root, root, [*proof, EMPTY]),
                (size + 1, size, old_root, root, proof),
            ]
            wrong += [(old, size, old_root, root, proof[:-1])] if proof else []
            assert not any(verify_consistency(*one) for one in wrong)
    assert verify_consistency(0, 8, EMPTY, bytes.fromhex(ROOTS[7]), [])
    assert not verify_consistency(0, 8, bytes.fromhex(ROOTS[0]), bytes.fromhex(ROOTS[7]), [])


def test_the_public_note_opens_with_its_key():
    assert open_note(NOTE, verifier_from(NOTE_KEY)) == NOTE_TEXT


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("answer", "Answer"),
        NOTE.replace("x08go", "x08gp"),
        NOTE[:-1],
        NOTE + "x",
        NOTE.replace("\u2014 ", "- "),
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("PeterNeumann x", "Peter Neumann x"),
        NOTE_TEXT,
        NOTE.replace("problem", "prob\x07lem"),
        "",
    ],
)
def test_a_note_that_was_touched_is_rejected(note):
    with pytest.raises(UntrustedError):
        open_note(note, verifier_from(NOTE_KEY))


def test_a_second_signature_by_somebody_else_is_left_aside():
    other = Signer("other.example/log", Ed25519PrivateKey.generate())
    second = signed_note(NOTE_TEXT, other).rpartition("\n\n")[2]
    assert open_note(NOTE + second, verifier_from(NOTE_KEY)) == NOTE_TEXT
    assert open_note(NOTE + second, other.verifier) == NOTE_TEXT


@pytest.mark.parametrize("key", [NOTE_KEY.replace("c74f", "c74e"), "x", "a b+c74f20a3+AAAA", NOTE_KEY[:-4]])
def test_a_key_that_does_not_fit_its_hash_is_rejected(key):
    with pytest.raises(BadQuestionError):
        verifier_from(key)


@pytest.mark.parametrize(
    "text",
    ["log\n01\nAAAA\n", "log\n1\nAAAA\n", "other\n1\n" + "A" * 43 + "=\n", "log\n-1\n" + "A" * 43 + "=\n", "log\n"],
)
def test_a_signed_text_that_is_no_checkpoint_is_rejected(text):
    signer = Signer("log", Ed25519PrivateKey.generate())
    with pytest.raises(UntrustedError):
        checkpoint_from(signed_note(text, signer), signer.verifier)


def test_tiles_are_named_as_the_specification_says():
    assert tile_path(1234067) == "x001/x234/067"
    assert tile_number("x001/x234/067") == (1234067, 256)
    assert tile_number("000.p/8") == (0, 8)
    for wrong in ("67", "x01/067", "000.p/0", "000.p/256", "x000/001", "a00", "000.p/08", "../000", ""):
        with pytest.raises(NotListedError):
            tile_number(wrong)


def test_tiles_and_entries_served_give_the_signed_root(client, author, server_json, registry):
    for number in range(5):
        author.publish(server_json(f"com.example/n{number}x"))
    head = checkpoint_from(client.get("/log/checkpoint").text, registry.signer.verifier)
    tile = client.get("/log/tile/0/000.p/6").content
    leaves = [tile[at : at + 32] for at in range(0, len(tile), 32)]
    bundle, entries = io.BytesIO(client.get("/log/tile/entries/000.p/6").content), []
    while length := bundle.read(2):
        entries.append(bundle.read(int.from_bytes(length, "big")))
    assert [leaf_hash(entry) for entry in entries] == leaves
    nodes = {}
    for size, leaf in enumerate(leaves):
        for level, position, made in completed_nodes(size, leaf, lambda *at: nodes[at]):
            nodes[level, position] = made
    assert root_hash(6, lambda *at: nodes[at]) == head.root


def test_an_envelope_signed_by_another_key_or_altered_is_rejected():
    signer = Signer("example.com", Ed25519PrivateKey.generate())
    envelope = sealed({"predicate": 1}, signer)
    assert unsealed(envelope, signer.verifier) == {"predicate": 1}
    altered = [
        {**envelope, "payload": "e30="},
        {**envelope, "payloadType": "text/plain"},
        {**envelope, "signatures": []},
        {},
        None,
    ]
    for one in altered:
        with pytest.raises(UntrustedError):
            unsealed(one, signer.verifier)
    with pytest.raises(UntrustedError):
        unsealed(envelope, Signer("example.com", Ed25519PrivateKey.generate()).verifier)


def _withheld(evidence):
    evidence["entries"].pop()


def _other_text(evidence):
    evidence["listing"]["server"]["description"] = "another"


def _other_level(evidence):
    evidence["listing"]["_meta"]["io.factorylm.registry/listing"]["level"] = "reviewed"


def _revived(evidence):
    evidence["listing"]["_meta"]["io.modelcontextprotocol.registry/official"]["status"] = "active"


def _other_proof(evidence):
    evidence["entries"][0]["index"] += 1


def _nothing(evidence):
    evidence.clear()


@pytest.mark.parametrize("tamper", [_withheld, _other_text, _other_level, _revived, _other_proof, _nothing])
def test_evidence_that_was_tampered_with_is_rejected(client, author, server_json, registry, tamper):
    author.publish(server_json())
    author.publish(server_json("com.example/other"))
    address = "/v0.1/servers/com.example/pump/status"
    client.patch(address, json={"status": "deprecated"}, headers=author.log_in())
    evidence = client.get("/evidence/com.example%2Fpump/versions/1.0.0").json()
    verify_listing(evidence, registry.signer.verifier)
    tampered = copy.deepcopy(evidence)
    tamper(tampered)
    with pytest.raises(UntrustedError):
        verify_listing(tampered, registry.signer.verifier)


def test_a_proof_of_a_namespace_is_refused_when_anything_is_wrong(client, author, domains, clock):
    def refused(**wrong):
        answer = client.post("/v0.1/auth/http", json={**author.proof(), **wrong})
        return answer.status_code, answer.json()["detail"]

    good = author.proof()
    assert client.post("/v0.1/auth/http", json=good).status_code == 200
    assert client.post("/v0.1/auth/http", json=good).status_code == 401, "a replay"
    assert refused(domain="other.example")[0] == 401
    assert refused(domain="127.0.0.1")[0] == 400
    assert refused(signed_timestamp="00" * 64) == (
        401,
        "the signature was made by none of the keys that example.com shows",
    )
    assert refused(signed_timestamp="xyz")[0] == 400
    assert refused(timestamp="2026-03-01T12:00:00")[0] == 400
    late = author.proof()
    clock.pass_(seconds=16)
    assert client.post("/v0.1/auth/http", json=late).status_code == 401, "a clock 16 s behind"
    assert client.post("/v0.1/auth/github-at", json=good).status_code == 404


def test_a_key_is_replaced_without_a_gap(client, author, domains):
    old = author.record
    author.log_in()
    author.key = Ed25519PrivateKey.generate()
    assert client.post("/v0.1/auth/http", json=author.proof()).status_code == 401
    domains.shown["example.com", "http"] = [old, author.record]
    author.log_in()


def test_a_token_is_good_for_its_namespace_for_minutes_and_once(client, author, server_json, clock):
    token = author.log_in()
    for name in ("com.example.evil/x", "com.example-evil/x", "com.exampl/x", "com/x"):
        assert client.post("/v0.1/publish", json=server_json(name), headers=token).status_code == 403
    assert client.post("/v0.1/publish", json=server_json(), headers=token).status_code == 200
    again = client.post("/v0.1/publish", json=server_json(version="1.1.0"), headers=token)
    assert (again.status_code, "used before" in again.json()["detail"]) == (401, True)
    old = author.log_in()
    clock.at += timedelta(minutes=5)
    assert client.post("/v0.1/publish", json=server_json(version="1.2.0"), headers=old).status_code == 401
    for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}):
        assert client.post("/v0.1/publish", json=server_json(version="1.2.0"), headers=wrong).status_code == 401
    below = author.log_in("dns")
    assert client.post("/v0.1/publish", json=server_json("com.example.plant/x"), headers=below).status_code == 200


@pytest.mark.parametrize(
    ("pattern", "name", "reaches"),
    [
        ("com.example/*", "com.example/a", True),
        ("com.example/*", "com.example-x/a", False),
        ("com.example.*/*", "com.example.a/b", True),
        ("com.example.*/*", "com.examplea/b", False),
        ("com.example/a", "com.example/ab", False),
    ],
)
def test_a_permission_ends_at_the_slash(pattern, name, reaches):
    assert covers(pattern, name) is reaches


def archive(*files: tuple[object, object], compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in files:
            made.writestr(name, content)
    return buffer.getvalue()


LINK = zipfile.ZipInfo("link")
LINK.external_attr = 0o120777 << 16


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no zip", "not a zip archive"),
        (archive(("../evil.py", "x")), "outside"),
        (archive(("/etc/passwd", "x")), "outside"),
        (archive(("a\\..\\b", "x")), "outside"),
        (archive((LINK, "/etc/passwd")), "symbolic link"),
        (archive(("bomb", b"\0" * 40_000_000)), "bomb"),
        (archive(("a.py", "x"), ("A.py", "y")), "twice"),
        (archive(("a.py", "x")), "no RECORD"),
        (archive(("a.py", "x"), ("p-1.dist-info/RECORD", "a.py,sha256=AAAA,1\n")), "not what its RECORD says"),
        (archive(*((f"f{n}", "") for n in range(5001))), "5001 files"),
    ],
)
def test_tricks_in_a_wheel_are_named_and_refused(content, said):
    with pytest.raises(UntrustedError, match=said):
        read_wheel("p-1-py3-none-any.whl", content)


@pytest.mark.parametrize("name", ["../p-1-py3-none-any.whl", "p.whl", ".p-1-py3-none-any.whl", "p-1-py3-none-any.zip"])
def test_only_a_wheels_file_name_is_taken(name):
    with pytest.raises(BadQuestionError):
        read_wheel(name, b"")


def test_an_upload_without_a_token_or_with_another_hash_is_refused(client, author):
    good = archive(("p-1.dist-info/RECORD", ""))
    digest = hashlib.sha256(good).hexdigest()
    address = f"/wheels/{digest}/p-1-py3-none-any.whl"
    assert client.put(address, content=good).status_code == 401
    assert client.put(address.replace(digest, "0" * 64), content=good, headers=author.log_in()).status_code == 400
    assert client.put(address, content=good, headers=author.log_in()).status_code == 200
    assert client.get(address).content == good


def test_a_full_disk_while_a_wheel_arrives_is_said_and_leaves_nothing(client, author, registry, monkeypatch):
    good = archive(("p-1.dist-info/RECORD", ""))
    address = f"/wheels/{hashlib.sha256(good).hexdigest()}/p-1-py3-none-any.whl"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("factorylm_registry.wheels.os.fsync", full)
        answer = client.put(address, content=good, headers=author.log_in())
    assert (answer.status_code, "No space left on device" in answer.json()["detail"]) == (400, True)
    assert [path for path in registry.wheels.folder.rglob("*") if path.is_file()] == []
    assert client.get(address).status_code == 404
    assert client.put(address, content=good, headers=author.log_in()).status_code == 200


def test_a_clock_ahead_is_refused_like_one_behind(client, author, clock):
    proof = author.proof()
    clock.pass_(seconds=-16)
    answer = client.post("/v0.1/auth/http", json=proof)
    assert (answer.status_code, "set yours" in answer.json()["detail"]) == (401, True)


def test_a_statement_that_does_not_fit_is_refused_and_nothing_is_listed(client, author, server_json):
    envelope = sealed({"subject": [{"digest": {"sha256": "0" * 64}}], "predicate": {}}, author.signer)
    meta = {"io.modelcontextprotocol.registry/publisher-provided": {"factorylm": envelope}}
    answer = author.publish(server_json(_meta=meta))
    assert (answer.status_code, "urn:factorylm:skill-release" in answer.json()["detail"]) == (400, True)
    assert json.loads(client.get("/v0.1/servers").content)["servers"] == []
