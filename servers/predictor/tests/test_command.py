"""The command, as a person or a script calls it."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from factorylm_predictor.cli import main
from factorylm_predictor.example import COLUMNS, pump_life


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_predictions_are_written_with_the_promised_columns(example, tmp_path, capsys):
    out = tmp_path / "pred.csv"
    assert (
        main(["predict", "--model", f"{example}/pumps.model", "--data", f"{example}/today.csv", "--out", str(out)]) == 0
    )
    assert out.read_text().splitlines()[0] == "unit,rul,lo,hi,refused,reason"
    rows = rows_of(out)
    assert [r["unit"] for r in rows] == [f"R{n}" for n in range(1, 9)]
    for row in rows:
        assert row["refused"] == "0"
        assert 0 <= float(row["lo"]) <= float(row["rul"]) <= float(row["hi"])
    assert "8 answered, 0 refused" in capsys.readouterr().out


def test_a_refused_unit_has_no_numbers_and_a_reason(example, tmp_path):
    short = tmp_path / "short.csv"
    short.write_text("\n".join((example / "today.csv").read_text().splitlines()[:4]) + "\n")
    out = tmp_path / "pred.csv"
    assert main(["predict", "--model", f"{example}/pumps.model", "--data", str(short), "--out", str(out)]) == 0
    (row,) = rows_of(out)
    assert (row["rul"], row["lo"], row["hi"], row["refused"]) == ("", "", "", "1")
    assert row["reason"].startswith("no_baseline: 3 rows since commissioning")


def test_flags_are_written_with_the_promised_columns(example, tmp_path):
    out = tmp_path / "flags.csv"
    words = ["--baseline", f"{example}/healthy.csv", "--data", f"{example}/watched.csv", "--out", str(out)]
    assert main(["detect", *words, "--settings", "speed,flow"]) == 0
    assert out.read_text().splitlines()[0] == "time,score,flag,top_tags"
    flags = np.array([int(r["flag"]) for r in rows_of(out)])
    assert len(flags) == 600
    assert flags[:400].mean() <= 0.02
    assert flags[-100:].mean() == 1
    assert rows_of(out)[-1]["top_tags"].split(";")[0] in {"vibration", "bearing_temperature"}


def test_a_row_without_values_is_not_judged(example, tmp_path, capsys):
    watched = tmp_path / "watched.csv"
    lines = (example / "watched.csv").read_text().splitlines()
    watched.write_text("\n".join([lines[0], *(f"{n},1450,29,,,," for n in range(20))]))
    out = tmp_path / "flags.csv"
    assert main(["detect", "--baseline", f"{example}/healthy.csv", "--data", str(watched), "--out", str(out)]) == 0
    assert {(r["score"], r["flag"]) for r in rows_of(out)} == {("", "0")}
    assert "20 rows have too few values to be judged" in capsys.readouterr().out


def test_the_window_names_three_slots_and_skips_those_without_a_crew(example, capsys):
    words = ["window", "--lives", f"{example}/lives.csv", "--costs", f"{example}/costs.toml"]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["slots"]["best"][0]["name"] == "Sunday 8 March"
    assert len(answer["slots"]["best"]) == 3
    assert answer["skipped"] == {"without_crew": ["Easter"]}
    assert answer["by_age"]["failures"] == 30
    assert main(words) == 0
    assert "A candidate for review" in capsys.readouterr().out


def test_a_window_follows_from_a_predicted_life(example, tmp_path, capsys):
    words = ["--model", f"{example}/pumps.model", "--data", f"{example}/today.csv", "--costs", f"{example}/costs.toml"]
    assert main(["predict", *words[:4], "--out", str(tmp_path / "p.csv")]) == 0
    lives = {r["unit"]: float(r["rul"]) for r in rows_of(tmp_path / "p.csv")}
    capsys.readouterr()
    risks = {}
    for unit in (max(lives, key=lives.get), min(lives, key=lives.get)):
        assert main(["window", *words, "--unit", unit, "--json"]) == 0
        slots = json.loads(capsys.readouterr().out)["slots"]
        risks[unit] = slots["curve"][0][2]
        assert ("look at the machine now" in slots["warning"]) == (risks[unit] > 0.5)
    assert risks[max(lives, key=lives.get)] < 0.1 < risks[min(lives, key=lives.get)]
    assert main(["window", *words, "--unit", "R99"]) == 1
    assert "R99" in capsys.readouterr().err


def test_a_report_is_one_page_that_needs_nothing_else(example, tmp_path):
    words = ["--model", f"{example}/pumps.model", "--data", f"{example}/today.csv"]
    assert main(["predict", *words, "--out", str(tmp_path / "p.csv"), "--report", str(tmp_path / "reports")]) == 0
    page = (tmp_path / "reports" / "R8.html").read_text()
    assert len(list((tmp_path / "reports").iterdir())) == 8
    assert "http://" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "https://" not in page
    assert "<script" not in page
    for part in ("Health trend", "What would have been said earlier", "Are the intervals honest?", "Model card"):
        assert part in page


def test_a_worse_model_does_not_replace_a_better_one(example, tmp_path, capsys):
    model = tmp_path / "pumps.model"
    model.write_bytes((example / "pumps.model").read_bytes())
    few = tmp_path / "few.csv"
    lines = (example / "runs.csv").read_text().splitlines()
    few.write_text("\n".join([lines[0], *(x for x in lines[1:] if x.split(",")[0] in {"P01", "P02", "P03"})]))
    words = ["fit", "--data", str(few), "--unit", "pump", "--time", "hours", "--out", str(model)]
    assert main(words) == 1
    assert "the new model is worse" in capsys.readouterr().err
    assert model.read_bytes() == (example / "pumps.model").read_bytes()
    assert main([*words, "--replace"]) == 0
    assert "this model gives no numbers: too_few_failures: 3 seen" in capsys.readouterr().out


def test_units_still_alive_and_columns_left_out_are_told(tmp_path, write_csv, capsys):
    rng = np.random.default_rng(1)
    lives = [pump_life(f"P{n}", rng) for n in range(7)]
    columns = ["pump", "hours", *COLUMNS, "serial"]

    def rows(pumps):
        return [[p.pump, h, *v, 7] for p in pumps for h, v in zip(p.hours, p.values, strict=True)]

    alive = write_csv("alive.csv", columns, rows([p.until(0.7 * p.life_h) for p in lives[5:]]))
    runs = write_csv("runs.csv", columns, rows(lives[:5]))
    words = ["--unit", "pump", "--time", "hours", "--censored", str(alive), "--out", str(tmp_path / "m")]
    assert main(["fit", "--data", str(runs), *words]) == 0
    told = capsys.readouterr().out
    assert "5 failures, 2 still alive" in told
    assert "'serial' is left out: it never changes" in told
    assert main(["fit", "--data", str(runs), *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card"]["data"]["still_alive"] == 2


def test_a_fleet_unlike_the_training_is_told_as_drift(example, tmp_path, capsys, write_csv):
    rng = np.random.default_rng(1)
    others = [pump_life(f"X{n}", rng) for n in range(12)]
    scale = [1, 1, 3.0, 1.4, 2.0, 1.5]
    rows = [[p.pump, h, *(v * scale)] for p in others for h, v in zip(p.hours, p.values, strict=True)]
    data = write_csv("others.csv", ["pump", "hours", *COLUMNS], rows)
    words = ["--model", f"{example}/pumps.model", "--data", str(data), "--out", str(tmp_path / "p.csv")]
    assert main(["predict", *words]) == 0
    assert "drift: 100% of the units are unlike the training data (limit 2%): fit again" in capsys.readouterr().out


def test_fitting_over_something_else_is_refused(example, tmp_path, capsys):
    notes = tmp_path / "notes.txt"
    notes.write_text("keep me")
    words = ["fit", "--data", f"{example}/runs.csv", "--unit", "pump", "--time", "hours", "--out", str(notes)]
    assert main(words) == 1
    assert notes.read_text() == "keep me"
    assert "is no model that could be compared" in capsys.readouterr().err


def test_timestamps_in_the_future_are_refused(tmp_path, write_csv, capsys):
    start = datetime.now(UTC) - timedelta(days=900)
    rng = np.random.default_rng(1)

    def rows(pump, shift_h=0.0):
        for hour, values in zip(pump.hours, pump.values, strict=True):
            yield [pump.pump, (start + timedelta(hours=hour + shift_h)).isoformat(), *values]

    runs = [row for n in range(6) for row in rows(pump_life(f"P{n}", rng))]
    columns = ["pump", "time", *COLUMNS]
    fit = ["--data", str(write_csv("runs.csv", columns, runs)), "--unit", "pump", "--time", "time"]
    assert main(["fit", *fit, "--settings", "speed,flow", "--out", str(tmp_path / "m")]) == 0
    today = write_csv("today.csv", columns, list(rows(pump_life("F", rng), 24 * 900)))
    out = tmp_path / "p.csv"
    assert main(["predict", "--model", str(tmp_path / "m"), "--data", str(today), "--out", str(out)]) == 0
    assert rows_of(out)[0]["reason"].startswith("clock: the last row lies")
    capsys.readouterr()
    assert main(["check", "--data", str(today), "--unit", "pump", "--time", "time"]) == 0
    assert "stop: unit F: its last time lies" in capsys.readouterr().out


def test_a_trend_reaches_its_limit(example, capsys):
    words = ["trend", "--data", f"{example}/watched.csv", "--time", "minutes", "--settings", "speed,flow"]
    assert main([*words, "--tag", "vibration", "--limit", "6"]) == 0
    assert "vibration reaches 6 in" in capsys.readouterr().out
    assert main([*words, "--tag", "discharge_pressure", "--limit", "60"]) == 0
    assert "refused (flat)" in capsys.readouterr().out


def test_faults_are_learned_and_named(tmp_path, write_csv, capsys):
    rng = np.random.default_rng(1)
    torque, speed = rng.normal(40, 8, 500), rng.normal(1500, 150, 500)
    fault = np.where(torque * speed > 66_000, "overload", "normal")
    cases = write_csv("cases.csv", ["M", "n", "fault"], [*zip(torque, speed, fault, strict=True)])
    model, out = tmp_path / "faults.model", tmp_path / "names.csv"
    learn = ["--model", str(model), "--cases", str(cases), "--label", "fault", "--derive", "P=shaft_power_w(M,n)"]
    assert main(["name", *learn]) == 0
    assert main(["name", "--model", str(model), "--data", str(cases), "--out", str(out)]) == 0
    right = [r["fault"] == t for r, t in zip(rows_of(out), fault, strict=True) if r["fault"] != "unknown"]
    assert np.mean(right) > 0.98
    assert main(["name", "--model", str(model)]) == 1
    assert "give --cases to learn" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["fit"], ["predict"], ["detect"], ["window"], ["check"], ["trend"], ["name"]])
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    assert "factorylm-predictor" in capsys.readouterr().out.split("example", 1)[1]


@pytest.mark.parametrize(
    "words",
    [["fit"], ["fit", "--data", "x", "--unit", "u", "--time", "t", "--coverage", "2"], ["predict", "--nonsense"]],
)
def test_wrong_usage_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2


def test_a_missing_column_ends_with_1_and_names_the_nearest(example, tmp_path, capsys):
    healthy = tmp_path / "other.csv"
    healthy.write_text("pump,hours,vibrations\nA,1,2\n")
    words = ["--model", f"{example}/pumps.model", "--data", str(healthy), "--out", str(tmp_path / "p.csv")]
    assert main(["predict", *words]) == 1
    assert "there is no column" in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()


def test_predicting_imports_neither_scikit_learn_nor_mcp(example, tmp_path):
    code = (
        "import sys\nfrom factorylm_predictor.cli import main\n"
        f"main(['predict','--model',r'{example}/pumps.model','--data',r'{example}/today.csv','--out',r'{tmp_path}/p.csv'])\n"
        "print([m for m in ('sklearn', 'scipy', 'mcp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
