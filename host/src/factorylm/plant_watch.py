"""The plant file, edited while the host runs: taken over when it is sound, refused when not, and said which."""

import asyncio
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio.to_thread
from factorylm_schema import FactoryLMError, Plant, PlantFileError
from factorylm_schema.errors import Fault

Outcome = Literal["reloaded", "refused"]
# name, modification time and size of every file the plant is made of
_Signature = tuple[tuple[str, int, int], ...]


@dataclass
class PlantWatch:
    """`look` once a second; a file that is still being written is left until it rests."""

    path: Path
    load: Callable[[], Plant]
    take_over: Callable[[Plant], Awaitable[None]]
    told: Callable[[Outcome, str], None]
    plant: Plant
    period_s: float = 1.0
    _taken: _Signature = field(init=False)
    _seen: _Signature = field(init=False)

    def __post_init__(self) -> None:
        self._taken = self._seen = signature(self.path)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self.period_s)
            await self.look()

    async def look(self) -> None:
        """One look; what was found is acted upon when the next look finds the same."""
        now = signature(self.path)
        rests, self._seen = now == self._seen, now
        if now == self._taken or not rests:
            return
        self._taken = now
        try:
            plant = await anyio.to_thread.run_sync(self._sound)
        except FactoryLMError as error:
            self.told("refused", f"the edited plant file is refused, the old one stays in force: {error}")
            return
        if plant != self.plant:
            said = changes(self.plant, plant)
            self.plant = plant
            await self.take_over(plant)
            self.told("reloaded", f"the edited plant file is in force: {said}")

    def _sound(self) -> Plant:
        plant = self.load()
        if self.plant.devices and not plant.devices:
            raise PlantFileError(
                [Fault(file=self.path.name, line=1, key="devices", message="no device is named any more")]
            )
        return plant


def signature(path: Path) -> _Signature:
    """What tells an edited plant file, or tag table, from the one before."""
    return tuple(_stat(file) for file in (path, *_tables(path)))


def changes(before: Plant, after: Plant) -> str:
    """The difference in one line: `2 devices, 12 tags; new: e; changed: d`."""
    old, new = before.devices, after.devices
    groups = {
        "new": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "gone": [name for name in old if name not in new],
    }
    tags = sum(len(device.tags) for device in new.values())
    said = [f"{kind}: {', '.join(names)}" for kind, names in groups.items() if names]
    return "; ".join([f"{len(new)} devices, {tags} tags", *said])


def _stat(file: Path) -> tuple[str, int, int]:
    try:
        found = file.stat()
    except OSError:
        return str(file), 0, 0
    return str(file), found.st_mtime_ns, found.st_size


def _tables(path: Path) -> list[Path]:
    """The tag tables beside the plant file; none while it cannot be read."""
    try:
        devices = tomllib.loads(path.read_bytes().decode("utf-8-sig")).get("devices", {})
    except (OSError, ValueError):
        return []
    tables = devices.values() if isinstance(devices, dict) else ()
    listed = [table.get("tag_tables", ()) for table in tables if isinstance(table, dict)]
    return [
        path.parent / name for names in listed if isinstance(names, list) for name in names if isinstance(name, str)
    ]
