"""Only files inside the named folders are opened."""

from pathlib import Path

import pytest
from factorylm_schema import BadRequestError, UnknownNameError
from factorylm_skill.data_folders import DataFolders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "data"
    (inside / "line1").mkdir(parents=True)
    (inside / "line1" / "pump.CSV").write_text("time,flow\n")
    (inside / "notes.md").write_text("not data\n")
    (tmp_path / "secret.csv").write_text("time,flow\n")
    return inside


def test_a_file_is_listed_and_opened_by_its_name_below_the_folder(folder: Path) -> None:
    folders = DataFolders((folder,), (".csv",))
    [name] = folders.files()
    assert folders.path(name) == (folder / "line1" / "pump.CSV").resolve()


def test_a_second_folder_is_looked_into_after_the_first(folder: Path, tmp_path: Path) -> None:
    folders = DataFolders((folder, tmp_path), (".csv",))
    assert folders.path("secret.csv") == (tmp_path / "secret.csv").resolve()


@pytest.mark.parametrize("name", ["../secret.csv", "link.csv", "{outside}/secret.csv"])
def test_what_lies_outside_stays_closed(folder: Path, name: str) -> None:
    (folder / "link.csv").symlink_to(folder.parent / "secret.csv")
    with pytest.raises(BadRequestError, match="lies outside the data folder"):
        DataFolders((folder,), (".csv",)).path(name.format(outside=folder.parent))


def test_a_wrong_name_is_answered_with_the_nearest(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"pump\.CSV"):
        DataFolders((folder,), (".csv",)).path("line1/pmp.csv")


def test_without_a_folder_nothing_is_opened() -> None:
    with pytest.raises(BadRequestError, match="no file may be opened") as refused:
        DataFolders((), (".csv",)).path("pump.csv")
    assert "--data" in refused.value.hint
