"""The simulated pump as a CPU's data block."""

from datetime import UTC, datetime

from factorylm_skill.simulated_pump import MODES, Pump

from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_s7.values import decode


def pump_station(pump: Pump) -> SimulatedCpu:
    """The pump as a CPU's data block: it follows the pump, and writing it steers the pump."""
    return SimulatedCpu(
        blocks={1: bytearray(64)},
        refresh=lambda cpu: _show(pump, cpu),
        written=lambda cpu: _steer(pump, cpu),
        clock=wall_clock,
    )


def _show(pump: Pump, cpu: SimulatedCpu) -> None:
    pump.advance()
    for address, value in (
        ("DB1.DBD0:REAL", pump.speed),
        ("DB1.DBW4:INT", pump.setpoint),
        ("DB1.DBW6:INT", pump.mode),
        ("DB1.DBD8:REAL", pump.current),
        ("DB1.DBD12:REAL", pump.flow),
        ("DB1.DBD16:REAL", pump.pressure),
        ("DB1.DBW20:INT", round(pump.bearing_temperature * 10)),
        ("DB1.DBX22.0", pump.running),
        ("DB1.DBX22.1", pump.beacon),
        ("DB1.DBB24:STRING[16]", pump.nameplate),
    ):
        cpu.put(address, value)


def _steer(pump: Pump, cpu: SimulatedCpu) -> None:
    memory = bytes(cpu.blocks[1])
    pump.setpoint = int.from_bytes(memory[4:6], signed=True)
    mode = int.from_bytes(memory[6:8], signed=True)
    pump.mode = mode if mode in MODES else pump.mode
    pump.beacon = bool(memory[22] & 2)
    pump.nameplate = str(decode("STRING", memory[24:42], length=16))


def wall_clock() -> datetime:
    """As a CPU shows it: without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
