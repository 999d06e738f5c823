"""The equations of the demo plant's machines: small, named, and integrated in steps of a second or less.

Every machine is first-order lags around algebra, so that its gains and time constants are known exactly and a
model learnt from its history can be judged against them.
"""

import math
from dataclasses import dataclass

RATED_SPEED = 1480.0  # /min, four poles on 50 Hz
METRES_PER_BAR = 10.2  # of water


def lagged(value: float, wanted: float, tau_s: float, dt_s: float) -> float:
    """One step of a first-order lag, solved exactly."""
    return value + (wanted - value) * (1 - math.exp(-dt_s / tau_s))


@dataclass
class Pump:
    """P-101, a centrifugal pump on a drive: affinity laws against a static head and the outlet valve."""

    setpoint: float = 1200.0
    speed: float = 1200.0
    flow: float = 37.8
    suction: float = 1.2
    bearing_temperature: float = 46.0
    running: bool = True
    supplied: bool = True

    SHUT_OFF_HEAD = 52.0  # m at rated speed
    STATIC_HEAD = 8.0  # m
    PUMP_LOSS = 0.0075  # m/(m3/h)2
    PIPE_LOSS = 0.0060  # m/(m3/h)2
    SPEED_TAU_S = 2.0
    FLOW_TAU_S = 1.5
    BEARING_TAU_S = 300.0
    BEARING_RISE = 32.0  # K at rated speed, healthy

    def step(self, dt_s: float, *, ambient: float, wear: float, cavitation: float) -> None:
        """`wear` and `cavitation` run from 0 (healthy) to 1 (failed)."""
        self.speed = lagged(self.speed, self.setpoint if self.turning else 0.0, self.SPEED_TAU_S, dt_s)
        self.suction = 1.2 - 0.75 * cavitation
        self.flow = lagged(self.flow, self.steady_flow(self.speed) * (1 - 0.18 * cavitation), self.FLOW_TAU_S, dt_s)
        rise = self.BEARING_RISE * self._ratio**2 * (1 + 1.6 * wear)
        self.bearing_temperature = lagged(self.bearing_temperature, ambient + rise, self.BEARING_TAU_S, dt_s)

    @property
    def turning(self) -> bool:
        """Switched on, and with a supply."""
        return self.running and self.supplied

    @classmethod
    def steady_flow(cls, speed: float) -> float:
        """m3/h where the pump's curve meets the system's."""
        head = cls.SHUT_OFF_HEAD * (speed / RATED_SPEED) ** 2 - cls.STATIC_HEAD
        return float(math.sqrt(max(0.0, head) / (cls.PUMP_LOSS + cls.PIPE_LOSS)))

    @property
    def discharge(self) -> float:
        """bar at the outlet."""
        head = self.SHUT_OFF_HEAD * self._ratio**2 - self.PUMP_LOSS * self.flow**2
        return self.suction + head / METRES_PER_BAR

    def power(self, wear: float) -> float:
        """kW at the shaft; a worn bearing rubs."""
        hydraulic = self.flow * (self.discharge - self.suction) / 36.0
        return hydraulic / 0.72 + 0.35 * self._ratio * (1 + 1.5 * wear)

    def vibration(self, wear: float, cavitation: float) -> float:
        """mm/s RMS at the drive-end bearing."""
        worn = wear * math.sqrt(wear)
        return 0.3 + 1.1 * self._ratio**2 * (1 + 6.0 * worn) + 2.4 * cavitation

    @property
    def _ratio(self) -> float:
        return self.speed / RATED_SPEED


@dataclass
class Tank:
    """T-201 with its outlet valve V-201 under level control (PI, with the integral held while saturated)."""

    level: float = 2.0
    level_setpoint: float = 2.0
    valve: float = 0.5
    command: float = 0.5
    integral: float = 0.5

    AREA = 6.0  # m2
    OUTLET = 53.5  # m3/h at full opening per root of a metre
    VALVE_TAU_S = 3.0
    GAIN = 0.9
    RESET_S = 240.0
    FULL = 4.0  # m

    def step(self, dt_s: float, *, inflow: float, measured: float, stuck: bool) -> None:
        """The controller sees `measured`, which a drifting sensor bends away from `level`."""
        error = measured - self.level_setpoint
        wanted = self.integral + self.GAIN * error
        self.command = min(1.0, max(0.0, wanted))
        if wanted == self.command:
            self.integral += self.GAIN * error * dt_s / self.RESET_S
        if not stuck:
            self.valve = lagged(self.valve, self.command, self.VALVE_TAU_S, dt_s)
        change = (inflow - self.outflow) / 3600 * dt_s / self.AREA
        self.level = min(self.FULL, max(0.0, self.level + change))

    @property
    def outflow(self) -> float:
        """m3/h through the valve."""
        return self.OUTLET * self.valve * math.sqrt(self.level)


@dataclass
class Conveyor:
    """C-401 of the packaging line: belt speed, load, and the motor it warms."""

    setpoint: float = 24.0
    speed: float = 24.0
    load: float = 0.6
    motor_temperature: float = 55.0
    produced: float = 0.0
    running: bool = True
    supplied: bool = True

    SPEED_TAU_S = 4.0
    MOTOR_TAU_S = 900.0
    PIECES_PER_M = 2.5

    def step(self, dt_s: float, *, ambient: float, demand: float) -> None:
        """`demand` from 0 to 1 is how full the belt should be."""
        self.speed = lagged(self.speed, self.setpoint if self.turning else 0.0, self.SPEED_TAU_S, dt_s)
        self.load = lagged(self.load, demand, 120.0, dt_s)
        self.produced += self.speed / 60 * dt_s * self.PIECES_PER_M * self.load
        warm = ambient + 1.05 * self.current**2
        self.motor_temperature = lagged(self.motor_temperature, warm, self.MOTOR_TAU_S, dt_s)

    @property
    def turning(self) -> bool:
        """Switched on, and with a supply."""
        return self.running and self.supplied

    @property
    def current(self) -> float:
        """A, from idling to a full belt."""
        return (2.2 + 4.6 * self.load * self.speed / 24.0) if self.speed > 0.5 else 0.0


@dataclass
class Exchanger:
    """E-301 cools the product with river water: effectiveness and transfer units, counter-current."""

    product_out: float = 41.0
    water_out: float = 30.0
    water_flow: float = 20.0
    supplied: bool = True

    TRANSFER = 30.0  # kW/K, clean
    PRODUCT_FLOW = 16.0  # m3/h
    TAU_S = 45.0

    def step(self, dt_s: float, *, product_in: float, water_in: float, fouling: float) -> None:
        """`fouling` from 0 (clean) to 1 (60 % of the transfer lost)."""
        moved = self.steady_heat(product_in, water_in, self.flowing, fouling)
        product, water = self._capacities(self.flowing)
        self.product_out = lagged(self.product_out, product_in - moved / product, self.TAU_S, dt_s)
        self.water_out = lagged(self.water_out, water_in + moved / water, self.TAU_S, dt_s)

    @property
    def flowing(self) -> float:
        """m3/h of water: what is wanted, or nothing while its pump has no supply."""
        return self.water_flow if self.supplied else 0.0

    @classmethod
    def steady_heat(cls, product_in: float, water_in: float, water_flow: float, fouling: float) -> float:
        """kW moved from product to water in the steady state."""
        product, water = cls._capacities(water_flow)
        small, large = min(product, water), max(product, water)
        units, ratio = cls.TRANSFER * (1 - 0.6 * fouling) / small, small / large
        decay = math.exp(-units * (1 - ratio))
        share = units / (1 + units) if abs(1 - ratio) < 1e-9 else (1 - decay) / (1 - ratio * decay)
        return share * small * (product_in - water_in)

    @classmethod
    def _capacities(cls, water_flow: float) -> tuple[float, float]:
        """kW/K of both streams; water carries 4.18 kJ/(kg K)."""
        return cls.PRODUCT_FLOW / 3.6 * 4.18, max(0.1, water_flow) / 3.6 * 4.18


@dataclass
class AirSupply:
    """K-501 holds the compressed air; without it the plant's leaks empty the receiver."""

    pressure: float = 6.2
    supplied: bool = True

    HELD = 6.2  # bar
    LEAK_TAU_S = 1200.0
    FILL_TAU_S = 60.0

    def step(self, dt_s: float) -> None:
        """Consumption is steady."""
        wanted, tau_s = (self.HELD, self.FILL_TAU_S) if self.supplied else (0.0, self.LEAK_TAU_S)
        self.pressure = lagged(self.pressure, wanted, tau_s, dt_s)
