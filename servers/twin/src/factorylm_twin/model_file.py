"""Model files: one line of hash, then a zip of JSON and plain arrays. Never pickle; refused when a byte changed.

    factorylm-twin 1 <sha256 of everything after this line>
    <zip: model.json, arrays.npz>

`unzip` opens it. The hash is the model's id.
"""

import hashlib
import io
import json
import os
import zipfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from factorylm_schema.errors import UnknownNameError

from factorylm_twin.equations import Law
from factorylm_twin.errors import DataError, ModelError
from factorylm_twin.lag import Lag, LagShape
from factorylm_twin.narx import Narx, Shape
from factorylm_twin.tables import Wanted
from factorylm_twin.tanks import Tanks
from factorylm_twin.twin import Envelope, OutputModel, Twin

_MAGIC = b"factorylm-twin 1 "
_LARGEST_BYTES = 64_000_000
_AGAIN = "fit the model again, or take back an untouched copy"
_KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Twin, OutputModel, Envelope, Wanted, Narx, Shape, Lag, LagShape, Tanks, Law)
}


def save_twin(twin: Twin, path: Path) -> str:
    """Write the model in one step; returns its id."""
    digest, content = packed(twin)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(_MAGIC + digest.encode() + b"\n" + content)
        fresh.replace(path)
    except OSError as error:
        raise DataError(f"the model cannot be written to {path}: {error.strerror}") from error
    return digest[:16]


def load_twin(path: Path) -> tuple[Twin, str]:
    """The model and its id; anything but the exact bytes that were written is refused."""
    digest, content = _verified(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            described = json.loads(archive.read("model.json"))
            with np.load(io.BytesIO(archive.read("arrays.npz")), allow_pickle=False) as stored:
                twin = _restored(described, {name: stored[name] for name in stored.files})
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path.name} does not hold what this version expects: {error}", hint=_AGAIN) from error
    if not isinstance(twin, Twin):
        raise ModelError(f"{path.name} holds no twin", hint=_AGAIN)
    return twin, digest[:16]


def packed(twin: Twin) -> tuple[str, bytes]:
    """The hash and the file's content; the same model has the same hash."""
    arrays: dict[str, Any] = {}
    described = _described(twin, arrays)
    stored = io.BytesIO()
    np.savez_compressed(stored, **arrays)
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, content in (("model.json", json.dumps(described).encode()), ("arrays.npz", stored.getvalue())):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return hashlib.sha256(result.getvalue()).hexdigest(), result.getvalue()


def _verified(path: Path) -> tuple[str, bytes]:
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise UnknownNameError("model file", path.name, siblings, hint=f"looked in {path.parent}")
    if path.stat().st_size > _LARGEST_BYTES:
        raise ModelError(f"{path.name} is larger than any model this package writes", hint="is it a model file?")
    line, _, content = path.read_bytes().partition(b"\n")
    if not line.startswith(_MAGIC):
        raise ModelError(f"{path.name} is no twin of this version", hint="fit the model again")
    expected, actual = line[len(_MAGIC) :].decode("ascii", "replace"), hashlib.sha256(content).hexdigest()
    if expected != actual:
        raise ModelError(f"{path.name} was cut off or edited: its content does not match its hash", hint=_AGAIN)
    return actual, content


def _described(value: Any, arrays: dict[str, Any]) -> Any:
    """JSON that names each kind; arrays move out under a number."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value):
        return {"kind": type(value).__name__} | {
            f.name: _described(getattr(value, f.name), arrays) for f in fields(value)
        }
    return [_described(v, arrays) for v in value] if isinstance(value, tuple) else value


def _restored(value: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return tuple(_restored(v, arrays) for v in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    return _KINDS[value["kind"]](**{k: _restored(v, arrays) for k, v in value.items() if k != "kind"})
