"""Any live process as an OPC UA server of its own: one variable for each signal."""

from dataclasses import dataclass

from factorylm_schema import Value
from factorylm_skill.live_process import LiveProcess, Signal
from factorylm_skill.process_plant import process_plant

from factorylm_opcua.simulated_server import SimulatedServer, Variable

PROCESS_NAMESPACE = "urn:factorylm:simulator:process"
_TYPES = {"bool": "Boolean", "int": "Int32", "real": "Double", "text": "String"}


@dataclass(frozen=True)
class ProcessServer:
    """Each signal a variable `device.signal`; measured values have a history."""

    process: LiveProcess
    device: str
    core: SimulatedServer

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.core.port

    async def start(self) -> None:
        """Build and listen."""
        await self.core.prepare()
        await self.core.listen()

    async def stop(self) -> None:
        """Stop listening."""
        await self.core.stop()

    def plant(self, url: str) -> str:
        """The plant file that describes it."""
        return process_plant(self.process, device=self.device, url=url, address=self._address)

    def _address(self, signal: Signal) -> str:
        return f"nsu={PROCESS_NAMESPACE};s={self.device}.{signal.name}"


def process_server(process: LiveProcess, device: str) -> ProcessServer:
    """The process as a server that has not started."""
    variables = [_variable(process, signal) for signal in process.signals]
    core = SimulatedServer(name=device, namespace=PROCESS_NAMESPACE, variables=variables, advance=process.advance)
    return ProcessServer(process, device, core)


def _variable(process: LiveProcess, signal: Signal) -> Variable:
    def writes(value: Value) -> None:
        if value != process.value(signal.name):
            process.set(signal.name, value)

    return Variable(
        name=signal.name,
        type=_TYPES[signal.type],
        reads=lambda: process.value(signal.name),
        writes=writes if signal.write else None,
        unit=signal.unit,
        low=signal.minimum,
        high=signal.maximum,
        historized=signal.type == "real",
    )
