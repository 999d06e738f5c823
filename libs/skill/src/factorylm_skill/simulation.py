"""A simulated device on loopback, as every protocol skill brings one."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from factorylm_skill.faults import FaultSwitches
from factorylm_skill.live_process import LiveProcess


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A running simulator: the plant file that describes it, and the switches that make it misbehave."""

    plant_toml: str
    faults: FaultSwitches


class Simulates(Protocol):
    """Starts the simulator on 127.0.0.1 (port 0: any free one) and stops it when the block ends.

    Without a process it is the small pump; with one, the device is called `device` in the plant file.
    """

    def __call__(
        self, *, port: int = 0, process: LiveProcess | None = None, device: str = "pump1"
    ) -> AbstractAsyncContextManager[Simulation]: ...
