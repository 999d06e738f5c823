"""Any live process as a Modbus device: bits in coils and inputs, all else in holding registers, one after another."""

from dataclasses import dataclass

from factorylm_schema import Value
from factorylm_skill.live_process import LiveProcess, Signal
from factorylm_skill.process_plant import process_plant

from factorylm_modbus.address import Address, Table, parse
from factorylm_modbus.simulated_device import SimulatedDevice
from factorylm_modbus.values import decode

_TYPES = {"int": "DINT", "real": "REAL", "text": "STRING[16]"}


@dataclass(frozen=True)
class ProcessLayout:
    """A live process with a place for each of its signals."""

    process: LiveProcess
    places: dict[str, Address]

    def device(self) -> SimulatedDevice:
        """It as a Modbus device."""
        device = SimulatedDevice(refresh=self._show, written=lambda at: self._steer(device, at))
        for place in self.places.values():
            device.define(place.table, place.offset, place.count)
        return device

    def plant(self, device: str, url: str) -> str:
        """Its plant file."""

        def address(signal: Signal) -> str:
            return self.places[signal.name].canonical

        return process_plant(self.process, device=device, url=url, address=address, byte_order="ABCD")

    def _show(self, memory: SimulatedDevice) -> None:
        self.process.advance()
        for name, place in self.places.items():
            memory.place(place, self.process.value(name))

    def _steer(self, memory: SimulatedDevice, at: tuple[Table, int]) -> None:
        """The last register or coil of a signal has been written."""
        for signal in self.process.signals:
            place = self.places[signal.name]
            if signal.write and at == (place.table, place.offset + place.count - 1):
                self.process.set(signal.name, _get(memory, place))


def laid_out(process: LiveProcess) -> ProcessLayout:
    """Signals one after another: bits as coils where they can be written, all else in holding registers."""
    free = dict.fromkeys(Table, 0)
    places: dict[str, Address] = {}
    for signal in process.signals:
        table = _table(signal)
        tail = "" if table.of_bits else f":{_TYPES[signal.type]}"
        place = parse(f"{table}:{free[table] + 1}{tail}")
        free[table] += place.count
        places[signal.name] = place
    return ProcessLayout(process, places)


def _table(signal: Signal) -> Table:
    if signal.type == "bool":
        return Table.COIL if signal.write else Table.DISCRETE_INPUT
    return Table.HOLDING_REGISTER


def _get(memory: SimulatedDevice, place: Address) -> Value:
    if place.table.of_bits:
        return bool(memory.get(place.table, place.offset))
    words = [memory.get(place.table, place.offset + at) for at in range(place.count)]
    return decode(b"".join(word.to_bytes(2, "big") for word in words), place)
