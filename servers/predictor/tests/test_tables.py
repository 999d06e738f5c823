"""Reading files: any separator, any size, and a clear word about what cannot be read."""

import gzip

import numpy as np
import pytest
from factorylm_predictor.errors import DataError
from factorylm_predictor.histories import read_histories
from factorylm_predictor.tables import TableFile
from factorylm_schema.errors import MissingPartError, UnknownNameError

ROWS = [[unit, hour, 0.5 * hour] for unit in ("A", "B") for hour in range(30)]
HEADER = ["pump", "hours", "vibration"]


def read(path, **options):
    return read_histories(TableFile(path, chunk_rows=7), unit="pump", time="hours", **options)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(tmp_path, separator):
    path = tmp_path / "runs.csv"
    lines = [HEADER, *ROWS]
    path.write_text("\n".join(separator.join(str(c) for c in line) for line in lines))
    found = read(path)
    assert [h.unit for h in found.units] == ["A", "B"]
    assert found.units[1].values[:, 0].tolist() == [0.5 * hour for hour in range(30)]


def test_blank_separated_text_and_gzip_are_read(tmp_path):
    path = tmp_path / "runs.txt.gz"
    with gzip.open(path, "wt") as stream:
        stream.writelines(" ".join(str(c) for c in line) + "\n" for line in [HEADER, *ROWS])
    assert read(path).rows_read == 60


def test_decimal_commas_and_words_for_nothing_are_understood(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("pump;hours;vibration\nA;1;0,5\nA;2;Bad\nA;3;n/a\nA;4;2,25\n")
    values = read(path).units[0].values[:, 0]
    assert values.tolist() == pytest.approx([0.5, np.nan, np.nan, 2.25], nan_ok=True)


def test_parquet_is_read_like_csv(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: [row[i] for row in ROWS] for i, name in enumerate(HEADER)}
    parquet.write_table(pa.table(columns), tmp_path / "runs.parquet")
    found = read(tmp_path / "runs.parquet")
    assert [h.unit for h in found.units] == ["A", "B"]
    assert found.units[0].times.tolist() == list(range(30))


def test_parquet_without_its_reader_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingPartError, match=r"factorylm-predictor\[parquet\]"):
        read(tmp_path / "runs.parquet")


def test_timestamps_are_hours_in_utc(write_csv):
    rows = [["A", f"2026-03-01T{h:02d}:00:00+01:00", h] for h in range(24)]
    found = read(write_csv("runs.csv", HEADER, rows))
    assert found.clock == "timestamp"
    assert np.diff(found.units[0].times).tolist() == [1.0] * 23


def test_rows_of_many_units_mixed_in_time_are_sorted_out(write_csv):
    rows = sorted(ROWS, key=lambda row: row[1])
    found = read(write_csv("runs.csv", HEADER, rows))
    assert [len(h) for h in found.units] == [30, 30]
    assert all((np.diff(h.times) > 0).all() for h in found.units)


def test_a_clock_that_goes_back_is_told_and_sorted(write_csv):
    found = read(write_csv("runs.csv", HEADER, [["A", h, 1.0 * h] for h in [0, 1, 3, 2, 4]]))
    assert found.units[0].times.tolist() == [0, 1, 2, 3, 4]
    assert found.notes == ("unit A: the clock goes back 1 times; rows were sorted by time",)


def test_a_file_beyond_the_budget_is_averaged_and_keeps_its_ends(write_csv):
    rows = [[unit, hour, float(hour)] for unit in ("A", "B") for hour in range(4000)]
    found = read(write_csv("runs.csv", HEADER, rows), max_cells=3000)
    assert found.rows_read == 8000
    assert found.rows_per_mean in {8, 16}
    assert sum(len(h) for h in found.units) <= 1100
    for history in found.units:
        assert history.times[-1] == 3999
        assert np.unique(np.diff(history.times)).tolist() == [found.rows_per_mean]
        assert history.values[:, 0].mean() == pytest.approx(1999.5, rel=0.001)


def test_text_columns_are_left_out_and_named(write_csv):
    rows = [["A", h, 1.0 * h, "spare text"] for h in range(12)]
    found = read(write_csv("runs.csv", [*HEADER, "remark"], rows))
    assert found.columns == ("vibration",)
    assert found.notes == ("'remark' holds text, not numbers, and is left out",)


def test_unit_and_time_swapped_is_noticed(write_csv):
    rows = [[h % 5, h, 1.0 * h] for h in range(100)]
    with pytest.raises(DataError, match="they may be swapped"):
        read_histories(TableFile(write_csv("runs.csv", HEADER, rows)), unit="hours", time="pump")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("pump,hours,vibration\n", "has a header and no rows"),
        ("1,2,3\n4,5,6\n", "starts with numbers, not names"),
        ("pump,hours,hours\nA,1,2\n", "names these columns twice: hours"),
        ("pump,hours,vibration\nA,1,2\nA,2\n", "row 3 has 2 cells, the header has 3"),
        ("pump,hours,vibration\nA,soon,2\n", "'hours' in runs.csv is neither a number nor an ISO timestamp"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, content, message):
    path = tmp_path / "runs.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_cut_off_gzip_says_where(tmp_path):
    path = tmp_path / "runs.csv.gz"
    text = ",".join(HEADER) + "\n" + "\n".join(f"A,{h},{h * 0.1234567}" for h in range(5000))
    path.write_bytes(gzip.compress(text.encode())[:-2000])
    with pytest.raises(DataError, match="cannot be read after row"):
        read(path)


def test_a_wrong_column_names_the_nearest(write_csv):
    path = write_csv("runs.csv", HEADER, ROWS)
    with pytest.raises(UnknownNameError, match="'pumps'; the nearest: pump"):
        read_histories(TableFile(path), unit="pumps", time="hours")


def test_a_missing_file_names_its_neighbours(tmp_path, write_csv):
    write_csv("runs.csv", HEADER, ROWS)
    with pytest.raises(UnknownNameError, match=r"runs\.csv"):
        read(tmp_path / "run.csv")
