"""The command line, the page and the exports, as an operator meets them."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import duckdb
import pytest
from factorylm_edge.command import run
from factorylm_edge.exporting import export
from factorylm_edge.gateway import Gateway
from factorylm_edge.page import page_app
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import EdgeSettings, Forward
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_schema import BadRequestError, Plant
from factorylm_skill.http import HttpOptions
from starlette.testclient import TestClient

BEGIN_US = 1_767_225_600 * SECOND
DAY_US = 86_400 * SECOND
HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    history = SqliteHistory(tmp_path / "history.db")
    for second in range(100):
        time_us = BEGIN_US + second * SECOND
        history.append([Sample("a.x", time_us, second / 4), Sample("a.state", time_us, f"s,{second}\n")])
    history.append([Sample("b.x", BEGIN_US, None, 0x80310000), Sample("b.on", BEGIN_US, value=True)])
    history.close()
    return tmp_path


def test_csv_has_every_sample_with_its_quality(folder):
    told = export(folder, folder / "out.csv", ["*"], 24, until_us=BEGIN_US + DAY_US)
    assert (told.tags, told.samples) == (4, 202)
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["tag", "time", "value", "quality"]
    assert len(rows) == 203
    assert ["a.state", "2026-01-01T00:01:39.000Z", "s,99\n", "Good"] in rows
    assert ["b.x", "2026-01-01T00:00:00.000Z", "", "BadNoCommunication"] in rows


def test_parquet_is_read_by_other_peoples_programs(folder):
    export(folder, folder / "out.parquet", ["a.*", "b.*"], 24, until_us=BEGIN_US + DAY_US)
    columns = "tag, count(*), avg(value), max(text), min(quality)"
    asked = f"SELECT {columns} FROM '{folder}/out.parquet' GROUP BY tag ORDER BY tag"
    assert duckdb.sql(asked).fetchall() == [
        ("a.state", 100, None, "s,99\n", "Good"),
        ("a.x", 100, 12.375, None, "Good"),
        ("b.on", 1, 1.0, None, "Good"),
        ("b.x", 1, None, None, "BadNoCommunication"),
    ]


@pytest.mark.parametrize(("to", "tags", "told"), [("o.xls", ["*"], ".parquet"), ("o.csv", ["z*"], "no tag")])
def test_an_export_that_cannot_be_made_leaves_no_file(folder, to, tags, told):
    with pytest.raises(BadRequestError, match=told):
        export(folder, folder / to, tags, 24)
    assert not (folder / to).exists()


def test_a_damaged_part_is_not_left_out_in_silence(folder):
    history = SqliteHistory(folder / "history.db")
    history.compact(everything=True)
    with history.commit() as db:
        db.execute("UPDATE chunk SET data = x'00'")
    history.close()
    with pytest.raises(BadRequestError, match="damaged"):
        export(folder, folder / "o.csv", ["*"], 24, until_us=BEGIN_US + DAY_US)
    assert not (folder / "o.csv").exists()


# -- the page -------------------------------------------------------------------------------------


@pytest.fixture
def gateway(tmp_path: Path):
    history = SqliteHistory(tmp_path / "history.db")
    settings = EdgeSettings(forward=[Forward(to="mqtt://me:secret@broker", tags=["*"])])
    gateway = Gateway(Plant(name=HOSTILE), [], settings, history)
    gateway.latest["d.x"] = Sample("d.x", BEGIN_US, HOSTILE)
    yield gateway
    history.close()


def client_of(gateway: Gateway, **options: object) -> TestClient:
    http = HttpOptions(host="127.0.0.1", port=8080, **options)  # type: ignore[arg-type]
    return TestClient(page_app(gateway, http), base_url="http://127.0.0.1:8080")


def test_what_comes_from_the_plant_is_text_on_the_page_and_secrets_are_not_there(gateway):
    answer = client_of(gateway).get("/")
    assert "<script>" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;U+202E&gt;" in answer.text
    assert "secret" not in answer.text
    assert "mqtt://broker" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_metrics_are_in_prometheus_format_and_the_status_is_json(gateway):
    text = client_of(gateway).get("/metrics").text
    assert "# TYPE factorylm_edge_samples_lost_total counter\nfactorylm_edge_samples_lost_total 0\n" in text
    assert 'factorylm_edge_target_waiting{target="mqtt://broker json"} 0' in text
    assert client_of(gateway).get("/status.json").json()["lost"] == 0


def test_foreign_host_names_and_strangers_are_kept_out(gateway):
    assert client_of(gateway).get("/", headers={"host": "evil.example"}).status_code == 403
    token = "x" * 30
    guarded = client_of(gateway, tokens=((token, "op"),), allowed_hosts=("gw.example",))
    assert guarded.get("/").status_code == 403
    assert guarded.get(f"/?token={token}", headers={"host": "gw.example"}).status_code == 200
    assert guarded.get("/metrics", headers={"authorization": f"Bearer {token}"}).status_code == 200


# -- the command ----------------------------------------------------------------------------------


def test_a_simulated_plant_is_collected_and_a_signal_ends_it_with_everything_committed(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "factorylm_edge", "run", "--simulate", "--data", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--page", address, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        line = ""
        while not line.startswith("page:"):
            line = process.stderr.readline()
            assert line, "it ended before the page was there"
        kept = 0
        while not kept:
            try:
                with urllib.request.urlopen(f"http://{address}/status.json", timeout=10) as answer:
                    kept = json.load(answer)["kept"]
            except urllib.error.URLError:
                assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    status = json.loads(out)
    assert status["kept"] >= kept
    assert status["waiting"] == 0
    history = SqliteHistory(tmp_path / "history.db")
    written = sum(len(history.read(tag.name, 0, 1 << 60).samples) for tag in history.tags())
    assert written == status["kept"]
    history.close()


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["run"], 1, "Give --plant FILE, or --simulate"),
        (["run", "--plant", "nothing.toml"], 1, "nothing.toml"),
        (["run", "--simulate", "--bus", "redis://x"], 1, "It takes nats://"),
        (["run", "--simulate", "--page", "0.0.0.0:80"], 1, "--token-file"),
        (["export", "--data", "nowhere", "--to", "x.csv"], 1, "there is no history at"),
    ],
)
def test_wrong_use_says_what_would_be_right(argv, code, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(argv) == code
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["run"], ["export"], ["site"], ["serve"]])
def test_every_command_has_help_with_an_example(command, capsys, monkeypatch):
    monkeypatch.setitem(os.environ, "COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        run([*command, "--help"])
    assert ended.value.code == 0
    assert "example: factorylm-" in capsys.readouterr().out


def test_wrong_usage_ends_with_two():
    with pytest.raises(SystemExit) as ended:
        run(["collect"])
    assert ended.value.code == 2
