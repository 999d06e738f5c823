"""Any live process as a controller: its signals are the members of one structure tag named after the device."""

from dataclasses import dataclass, field

from factorylm_schema import Value
from factorylm_skill.engineering import shortest
from factorylm_skill.live_process import LiveProcess, Signal
from factorylm_skill.process_plant import process_plant

from factorylm_enip.simulated_controller import Controller
from factorylm_enip.simulated_tags import Symbol, Template, got, put, string_template, structure

_TEXT = string_template(0x1A0, "STRING16", 16)
_TYPES: dict[str, str | Template] = {"bool": "BOOL", "int": "DINT", "real": "REAL", "text": _TEXT}


@dataclass
class ProcessTags:
    """The process on one side, the controller's memory on the other."""

    process: LiveProcess
    controller: Controller
    device: str
    _symbol: Symbol = field(init=False)
    _shown: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.controller.learn(_TEXT)
        members = [(signal.name, _TYPES[signal.type], 0) for signal in self.process.signals]
        kind = self.controller.learn(structure(0x1B0, "UDT_Process", members))
        self._symbol = self.controller.tags.add(tag_name(self.device), kind)
        self.controller.refresh = self.show
        self.controller.written = self.steer
        self.show()

    def show(self) -> None:
        """The process moves on and the members follow."""
        self.process.advance()
        for signal in self.process.signals:
            put(self._symbol, [signal.name], self.process.value(signal.name))
            self._shown[signal.name] = got(self._symbol, [signal.name])

    def steer(self) -> None:
        """What a write has changed reaches the process."""
        for signal in self.process.signals:
            value = got(self._symbol, [signal.name])
            if signal.write and value != self._shown[signal.name]:
                self.process.set(signal.name, shortest(value) if signal.type == "real" else value)
                self._shown[signal.name] = value

    def plant(self, url: str) -> str:
        """The plant file that describes the layout."""
        return process_plant(self.process, device=self.device, url=url, address=self._address)

    def _address(self, signal: Signal) -> str:
        return f"{tag_name(self.device)}.{signal.name}"


def tag_name(device: str) -> str:
    """A device's name as a controller can say it."""
    return device.replace("-", "_")
