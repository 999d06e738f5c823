"""Model files: what was written comes back, and nothing else is accepted."""

import io
import zipfile

import numpy as np
import pytest
from factorylm_predictor.errors import ModelError
from factorylm_predictor.example import COLUMNS
from factorylm_predictor.faults import FaultModel
from factorylm_predictor.histories import History
from factorylm_predictor.life_model import LifeModel
from factorylm_predictor.model_file import load_model, save_model
from factorylm_predictor.remaining_life import assess
from factorylm_schema.errors import UnknownNameError


@pytest.fixture
def model_file(tmp_path, pump_model):
    path = tmp_path / "pumps.model"
    save_model(pump_model, path)
    return path


def test_a_model_read_back_gives_the_same_answers(model_file, pump_model, old_pump):
    history = History(unit="P", times=old_pump.hours, values=old_pump.values)
    again = load_model(model_file, LifeModel).model
    before, after = (assess(m, history, COLUMNS).estimate for m in (pump_model, again))
    assert (before.life, before.low, before.high, before.drivers) == (after.life, after.low, after.high, after.drivers)
    assert again.card == pump_model.card


def test_the_id_is_the_hash_of_the_content(tmp_path, pump_model, model_file):
    same = save_model(pump_model, tmp_path / "again.model")
    assert same == load_model(model_file, LifeModel).id


@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.9, 0.9999])
def test_an_edited_file_is_refused(model_file, place):
    content = bytearray(model_file.read_bytes())
    content[90 + int(place * (len(content) - 91))] ^= 1
    model_file.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="was cut off or edited"):
        load_model(model_file, LifeModel)


@pytest.mark.parametrize("length", [0, 10, 200, 5000])
def test_a_truncated_file_is_refused(model_file, length):
    model_file.write_bytes(model_file.read_bytes()[:length])
    with pytest.raises(ModelError):
        load_model(model_file, LifeModel)


def test_a_pickle_is_refused(tmp_path):
    import pickle

    path = tmp_path / "old.model"
    path.write_bytes(pickle.dumps({"model": 1}))
    with pytest.raises(ModelError, match="is not a model file of this package"):
        load_model(path, LifeModel)


def test_a_file_with_pickled_arrays_inside_is_refused(tmp_path, model_file):
    import hashlib

    with zipfile.ZipFile(model_file) as archive:
        described = archive.read("model.json")
    arrays, content = io.BytesIO(), io.BytesIO()
    np.savez(arrays, **{"/gate/mean": np.array([object()], dtype=object)})
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model.json", described)
        archive.writestr("arrays.npz", arrays.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    model_file.write_bytes(b"factorylm-model 1 " + digest.encode() + b"\n" + content.getvalue())
    with pytest.raises(ModelError, match="does not hold what this version expects"):
        load_model(model_file, LifeModel)


def test_another_version_is_named(model_file):
    model_file.write_bytes(model_file.read_bytes().replace(b"factorylm-model 1", b"factorylm-model 9", 1))
    with pytest.raises(ModelError, match="was written by another version"):
        load_model(model_file, LifeModel)


def test_a_model_of_another_kind_is_named(model_file):
    with pytest.raises(ModelError, match="holds a LifeModel, not a FaultModel"):
        load_model(model_file, FaultModel)


def test_a_missing_file_names_its_neighbours(tmp_path, model_file):
    with pytest.raises(UnknownNameError, match=r"pumps\.model"):
        load_model(tmp_path / "pump.model", LifeModel)


def test_the_last_versions_are_kept(model_file, pump_model):
    first = model_file.read_bytes()
    for _ in range(4):
        save_model(pump_model, model_file)
    names = sorted(p.name for p in model_file.parent.iterdir())
    assert names == ["pumps.model", "pumps.model.1", "pumps.model.2"]
    assert (model_file.parent / "pumps.model.2").read_bytes() == first


def test_unzip_opens_it(model_file):
    with zipfile.ZipFile(model_file) as archive:
        assert sorted(archive.namelist()) == ["arrays.npz", "model.json"]
