"""The simulated pump as a Modbus device."""

from factorylm_skill.simulated_pump import MODES, Pump

from factorylm_modbus.address import Table, parse
from factorylm_modbus.simulated_device import SimulatedDevice


def pump_station(pump: Pump) -> SimulatedDevice:
    """The pump as a Modbus device: its registers follow it, and writing them steers it."""
    device = SimulatedDevice(refresh=lambda memory: _show(pump, memory), written=lambda at: _steer(pump, device, at))
    device.define(Table.HOLDING_REGISTER, 0, 40)
    device.define(Table.INPUT_REGISTER, 0, 8)
    device.define(Table.DISCRETE_INPUT, 0, 8)
    device.define(Table.COIL, 0, 8)
    return device


def _show(pump: Pump, memory: SimulatedDevice) -> None:
    pump.advance()
    warm = pump.bearing_temperature > 80
    status = pump.running | (pump.mode == 2) << 1 | warm << 2
    for at, word in enumerate((round(pump.speed), pump.setpoint, pump.mode, status)):
        memory.put(Table.HOLDING_REGISTER, at, word)
    memory.place(parse("holding-register:11:REAL"), pump.current)
    memory.place(parse("holding-register:13:REAL"), pump.flow)
    memory.place(parse("holding-register:15:REAL"), pump.pressure)
    memory.place(parse("holding-register:21:STRING[16]"), pump.nameplate)
    memory.place(parse("input-register:1:INT"), round(pump.bearing_temperature * 10))
    memory.place(parse("discrete-input:1"), pump.running)
    memory.place(parse("coil:1"), pump.beacon)


def _steer(pump: Pump, memory: SimulatedDevice, at: tuple[Table, int]) -> None:
    value = memory.get(*at)
    if at == (Table.HOLDING_REGISTER, 1):
        pump.setpoint = value
    elif at == (Table.HOLDING_REGISTER, 2) and value in MODES:
        pump.mode = value
    elif at == (Table.COIL, 0):
        pump.beacon = bool(value)
