"""The audit trail: what happened to the file is found and named."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from factorylm_schema import AuditError
from factorylm_skill import AuditLog


@pytest.fixture
def filled(audit: AuditLog) -> AuditLog:
    for number in range(8):
        audit.append("written", tag="p.sp", value=number)
    return audit


def lines(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def test_a_fresh_trail_is_intact_and_counts_its_lines(filled: AuditLog) -> None:
    assert AuditLog(filled.path.with_name("none")).verify().lines == 0
    found = filled.verify()
    assert (found.intact, found.lines) == (True, 8)
    assert [entry["value"] for entry in filled.entries()] == list(range(8))


def test_any_edited_byte_is_found_in_its_line(filled: AuditLog) -> None:
    whole = filled.path.read_bytes()
    rng = random.Random(7)
    for _ in range(200):
        at = rng.randrange(len(whole))
        if whole[at : at + 1] == b"\n":
            continue
        changed = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(7)]) + whole[at + 1 :]
        filled.path.write_bytes(changed)
        found = filled.verify()
        assert not found.intact, changed[at - 10 : at + 10]
        assert found.line is not None
        assert abs(found.line - (whole[:at].count(b"\n") + 1)) <= 1, (found, at)


@pytest.mark.parametrize("at", range(8))
def test_a_deleted_line_is_missed(filled: AuditLog, at: int) -> None:
    kept = lines(filled)
    del kept[at]
    filled.path.write_bytes(b"".join(kept))
    found = filled.verify()
    assert not found.intact
    assert found.line == at + 1
    assert "deleted" in found.message or "missing at the end" in found.message


@pytest.mark.parametrize(("one", "other"), [(0, 1), (2, 5), (6, 7)])
def test_reordered_lines_are_found_at_the_first(filled: AuditLog, one: int, other: int) -> None:
    kept = lines(filled)
    kept[one], kept[other] = kept[other], kept[one]
    filled.path.write_bytes(b"".join(kept))
    assert filled.verify().line == one + 1


def test_an_inserted_or_repeated_line_is_found(filled: AuditLog) -> None:
    kept = lines(filled)
    filled.path.write_bytes(b"".join([*kept[:4], kept[3], *kept[4:]]))
    assert filled.verify().line == 5


def test_a_rewritten_chain_is_found_by_the_head(filled: AuditLog, tmp_path: Path) -> None:
    forged = AuditLog(tmp_path / "forged.jsonl")
    for number in range(8):
        forged.append("written", tag="p.sp", value=number + 100)
    filled.path.write_bytes(forged.path.read_bytes())
    assert filled.verify().message == "the line is not the one the head file names"
    filled.path.with_name(filled.path.name + ".head").unlink()
    assert "is missing, so lines may be cut off" in filled.verify().message


def test_a_line_torn_by_a_crash_is_closed_and_named_by_the_next(filled: AuditLog) -> None:
    with filled.path.open("ab") as file:
        file.write(b'{"n":9,"time":"2026')
    assert filled.append("written", tag="p.sp", value=9) == 10
    assert filled.verify().intact
    assert [entry["event"] for entry in filled.entries()][-2:] == ["recovered", "written"]
    torn = lines(filled)
    torn[8] = b"something else\n"
    filled.path.write_bytes(b"".join(torn))
    assert filled.verify().line == 9


def test_a_crash_between_line_and_head_loses_nothing(filled: AuditLog) -> None:
    head = filled.path.with_name(filled.path.name + ".head")
    before = head.read_bytes()
    filled.append("written", tag="p.sp", value=8)
    head.write_bytes(before)
    assert filled.verify().intact


def test_long_lines_are_followed_too(audit: AuditLog) -> None:
    for _ in range(3):
        audit.append("refused", reason="x" * 10_000)
    assert audit.verify().lines == 3


def test_what_is_no_audit_file_is_not_continued(audit: AuditLog) -> None:
    audit.path.write_text("something else\n")
    with pytest.raises(AuditError, match="not an audit line"):
        audit.append("written")
    assert audit.verify().line == 1


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no write bit")
def test_a_log_that_cannot_be_written_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match="cannot be written"):
        AuditLog(tmp_path / "file" / "audit.jsonl").append("written")


def test_processes_share_one_file_without_breaking_the_chain(audit: AuditLog) -> None:
    code = (
        "import sys; from pathlib import Path; from factorylm_skill.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "for n in range(20): log.append('written', who=sys.argv[2], n2=n)"
    )
    commands = [[sys.executable, "-c", code, str(audit.path), str(who)] for who in range(3)]
    running = [subprocess.Popen(command, env=os.environ, stdin=subprocess.DEVNULL) for command in commands]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert (audit.verify().intact, audit.verify().lines) == (True, 60)
    assert json.loads(audit.path.with_name("audit.jsonl.head").read_text())["lines"] == 60
