"""Model files: one line of hash, then a zip of plain arrays and JSON. Never pickle; refused when a byte changed.

    factorylm-model 1 <sha256 of everything after this line>
    <zip: model.json, arrays.npz>

`unzip` opens it. The hash is the model's id.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from factorylm_schema.errors import UnknownNameError
from numpy.typing import NDArray

from factorylm_predictor.errors import ModelError

_MAGIC = b"factorylm-model 1 "
_LARGEST_BYTES = 64_000_000
_KEPT_VERSIONS = 3
Arrays = dict[str, NDArray[Any]]
M = TypeVar("M")


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[M]):
    """A model and the hash of the file it came from."""

    model: M
    id: str


def save_model(model: Any, path: Path) -> str:
    """Write the model in one step, keeping the last files it replaces; returns its id."""
    digest, content = packed(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    fresh.write_bytes(_MAGIC + digest.encode() + b"\n" + content)
    _keep_old(path)
    fresh.replace(path)
    return digest[:16]


def load_model(path: Path, kind: type[M]) -> Loaded[M]:
    """Read a model back; anything but the exact bytes that were written is refused."""
    digest, content = _verified(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            described = json.loads(archive.read("model.json"))
            with np.load(io.BytesIO(archive.read("arrays.npz")), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        if described.get("kind") != kind.__name__:
            raise ModelError(
                f"{path.name} holds a {described.get('kind')}, not a {kind.__name__}",
                hint="name another model file",
            )
        model: M = _restored(kind, described["fields"], arrays, "")
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path.name} does not hold what this version expects: {error}", hint=_AGAIN) from error
    return Loaded(model=model, id=digest[:16])


_AGAIN = "fit the model again, or take back an untouched copy"


def _verified(path: Path) -> tuple[str, bytes]:
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise UnknownNameError("model file", path.name, siblings, hint=f"looked in {path.parent}")
    if path.stat().st_size > _LARGEST_BYTES:
        raise ModelError(f"{path.name} is larger than any model this package writes", hint="is it a model file?")
    line, _, content = path.read_bytes().partition(b"\n")
    if not line.startswith(b"factorylm-model "):
        raise ModelError(f"{path.name} is not a model file of this package", hint=_AGAIN)
    if not line.startswith(_MAGIC):
        raise ModelError(f"{path.name} was written by another version", hint="fit the model again")
    expected, actual = line[len(_MAGIC) :].decode("ascii", "replace"), hashlib.sha256(content).hexdigest()
    if expected != actual:
        raise ModelError(f"{path.name} was cut off or edited: its content does not match its hash", hint=_AGAIN)
    return actual, content


def packed(model: Any) -> tuple[str, bytes]:
    """The file's content and its hash; the same model has the same hash."""
    arrays: Arrays = {}
    described = {"kind": type(model).__name__, "fields": _described(model, arrays, "")}
    stored = io.BytesIO()
    np.savez_compressed(stored, **arrays)  # type: ignore[arg-type]  # numpy's stub takes bool for every keyword
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, content in (
            ("model.json", json.dumps(described).encode()),
            ("arrays.npz", stored.getvalue()),
        ):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    content = result.getvalue()
    return hashlib.sha256(content).hexdigest(), content


def _described(value: Any, arrays: Arrays, place: str) -> Any:
    """JSON for everything but arrays, which move to `arrays` under their place."""
    if isinstance(value, np.ndarray):
        arrays[place] = value
        return None
    if is_dataclass(value):
        return {f.name: _described(getattr(value, f.name), arrays, f"{place}/{f.name}") for f in fields(value)}
    if isinstance(value, tuple):
        return [_described(v, arrays, f"{place}/{i}") for i, v in enumerate(value)]
    return value


def _restored(kind: Any, described: Any, arrays: Arrays, place: str) -> Any:
    """The value of type `kind` that `_described` took apart."""
    if get_origin(kind) is UnionType:
        if described is None and NoneType in get_args(kind) and not any(a.startswith(place + "/") for a in arrays):
            return None
        kind = next(k for k in get_args(kind) if k is not NoneType)
    origin = get_origin(kind)
    if origin is np.ndarray:
        return arrays[place]
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        names = [f.name for f in fields(kind)]
        return kind(**{n: _restored(hints[n], described[n], arrays, f"{place}/{n}") for n in names})  # type: ignore[operator]
    if origin is tuple:
        inner = get_args(kind)[0]
        return tuple(_restored(inner, v, arrays, f"{place}/{i}") for i, v in enumerate(described))
    if origin is Literal and described not in get_args(kind):
        raise ValueError(f"{place} is {described!r}")
    return described


def _keep_old(path: Path) -> None:
    """`model.1` is the one before, `model.2` the one before that; `model` itself is never missing meanwhile."""
    if not path.exists():
        return
    old = [path.with_name(f"{path.name}.{n}") for n in range(1, _KEPT_VERSIONS)]
    for newer, older in reversed(list(pairwise(old))):
        if newer.exists():
            newer.replace(older)
    shutil.copyfile(path, old[0])
