"""The ladder from the network to the CPU's state: evidence on each rung, a next step where one fails.

System lists are read only where the plant file allows it: reading them has stopped old failsafe CPUs
(python-snap7 issue 467).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from factorylm_schema import Device, DeviceError, DeviceRefusedError, Diagnosis, Identity, Reading, Rung, Tag

from factorylm_s7 import system_data
from factorylm_s7.address import Area
from factorylm_s7.dialect import DeviceOptions
from factorylm_s7.layout import Place, Questions, place_of
from factorylm_s7.pdu import Refusal
from factorylm_s7.plan import Range
from factorylm_s7.refusals import meaning
from factorylm_s7.session import Batch, Session

T = TypeVar("T")
Outcome = Literal["passed", "failed", "skipped"]

_MOST_TAGS = 200
_MOST_SHOWN = 3
_NEWEST_EVENTS = 5
_STAGES = ("network", "rack and slot", "session")
_STAGE_OF = {"network": 0, "connection": 1, "session": 2}


class _NoFurtherError(Exception):
    """A rung failed on which all others stand."""


@dataclass(kw_only=True)
class Ladder:
    """One diagnosis of one CPU, on a fresh connection."""

    device: Device
    options: DeviceOptions
    session: Session
    read: Callable[[Sequence[Tag]], Sequence[Reading]]
    rungs: list[Rung] = field(default_factory=list)
    identity: Identity | None = None

    def climb(self) -> Diagnosis:
        """As far as one gets; never raises for a CPU that is down."""
        try:
            self._connection()
            self._areas()
            self._system_lists()
            self._tags()
        except _NoFurtherError:
            pass
        return Diagnosis(device=self.device.name, rungs=self.rungs, identity=self.identity)

    # -- from the network to the session ------------------------------------------------------------------

    def _connection(self) -> None:
        endpoint, failure = self.session.endpoint, None
        try:
            self.session.open()
        except DeviceError as error:
            failure = error
        reached = len(_STAGES) if failure is None else _STAGE_OF[self.session.stage]
        evidence = (
            f"TCP connection to {endpoint}",
            f"a CPU answers at rack {endpoint.rack}, slot {endpoint.slot}",
            f"PDU of {self.session.budget.pdu} bytes, {self.session.max_in_flight} job(s) at once",
        )
        for name, seen in zip(_STAGES[:reached], evidence, strict=False):
            self._add(name, "passed", seen)
        if failure:
            self._add(_STAGES[reached], "failed", failure.message, failure.hint)
            raise _NoFurtherError

    # -- what may be read ---------------------------------------------------------------------------------

    def _areas(self) -> None:
        """One small read in each block and area that the plant file names: who is closed, and why."""
        places = [place for place in map(place_of, self.device.tags.values()) if isinstance(place, Place)]
        probes = _smallest_of_each_area(places) or {"M": Range(Area.MARKER.code, 0, 0, 1)}
        ranges = list(probes.values())
        questions = Questions(ranges, set(ranges), self.session.budget)
        batch = Batch(jobs=questions.jobs)
        try:
            self.session.read(batch)
        except DeviceError as error:
            self._add("access", "failed", error.message, error.hint)
            raise _NoFurtherError from error
        said = questions.found([items or [] for items in batch.answers])
        refusals = {name: answer for name, answer in zip(probes, said, strict=True) if isinstance(answer, Refusal)}
        if not refusals:
            self._add("access", "passed", f"{', '.join(probes)} can be read")
            return
        told = "; ".join(f"{name}: {meaning(refusal)[1]}" for name, refusal in refusals.items())
        self._add("access", "failed", told, meaning(next(iter(refusals.values())))[2])

    # -- what the CPU says of itself ----------------------------------------------------------------------

    def _system_lists(self) -> None:
        if not self.options.system_lists:
            hint = (
                "Set system_lists = true for this device if it is no old failsafe S7-300; such CPUs have stopped on it"
            )
            self._add("cpu", "skipped", "identity, state and diagnostic buffer are not read unless allowed", hint)
            return
        self.identity = self._asked("identity", system_data.identity, _told_identity)
        state = self._asked("state", system_data.state)
        if state and not state.startswith("RUN"):
            hint = "The program does not run, so values stand still; look at the diagnostic buffer and the CPU"
            self.rungs[-1] = Rung(name="state", outcome="failed", evidence=f"the CPU is in {state}", next_step=hint)
        self._asked("protection", system_data.protection)
        self._asked("diagnostic buffer", system_data.diagnostic_buffer, _told_events)
        self._asked("clock", system_data.clock, lambda at: at.isoformat(sep=" ", timespec="seconds"))

    def _asked(self, name: str, ask: Callable[[Session], T], told: Callable[[T], str] = str) -> T | None:
        """One answer on its rung. A CPU may lack any of these services: that is no fault."""
        try:
            answer = ask(self.session)
        except DeviceRefusedError as error:
            self._add(name, "skipped", error.message)
            return None
        except DeviceError as error:
            self._add(name, "failed", error.message, error.hint)
            raise _NoFurtherError from error
        self._add(name, "passed", told(answer))
        return answer

    # -- the data -----------------------------------------------------------------------------------------

    def _tags(self) -> None:
        if not self.device.tags:
            self._add("tags", "skipped", "the plant file has no tags for this device")
            return
        try:
            readings = self.read(list(self.device.tags.values())[:_MOST_TAGS])
        except DeviceError as error:
            self._add("tags", "failed", error.message, error.hint)
            return
        bad = [reading for reading in readings if not reading.quality.is_good]
        if bad:
            told = "; ".join(f"{reading.tag}: {reading.problem}" for reading in bad[:_MOST_SHOWN])
            self._add("tags", "failed", f"{len(bad)} of {len(readings)} are not good: {told}", bad[0].hint)
        else:
            self._add("tags", "passed", f"all {len(readings)} read good")

    def _add(self, name: str, outcome: Outcome, evidence: str, next_step: str = "") -> None:
        self.rungs.append(Rung(name=name, outcome=outcome, evidence=evidence, next_step=next_step))


def _smallest_of_each_area(places: Sequence[Place]) -> dict[str, Range]:
    """For each data block and area a range that some tag needs, the shortest."""
    probes: dict[str, Range] = {}
    for place in sorted(places, key=lambda each: each.range.size):
        area = place.address.area
        name = f"DB{place.address.block}" if area is Area.BLOCK else area.letter
        probes.setdefault(name, place.range)
    return probes


def _told_identity(identity: Identity) -> str:
    parts = (identity.product, str(identity.details.get("order_number", "")), identity.revision)
    return ", ".join(part for part in parts if part) or "the CPU tells nothing"


def _told_events(entries: Sequence[system_data.Entry]) -> str:
    return "; ".join(map(str, entries[:_NEWEST_EVENTS])) or "empty"
