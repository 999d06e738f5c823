"""The plant file of a simulated process says of each signal what the process says."""

from dataclasses import dataclass

from factorylm_schema import Value, WriteLimits
from factorylm_skill import Signal, process_plant
from factorylm_skill.command import simulated_plant
from hypothesis import given
from hypothesis import strategies as st

LIMITS = WriteLimits(min=0, max=4.5, max_step=1)
SIGNALS = (
    Signal(name="level", type="real", unit="m", description='The "level" °', minimum=0, maximum=1e20, write=LIMITS),
    Signal(name="valve.open", type="bool", write=WriteLimits(allowed=[True, False])),
    Signal(name="state", type="int", enum={0: "idle", 7: 'half "full"'}),
    Signal(name="batch", type="text"),
)


@dataclass
class Still:
    signals: tuple[Signal, ...]

    def advance(self) -> None:
        """Nothing moves."""

    def value(self, name: str) -> Value:
        return 0

    def set(self, name: str, value: Value) -> None:
        """Nothing is kept."""


def test_every_signal_becomes_a_tag_with_all_that_is_known_of_it(skill) -> None:
    text = process_plant(
        Still(SIGNALS), device="tank", url="memory://x?a=1", address=lambda signal: f"at {signal.name}", timeout_s=1
    )
    device = simulated_plant(text, skill).device("tank")
    assert (device.url, device.timeout_s) == ("memory://x?a=1", 1)
    level, valve, state, batch = device.tags.values()
    assert (level.name, level.address, level.unit, level.description) == ("level", "at level", "m", 'The "level" °')
    assert (level.min, level.max, level.write) == (0, 1e20, LIMITS)
    assert (valve.name, valve.write) == ("valve.open", WriteLimits(allowed=[True, False]))
    assert state.enum == {0: "idle", 7: 'half "full"'}
    assert (batch.name, batch.unit, batch.write) == ("batch", "", None)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_description_survives_the_file(text: str) -> None:
    import tomllib

    signal = Signal(name="a", type="real", description=text)
    plant = tomllib.loads(process_plant(Still((signal,)), device="d", url="memory://x", address=lambda s: s.name))
    assert plant["devices"]["d"]["tags"]["a"].get("description", "") == text
