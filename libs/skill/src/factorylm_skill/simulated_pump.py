"""The small live process behind the simulator: a motor-driven pump. Deterministic for a given clock and seed."""

import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files

RATED_SPEED = 1480.0  # /min, a four-pole motor on 50 Hz
MODES = {0: "off", 1: "manual", 2: "automatic"}
NAMEPLATE = "FLM-PUMP-01"


@dataclass
class Pump:
    """Reads as it is at the clock's present moment; `setpoint`, `mode` and `beacon` may be set."""

    clock: Callable[[], float]
    seed: int = 1
    setpoint: int = 1200
    mode: int = 2
    beacon: bool = False
    speed: float = 1200.0
    bearing_temperature: float = 48.0
    nameplate: str = NAMEPLATE
    _at: float = field(init=False)
    _phase: float = field(init=False)

    def __post_init__(self) -> None:
        self._at = self.clock()
        # Simulated noise, not a secret
        self._phase = random.Random(self.seed).uniform(0, math.tau)  # noqa: S311

    def advance(self) -> None:
        """Bring speed and bearing temperature up to now: two first-order lags, solved exactly."""
        now = self.clock()
        elapsed, self._at = max(0.0, now - self._at), now
        wanted = 0.0 if self.mode == 0 else float(min(self.setpoint, 1800))
        self.speed += (wanted - self.speed) * (1 - math.exp(-elapsed / 2.0))
        warm = 25 + 35 * (self.speed / RATED_SPEED) ** 2
        self.bearing_temperature += (warm - self.bearing_temperature) * (1 - math.exp(-elapsed / 120.0))

    @property
    def running(self) -> bool:
        """The shaft turns."""
        return self.speed > 10

    @property
    def flow(self) -> float:
        """m3/h, proportional to speed, with a small ripple."""
        return max(0.0, 42.0 * self.speed / RATED_SPEED + 0.3 * self._ripple(1.7)) if self.running else 0.0

    @property
    def pressure(self) -> float:
        """bar, with the square of speed."""
        return 0.2 + 4.8 * (self.speed / RATED_SPEED) ** 2 + 0.02 * self._ripple(2.3)

    @property
    def current(self) -> float:
        """A, with the cube of speed above the magnetising current."""
        return 3.1 + 11.4 * (self.speed / RATED_SPEED) ** 3 + 0.05 * self._ripple(3.1) if self.running else 0.0

    def _ripple(self, frequency: float) -> float:
        return math.sin(frequency * self._at + self._phase)


def pump_plant(package: str, url: str) -> str:
    """The plant file that `package` ships for the pump (`simulated_plant.toml`), with its device at `url`."""
    text = files(package).joinpath("simulated_plant.toml").read_text(encoding="utf-8")
    return re.sub(r'(?m)^url = ".*"', lambda _: f"url = {json.dumps(url)}", text, count=1)
