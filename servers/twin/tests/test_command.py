"""The command contract: files in, files out, exit codes."""

import csv
import json

import numpy as np
import pytest
from factorylm_twin.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pump, write_csv):
    folder = tmp_path_factory.mktemp("twin")
    write_csv(folder / "history.csv", pump)
    rows = {n: v.copy() for n, v in pump.items()}
    rows["flow"][50:] = np.nan
    write_csv(folder / "today.csv", rows)
    words = ["fit", "--data", str(folder / "history.csv"), "--inputs", "speed", "--outputs", "flow"]
    assert main([*words, "--out", str(folder / "pump.twin"), "--report", str(folder / "pump.html")]) == 0
    return folder


def test_simulate_runs_free_from_the_given_rows(folder, pump):
    words = ["simulate", "--model", str(folder / "pump.twin"), "--data", str(folder / "today.csv")]
    assert main([*words, "--out", str(folder / "out.csv")]) == 0
    with (folder / "out.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["row", "flow", "flow_lo", "flow_hi"]
    assert len(rows) == 1200
    found = np.array([float(r["flow"]) for r in rows])
    assert found[:50] == pytest.approx(pump["flow"][:50])
    assert np.sqrt(np.mean((found - pump["flow"])[50:] ** 2)) < 0.3
    assert all(float(r["flow_lo"]) < float(r["flow"]) < float(r["flow_hi"]) for r in rows[50:])


def test_only_the_first_rows_are_used_when_all_are_given(folder):
    for name in ("history", "today"):
        words = ["simulate", "--model", str(folder / "pump.twin"), "--data", str(folder / f"{name}.csv")]
        assert main([*words, "--out", str(folder / f"{name}.out")]) == 0
    assert (folder / "history.out").read_text() == (folder / "today.out").read_text()


def test_whatif_writes_every_key(folder):
    words = ["whatif", "--model", str(folder / "pump.twin"), "--change", "speed=1100", "--limit", "flow=:66"]
    words += ["--from", str(folder / "history.csv"), "--report", str(folder / "change.html")]
    assert main([*words, "--json", str(folder / "answer.json")]) == 0
    told = json.loads((folder / "answer.json").read_text())
    keys = {"baseline", "new", "change", "lo", "hi", "settling", "in_envelope", "grade", "refused", "reason"}
    assert keys <= set(told)
    assert (told["refused"], told["in_envelope"], told["grade"]) == (False, True, "A")
    assert told["new"] == pytest.approx(68.0, rel=0.01)
    assert told["new"] - told["baseline"] == pytest.approx(told["change"], rel=0.01)
    assert [c["side"] for c in told["limits_crossed"]] == ["high"]
    assert "<svg" in (folder / "change.html").read_text()
    assert "<svg" in (folder / "pump.html").read_text()


def test_a_refusing_fit_is_done_and_keeps_its_reason(folder, pump, write_csv, capsys):
    data = write_csv(folder / "still.csv", {**pump, "speed": np.full(1200, 1.0)})
    words = ["fit", "--data", str(data), "--inputs", "speed", "--outputs", "flow", "--out", str(folder / "no.twin")]
    assert main([*words, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["grade"] == "refuse"
    asked = ["whatif", "--model", str(folder / "no.twin"), "--change", "speed=+10%"]
    assert main([*asked, "--json", str(folder / "no.json")]) == 0
    told = json.loads((folder / "no.json").read_text())
    assert (told["refused"], told["new"]) == (True, None)
    assert "constant_input" in told["reason"]
    words = ["simulate", "--model", str(folder / "no.twin"), "--data", str(data), "--out", str(folder / "no.csv")]
    assert main(words) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--inputs", "sped", "--outputs", "flow"], "speed"),
        (["--inputs", "speed", "--outputs", "speed"], "one part to play"),
        (["--inputs", "speed", "--outputs", "flow", "--time", "flow"], "time stands still or goes back"),
    ],
)
def test_bad_columns_are_named(folder, capsys, words, said):
    data = ["--data", str(folder / "history.csv"), "--out", str(folder / "x.twin")]
    assert main(["fit", *data, *words]) == 1
    assert said in capsys.readouterr().err
    assert not (folder / "x.twin").exists()


def test_an_edited_model_is_refused(folder, capsys):
    content = bytearray((folder / "pump.twin").read_bytes())
    content[-30] ^= 1
    (folder / "edited.twin").write_bytes(content)
    assert main(["whatif", "--model", str(folder / "edited.twin"), "--change", "speed=+1%"]) == 1
    assert "does not match its hash" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["sped=+1%", "speed=fast", "speed"])
def test_a_change_that_is_none_says_how_it_is_written(folder, capsys, change):
    assert main(["whatif", "--model", str(folder / "pump.twin"), "--change", change]) == 1
    assert "=" in capsys.readouterr().err


def test_timestamps_give_seconds(folder, pump, write_csv, capsys):
    stamps = [f"2026-01-01T{n // 360:02}:{n // 6 % 60:02}:{n % 6 * 10:02}Z" for n in range(1200)]
    data = write_csv(folder / "stamped.csv", {"when": stamps, **pump})
    words = ["fit", "--data", str(data), "--inputs", "speed", "--outputs", "flow", "--time", "when"]
    assert main([*words, "--out", str(folder / "s.twin")]) == 0
    capsys.readouterr()
    assert main(["whatif", "--model", str(folder / "s.twin"), "--change", "speed=1200", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["time_unit"] == "s"
    assert told["settling"] == pytest.approx(10 * (3 + 6 * np.log(50)), abs=50)


def test_the_contract_to_the_letter(folder, plants, write_csv):
    """`fit`, `simulate` and `whatif` with two inputs, two outputs and a clock, in any names and units."""
    columns = plants.station(3)
    names = {"speed": "N [1/min]", "valve": "Ventil %", "flow": "Q_m3/h", "power": "P (kW)"}
    data = {"t": np.arange(1500) * 2.5} | {names[n]: v * (100 if n == "valve" else 1) for n, v in columns.items()}
    history = write_csv(folder / "contract.csv", data)
    fit = ["fit", "--data", str(history), "--inputs", "N [1/min],Ventil %", "--outputs", "Q_m3/h,P (kW)"]
    assert main([*fit, "--time", "t", "--out", str(folder / "contract.model")]) == 0
    asked = {n: v.copy() for n, v in data.items()}
    for name in ("Q_m3/h", "P (kW)"):
        asked[name][50:] = np.nan
    later = write_csv(folder / "later.csv", asked)
    model = ["--model", str(folder / "contract.model")]
    assert main(["simulate", *model, "--data", str(later), "--out", str(folder / "PRED.csv")]) == 0
    with (folder / "PRED.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["row", "Q_m3/h", "P (kW)", "Q_m3/h_lo", "Q_m3/h_hi", "P (kW)_lo", "P (kW)_hi"]
    assert [r[0] for r in rows[1:]] == [str(n) for n in range(1500)]
    change = ["--change", "N [1/min]=-3%", "--from", str(history), "--json", str(folder / "contract.json")]
    assert main(["whatif", *model, *change]) == 0
    told = json.loads((folder / "contract.json").read_text())
    assert all(isinstance(told[k], float) for k in ("baseline", "new", "change", "lo", "hi", "settling"))
    assert told["lo"] < told["new"] < told["hi"]
    assert told["change"] < 0
    assert (told["in_envelope"], told["refused"], told["reason"]) == (True, False, "")
    assert told["grade"] in {"A", "B", "C"}
    assert told["settling"] % 2.5 == pytest.approx(0, abs=0.01)


def test_usage_errors_exit_with_two():
    with pytest.raises(SystemExit) as exit_:
        main(["fit"])
    assert exit_.value.code == 2


def test_a_name_from_a_file_reaches_the_terminal_made_visible(tmp_path, capsys):
    (tmp_path / "odd.csv").write_text("time,sp\x1b[2Jeed\n0,1\n1,2\n", encoding="utf-8")
    words = ["fit", "--data", str(tmp_path / "odd.csv"), "--inputs", "nothing", "--outputs", "flow"]
    assert main([*words, "--out", str(tmp_path / "m.twin")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "\x1b" not in told
