"""What the simulator serves: the small pump, or any live process laid out in Modbus tables."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from factorylm_schema import Value
from factorylm_skill.live_process import LiveProcess, Signal
from factorylm_skill.simulated_pump import MODES, Pump

from factorylm_modbus.address import Address, Table, parse
from factorylm_modbus.simulated_device import SimulatedDevice
from factorylm_modbus.values import decode, encode

_PUMP_URL = "modbus-tcp://127.0.0.1:502?unit=1"
_TYPES = {"int": "DINT", "real": "REAL", "text": "STRING[16]"}


# -- the pump ---------------------------------------------------------------------------------


def pump_plant(url: str) -> str:
    """The plant file of the pump."""
    text = files("factorylm_modbus").joinpath("simulated_plant.toml").read_text(encoding="utf-8")
    return text.replace(_PUMP_URL, url)


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
    _put(memory, parse("holding-register:11:REAL"), pump.current)
    _put(memory, parse("holding-register:13:REAL"), pump.flow)
    _put(memory, parse("holding-register:15:REAL"), pump.pressure)
    _put(memory, parse("holding-register:21:STRING[16]"), pump.nameplate)
    _put(memory, parse("input-register:1:INT"), round(pump.bearing_temperature * 10))
    _put(memory, parse("discrete-input:1"), pump.running)
    _put(memory, parse("coil:1"), pump.beacon)


def _steer(pump: Pump, memory: SimulatedDevice, at: tuple[Table, int]) -> None:
    value = memory.get(*at)
    if at == (Table.HOLDING_REGISTER, 1):
        pump.setpoint = value
    elif at == (Table.HOLDING_REGISTER, 2) and value in MODES:
        pump.mode = value
    elif at == (Table.COIL, 0):
        pump.beacon = bool(value)


# -- any process ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Station:
    """A live process with a place for each of its signals."""

    process: LiveProcess
    places: dict[str, Address]

    def device(self) -> SimulatedDevice:
        """It as a Modbus device."""
        device = SimulatedDevice(refresh=self._show, written=lambda at: self._steer(device, at))
        for place in self.places.values():
            device.define(place.table, place.offset, place.count)
        return device

    def plant(self, url: str, name: str) -> str:
        """Its plant file."""
        head = ["[plant]", 'name = "Simulated process"', "", f"[devices.{name}]"]
        body = [f"url = {json.dumps(url)}", 'byte_order = "ABCD"', "", f"[devices.{name}.tags]"]
        tags = [f"{json.dumps(s.name)} = {{ {', '.join(self._keys(s))} }}" for s in self.process.signals]
        return "\n".join([*head, *body, *tags, ""])

    def _keys(self, signal: Signal) -> Iterator[str]:
        yield f"address = {json.dumps(self.places[signal.name].canonical)}"
        for key, text in (("unit", signal.unit), ("description", signal.description)):
            if text:
                yield f"{key} = {json.dumps(text)}"
        for key, bound in (("min", signal.minimum), ("max", signal.maximum)):
            if bound is not None:
                yield f"{key} = {bound!r}"
        if signal.enum:
            states = ", ".join(f"{number} = {json.dumps(label)}" for number, label in signal.enum.items())
            yield f"enum = {{ {states} }}"
        if signal.write:
            limits = signal.write.model_dump(exclude_none=True, exclude_defaults=True)
            yield f"write = {{ {', '.join(f'{key} = {json.dumps(limit)}' for key, limit in limits.items())} }}"

    def _show(self, memory: SimulatedDevice) -> None:
        self.process.advance()
        for name, place in self.places.items():
            _put(memory, place, self.process.value(name))

    def _steer(self, memory: SimulatedDevice, at: tuple[Table, int]) -> None:
        """The last register or coil of a signal has been written."""
        for signal in self.process.signals:
            place = self.places[signal.name]
            if signal.write and at == (place.table, place.offset + place.count - 1):
                self.process.set(signal.name, _get(memory, place))


def station_of(process: LiveProcess) -> Station:
    """Signals one after another: bits as coils where they can be written, all else in holding registers."""
    free = dict.fromkeys(Table, 0)
    places: dict[str, Address] = {}
    for signal in process.signals:
        table = _table(signal)
        tail = "" if table.of_bits else f":{_TYPES[signal.type]}"
        place = parse(f"{table}:{free[table] + 1}{tail}")
        free[table] += place.count
        places[signal.name] = place
    return Station(process, places)


def _table(signal: Signal) -> Table:
    if signal.type == "bool":
        return Table.COIL if signal.write else Table.DISCRETE_INPUT
    return Table.HOLDING_REGISTER


def _put(memory: SimulatedDevice, place: Address, value: Value) -> None:
    if place.table.of_bits:
        memory.put(place.table, place.offset, int(bool(value)))
    else:
        memory.put_bytes(place.table, place.offset, encode(value, place))


def _get(memory: SimulatedDevice, place: Address) -> Value:
    if place.table.of_bits:
        return bool(memory.get(place.table, place.offset))
    words = [memory.get(place.table, place.offset + at) for at in range(place.count)]
    return decode(b"".join(word.to_bytes(2, "big") for word in words), place)
