"""Any live process as a CPU: its signals stand one after the other in DB1, read by byte address."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from factorylm_schema import Value
from factorylm_skill.live_process import LiveProcess, Signal
from factorylm_skill.process_plant import process_plant

from factorylm_s7.address import Address, parse
from factorylm_s7.layout import range_of
from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_s7.values import decode

_BLOCK = 1
_TYPES = {"bool": "DB{block}.DBX{at}.0:BOOL", "int": "DB{block}.DBD{at}:DINT", "real": "DB{block}.DBD{at}:REAL"}
_TEXT = "DB{block}.DBB{at}:STRING[16]"


@dataclass
class ProcessBlock:
    """The process on one side, the CPU's memory on the other."""

    process: LiveProcess
    cpu: SimulatedCpu
    addresses: dict[str, Address] = field(init=False)
    _shown: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.addresses = dict(_laid_out(self.process))
        end = max((address.start + address.size for address in self.addresses.values()), default=0)
        self.cpu.blocks[_BLOCK] = bytearray(end + end % 2)
        self.cpu.refresh = lambda _: self.show()
        self.cpu.written = lambda _: self.steer()

    def show(self) -> None:
        """The process moves on and the block follows."""
        self.process.advance()
        for name, address in self.addresses.items():
            self.cpu.put(str(address), self.process.value(name))
            self._shown[name] = self._held(address)

    def steer(self) -> None:
        """What a write has changed reaches the process."""
        for signal in self.process.signals:
            held = self._held(self.addresses[signal.name])
            if signal.write and held != self._shown[signal.name]:
                self.process.set(signal.name, held)
                self._shown[signal.name] = held

    def _held(self, address: Address) -> Value:
        place = range_of(address)
        data = bytes(self.cpu.blocks[_BLOCK][place.start : place.end])
        value = decode(address.type, data, bit=address.bit, length=address.length)
        assert not isinstance(value, list)
        return value

    def plant(self, device: str, url: str) -> str:
        """The plant file that describes the block."""

        def address(signal: Signal) -> str:
            return str(self.addresses[signal.name])

        return process_plant(self.process, device=device, url=url, address=address, system_lists=True)


def _laid_out(process: LiveProcess) -> Iterator[tuple[str, Address]]:
    """Each signal's address; every one begins at an even byte."""
    at = 0
    for signal in process.signals:
        address = parse(_TYPES.get(signal.type, _TEXT).format(block=_BLOCK, at=at))
        yield signal.name, address
        at += address.size + address.size % 2
