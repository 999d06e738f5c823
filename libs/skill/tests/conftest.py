"""A small plant in memory, so that the kit is tested without any protocol."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from factorylm_schema import Device, DeviceError, Identity, PlantDialect, Reading, Tag, Value
from factorylm_skill import AuditLog, FaultSwitches, ProtocolSkill, Settings, Simulation, to_reading
from factorylm_skill.command import simulated_plant
from pydantic import BaseModel, ConfigDict

TOML = """
[plant]
name = "Shed"

[devices.d]
url = "memory://shed"

[devices.d.tags]
level = { address = "level", unit = "m", min = 0, max = 10 }
valve = { address = "valve", write = { allowed = [true, false] } }
mode = { address = "mode", enum = { 0 = "stopped", 1 = "running" } }
note = { address = "note" }

[devices.d.tags.setpoint]
address = "setpoint"
unit = "/min"
description = "Pump set-point"
write = { min = 0, max = 100, max_step = 20, per_minute = 3 }
"""


class NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


@dataclass
class Memory:
    """A device of plain values; `fails` is raised by the next call, `on_write` may change what a write does."""

    values: dict[str, Value] = field(
        default_factory=lambda: {"level": 2.5, "setpoint": 50, "valve": False, "mode": 1, "note": "ok\u202e"}
    )
    writes: list[tuple[str, Value]] = field(default_factory=list)
    read_fails: DeviceError | None = None
    write_fails: Exception | None = None
    identify_fails: DeviceError | None = None
    ignores_writes: bool = False
    gate: asyncio.Event | None = None
    closed: int = 0

    async def identify(self) -> Identity:
        if self.identify_fails:
            raise self.identify_fails
        return Identity(vendor="Shed works", product="\x1bbox")

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        if self.gate:
            await self.gate.wait()
        if self.read_fails:
            raise self.read_fails
        now = datetime.now(UTC)
        return [to_reading(tag, self.values[tag.address], now) for tag in tags]

    async def write(self, tag: Tag, value: Value) -> None:
        self.writes.append((tag.address, value))
        if self.write_fails:
            raise self.write_fails
        if not self.ignores_writes:
            self.values[tag.address] = value

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def skill(memory: Memory) -> ProtocolSkill:
    def connect(_: Device) -> Memory:
        return memory

    @asynccontextmanager
    async def simulate(*, port: int = 0, process=None, device: str = "pump1"):
        yield Simulation(plant_toml=TOML, faults=FaultSwitches())

    return ProtocolSkill(
        name="shed",
        title="Shed",
        version="0.1.0",
        instructions="Reads the shed.",
        package="factorylm_skill",
        dialect=PlantDialect(schemes=frozenset({"memory"}), device_options=NoOptions, tag_options=NoOptions),
        connect=connect,
        simulate=simulate,
        address_example="level",
    )


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.jsonl")


@pytest.fixture
def settings(skill: ProtocolSkill) -> Settings:
    return Settings(plant=simulated_plant(TOML, skill))


@pytest.fixture
def writing(settings: Settings, audit: AuditLog) -> Settings:
    return Settings(plant=settings.plant, allow_writes=True, audit=audit)
