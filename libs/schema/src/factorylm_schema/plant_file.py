"""Reads plant.toml and its tag tables; every fault is named at once, with file, line and key."""

import csv
import io
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from factorylm_schema.errors import Fault, PlantFileError
from factorylm_schema.fault_words import told, unknown
from factorylm_schema.names import nearest
from factorylm_schema.plant import DEVICE_NAME, TAG_NAME, Device, Plant, PlantDialect, Tag
from factorylm_schema.toml_lines import Key, key_lines, line_of

_M = TypeVar("_M", bound=BaseModel)

_TAG_KEYS = frozenset(Tag.model_fields) - {"device", "name", "options"}
_DEVICE_KEYS = frozenset(Device.model_fields) - {"name", "options", "tags"}
_TABLES = frozenset({"tags", "tag_tables"})
_NUMBER_COLUMNS = frozenset({"scale", "offset", "min", "max", "deadband"})
_WRITE_COLUMNS = {
    "write_min": "min",
    "write_max": "max",
    "write_max_step": "max_step",
    "write_per_minute": "per_minute",
}


def load_plant(path: Path | str, dialects: Iterable[PlantDialect] = ()) -> Plant:
    """The plant in `path`; raises PlantFileError with all faults.

    Keys and addresses of a device are checked by the dialect that serves its URL scheme; where no dialect
    does, they are kept unread for the skill that will.
    """
    path = Path(path)
    return _Reader(path, list(dialects)).read()


@dataclass
class _Reader:
    path: Path
    dialects: list[PlantDialect]
    faults: list[Fault] = field(default_factory=list)
    lines: dict[Key, int] = field(default_factory=dict)

    def read(self) -> Plant:
        document = self._document()
        devices = {}
        for name, table in self._tables(document):
            if device := self._device(name, table):
                devices[name] = device
        plant = self._plant(document.get("plant", {}), devices)
        if self.faults or plant is None:
            raise PlantFileError(self.faults)
        return plant

    # -- the TOML file ------------------------------------------------------------------------

    def _document(self) -> dict[str, Any]:
        text = _text(self.path)
        self.lines = key_lines(text)
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"line (\d+)", str(error))
            line = int(found[1]) if found else 1
            raise PlantFileError(
                [Fault(file=self.path.name, line=line, key="", message=f"not TOML: {error}")]
            ) from error
        for key in document.keys() - {"plant", "devices"}:
            self._fault((key,), unknown(key, ("plant", "devices")))
        return document

    def _tables(self, document: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
        devices = document.get("devices", {})
        if not isinstance(devices, dict):
            self._fault(("devices",), "is a table of devices: [devices.pump1]")
            return
        for name, table in devices.items():
            if not isinstance(table, dict):
                self._fault(("devices", name), "is a table: [devices." + name + "]")
            elif not DEVICE_NAME.fullmatch(name):
                self._fault(
                    ("devices", name),
                    "a device name starts with a letter and has only letters, digits, _ and -",
                )
            else:
                yield name, table

    def _plant(self, table: Any, devices: dict[str, Device]) -> Plant | None:
        if not isinstance(table, dict):
            self._fault(("plant",), "is a table: [plant]")
            return None
        for key in table.keys() - {"name", "description"}:
            self._fault(("plant", key), unknown(key, ("name", "description")))
        known = {k: v for k, v in table.items() if k in ("name", "description")}
        return self._built(Plant, {**known, "devices": devices}, ("plant",))

    # -- one device ---------------------------------------------------------------------------

    def _device(self, name: str, table: dict[str, Any]) -> Device | None:
        key: Key = ("devices", name)
        before = len(self.faults)
        own = {k: v for k, v in table.items() if k in _DEVICE_KEYS}
        options = {k: v for k, v in table.items() if k not in _DEVICE_KEYS | _TABLES}
        if "url" in table:
            device = self._built(Device, {"name": name, **own}, key)
        else:
            device = None
            keys = {
                *_DEVICE_KEYS,
                *(field for dialect in self.dialects for field in dialect.device_options.model_fields),
            }
            self._fault(key, _missing("url", table, keys | _TABLES, 'url = "scheme://host:port"'))
        if device is None:  # which protocol it speaks is not known: only what all have in common is checked
            self._tags(Device.model_construct(name=name), table, None)
            return None
        dialect = self._dialect(device, key)
        if dialect:
            options = self._options(dialect.device_options, options, key, _DEVICE_KEYS | _TABLES)
        device = device.model_copy(update={"options": options})
        if dialect:
            self._checked(lambda: dialect.check_device(device), key)
        tags = self._tags(device, table, dialect)
        return device.model_copy(update={"tags": tags}) if len(self.faults) == before else None

    def _dialect(self, device: Device, key: Key) -> PlantDialect | None:
        found = next((d for d in self.dialects if device.scheme in d.schemes), None)
        known = {scheme for dialect in self.dialects for scheme in dialect.schemes}
        if found is None and nearest(device.scheme, known)[:1] and _looks_mistyped(device.scheme, known):
            self._fault((*key, "url"), unknown(device.scheme, known))
        return found

    def _options(self, model: type[BaseModel], given: dict[str, Any], key: Key, also: Iterable[str]) -> dict[str, Any]:
        for name in given.keys() - model.model_fields.keys():
            self._fault((*key, name), unknown(name, {*model.model_fields, *also}))
        known = {k: v for k, v in given.items() if k in model.model_fields}
        built = self._built(model, known, key)
        return built.model_dump(exclude_unset=True) if built else {}

    # -- its tags -----------------------------------------------------------------------------

    def _tags(self, device: Device, table: dict[str, Any], dialect: PlantDialect | None) -> dict[str, Tag]:
        key: Key = ("devices", device.name)
        tags: dict[str, Tag] = {}
        for name, row in self._inline_tags(table.get("tags", {}), key):
            where = (*key, "tags", name)
            self._add(tags, name, self._tag(device, name, row, dialect, where), where)
        for file in self._tag_tables(table.get("tag_tables", []), key):
            self._read_table(file, device, dialect, tags)
        return tags

    def _inline_tags(self, tags: Any, key: Key) -> Iterable[tuple[str, dict[str, Any]]]:
        if not isinstance(tags, dict):
            self._fault((*key, "tags"), "is a table of tags")
            return
        for name, row in tags.items():
            if isinstance(row, dict) and TAG_NAME.fullmatch(name):
                yield name, row
            elif isinstance(row, dict):
                self._fault((*key, "tags", name), "a tag name has only letters, digits and _ . - [ ]")
            else:
                self._fault((*key, "tags", name), 'is a table: { address = "…", unit = "…" }')

    def _tag_tables(self, files: Any, key: Key) -> Iterable[Path]:
        where = (*key, "tag_tables")
        if not isinstance(files, list) or not all(isinstance(f, str) for f in files):
            self._fault(where, 'is a list of CSV files: ["pump1.csv"]')
            return
        for file in files:
            found = (self.path.parent / file).resolve()
            if found.is_file():
                yield found
            else:
                self._fault(where, f"{file!r} does not exist beside {self.path.name}")

    def _tag(
        self, device: Device, name: str, row: dict[str, Any], dialect: PlantDialect | None, key: Key
    ) -> Tag | None:
        before = len(self.faults)
        if "address" not in row:
            keys = _TAG_KEYS | set(dialect.tag_options.model_fields if dialect else ())
            self._fault(key, _missing("address", row, keys, 'address = "…"'))
            return None
        own = {k: v for k, v in row.items() if k in _TAG_KEYS}
        options = {k: v for k, v in row.items() if k not in _TAG_KEYS}
        if isinstance(own.get("enum"), dict):
            own["enum"] = self._enum(own["enum"], key)
        if dialect:
            options = self._options(dialect.tag_options, options, key, _TAG_KEYS)
        options_are_sound = len(self.faults) == before
        tag = self._built(Tag, {"device": device.name, "name": name, **own, "options": options}, key)
        placed = tag or _placed(device, name, own, options)  # what else is wrong must not hide a wrong address
        if placed and dialect and options_are_sound:
            self._checked(lambda: dialect.check_tag(placed, device), (*key, "address"))
        return tag if len(self.faults) == before else None

    def _enum(self, given: dict[str, Any], key: Key) -> dict[int, Any]:
        enum = {}
        for number, label in given.items():
            if re.fullmatch(r"-?\d+", number):
                enum[int(number)] = label
            else:
                self._fault((*key, "enum"), f'{number!r} is not a whole number; write 0 = "stopped"')
        return enum

    def _add(self, tags: dict[str, Tag], name: str, tag: Tag | None, where: Key) -> None:
        if name in tags:
            self._fault(where, f"tag {name!r} is there twice")
        elif tag:
            tags[name] = tag

    # -- a tag table --------------------------------------------------------------------------

    def _read_table(self, file: Path, device: Device, dialect: PlantDialect | None, tags: dict[str, Tag]) -> None:
        reader = _Reader(file, self.dialects, self.faults)
        text = _text(file)
        header = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=header.count)
        rows = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
        columns = [c.strip().lower() for c in rows.fieldnames or []]
        rows.fieldnames = columns
        options = set(dialect.tag_options.model_fields) if dialect else set[str]()
        known = {"name", *_TAG_KEYS, *_WRITE_COLUMNS, *options} - {"write", "enum"}
        for column in columns:
            if column not in known and dialect:
                reader.fault_at(1, column, unknown(column, known))
        if missing := {"name", "address"} - set(columns):
            reader.fault_at(1, "", f"the header has no column {' and no column '.join(sorted(missing))}")
            return
        try:
            for row in rows:
                reader.lines = {(): rows.line_num}
                reader.read_row(row, device, dialect, tags)
        except csv.Error as error:
            reader.fault_at(rows.line_num, "", f"not CSV: {error}")

    def read_row(
        self, row: Mapping[str, Any], device: Device, dialect: PlantDialect | None, tags: dict[str, Tag]
    ) -> None:
        if None in row or None in row.values():
            self._fault((), "the row has more or fewer cells than the header")
            return
        cells = {k: v.strip() for k, v in row.items() if v.strip()}
        name = cells.pop("name", "")
        if not cells and not name:
            return
        if not TAG_NAME.fullmatch(name):
            self._fault(("name",), f"{name!r}: a tag name has only letters, digits and _ . - [ ]")
            return
        numbers = {k: self._number(k, cells.pop(k)) for k in list(cells) if k in _NUMBER_COLUMNS | set(_WRITE_COLUMNS)}
        write = {_WRITE_COLUMNS[k]: v for k, v in numbers.items() if k in _WRITE_COLUMNS}
        plain: dict[str, Any] = {k: v for k, v in numbers.items() if k not in _WRITE_COLUMNS}
        if write:
            plain["write"] = write
        if None not in numbers.values():
            self._add(tags, name, self._tag(device, name, {**cells, **plain}, dialect, (name,)), (name,))

    def _number(self, column: str, cell: str) -> float | int | None:
        try:
            return int(cell) if re.fullmatch(r"[+-]?\d+", cell) else float(cell)
        except ValueError:
            self._fault((column,), f"{cell!r} is not a number (write 0.5 with a point)")
            return None

    # -- faults -------------------------------------------------------------------------------

    def fault_at(self, line: int, key: str, message: str) -> None:
        self.faults.append(Fault(file=self.path.name, line=line, key=key, message=message))

    def _fault(self, key: Key, message: str) -> None:
        self.fault_at(line_of(key, self.lines), ".".join(key), message)

    def _checked(self, check: Any, key: Key) -> None:
        try:
            check()
        except ValueError as error:
            self._fault(key, str(error))

    def _built(self, model: type[_M], values: dict[str, Any], key: Key) -> _M | None:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            for at, message in told(error, model):
                self._fault((*key, *at), message)
            return None


def _placed(device: Device, name: str, own: Mapping[str, Any], options: dict[str, Any]) -> Tag | None:
    """The tag with nothing but its address and type; None where these make none."""
    place = {key: own[key] for key in ("address", "type") if key in own}
    try:
        return Tag.model_validate({"device": device.name, "name": name, **place, "options": options})
    except ValidationError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        fault = Fault(file=path.name, line=line, key="", message="not UTF-8; save it as UTF-8 (Excel: 'CSV UTF-8')")
        raise PlantFileError([fault]) from error
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise PlantFileError([Fault(file=str(path), line=0, key="", message=message)]) from error


def _missing(key: str, table: Mapping[str, Any], known: Iterable[str], form: str) -> str:
    """A key that is needed and not there, and the one that may have been meant for it."""
    strangers = [name for name in table if name not in known and nearest(name, known)[0] == key]
    instead = f"; is {strangers[0]!r} meant for it?" if strangers else ""
    return f"{key} is missing{instead or f'; it looks like {form}'}"


def _looks_mistyped(scheme: str, known: set[str]) -> bool:
    return nearest(scheme, known)[0].split("-")[0].split(".")[0] == scheme.split("-")[0].split(".")[0]
