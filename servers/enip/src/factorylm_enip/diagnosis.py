"""The ladder from the name on the network to the data: evidence on each rung, a next step where one fails."""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from factorylm_schema import Device, DeviceError, DeviceRefusedError, Diagnosis, Identity, Reading, Rung

from factorylm_enip.identity import mode, told_identity
from factorylm_enip.session import Session

_MOST_SLOTS = 17  # the largest 1756 rack
_LEAST_FOR_SLOTS_S = 0.3
_MOST_SHOWN = 3
_PLC = "Programmable Logic Controller"


class _NoFurtherError(Exception):
    """A rung failed on which all others stand."""


def diagnose(device: Device, session: Session, read: Callable[[], list[Reading]]) -> tuple[Diagnosis, bool]:
    """The diagnosis, and whether the session is connected and may be used from now on."""
    ladder = _Ladder(device, session, read)
    with contextlib.suppress(_NoFurtherError):
        ladder.climb()
    return Diagnosis(device=device.name, rungs=ladder.rungs, identity=ladder.identity), ladder.usable


@dataclass
class _Ladder:
    device: Device
    session: Session
    read: Callable[[], list[Reading]]
    rungs: list[Rung] = field(default_factory=list)
    identity: Identity | None = None
    usable: bool = False

    def climb(self) -> None:
        self._name()
        self._step("connection", self.session.dial, f"TCP connection to {self._where}")
        self._step("session", self.session.reach, "an EtherNet/IP session is open")
        self._at_the_address()
        self._behind_the_route()
        self._step("messages", self.session.connect_messages, "a message connection is open")
        self.usable = True
        self._tags()

    @property
    def _where(self) -> str:
        return f"{self.session.endpoint.host}:{self.session.endpoint.port}"

    # -- the rungs ------------------------------------------------------------------------------

    def _name(self) -> None:
        host = self.session.endpoint.host
        try:
            found = socket.getaddrinfo(host, self.session.endpoint.port, type=socket.SOCK_STREAM)
        except OSError as error:
            hint = "Check the spelling, or write the IP address in the device's url"
            self._failed("name", f"{host!r} cannot be resolved: {error.strerror or error}", hint)
        self._add("name", "passed", f"{host} is {found[0][4][0]}")

    def _at_the_address(self) -> None:
        who = told_identity(self.session.identity)
        self.identity = who
        self._add("device", "passed", f"{who.vendor} {who.product} at {self._where}".strip())

    def _behind_the_route(self) -> None:
        route = self.session.endpoint.told
        try:
            found = self.session.identity_at()
        except DeviceRefusedError as error:
            self._failed("slot", f"{route}: {error.message}", self._other_slots())
        except DeviceError as error:
            self._failed("slot", f"{route}: {error.message}", error.hint)
        self.identity = told_identity(found)
        state = mode(found)
        self._add("slot", "passed", f"{self.identity.product} in {route}" + (f", {state} mode" if state else ""))

    def _other_slots(self) -> str:
        """What stands in the rack instead, as far as there is time to ask."""
        seen = []
        for slot in range(_MOST_SLOTS):
            if self.session.deadline.seconds_left < _LEAST_FOR_SLOTS_S:
                break
            try:
                found = self.session.identity_at(slot)
            except DeviceRefusedError:
                continue
            except DeviceError:
                break
            mark = " (a controller)" if found.get("product_type") == _PLC else ""
            seen.append(f"slot {slot}: {found.get('product_name')}{mark}")
        if seen:
            return f"In the rack: {'; '.join(seen)}. Put the controller's slot into the url"
        return "Put the controller's slot into the device's url: enip://host/slot"

    def _tags(self) -> None:
        if not self.device.tags:
            self._add("tags", "skipped", "the plant file has no tags for this device")
            return
        try:
            readings = self.read()
        except DeviceError as error:
            self.usable = False
            self._failed("tags", error.message, error.hint)
        bad = [reading for reading in readings if not reading.quality.is_good]
        if bad:
            told = "; ".join(f"{reading.tag}: {reading.problem}" for reading in bad[:_MOST_SHOWN])
            self._failed("tags", f"{len(bad)} of {len(readings)} are not good: {told}", bad[0].hint)
        self._add("tags", "passed", f"all {len(readings)} read good")

    # -- how a rung is told ---------------------------------------------------------------------

    def _step(self, name: str, step: Callable[[], None], evidence: str) -> None:
        try:
            step()
        except DeviceError as error:
            self._failed(name, error.message, error.hint)
        self._add(name, "passed", evidence)

    def _add(
        self, name: str, outcome: Literal["passed", "failed", "skipped"], evidence: str, next_step: str = ""
    ) -> None:
        self.rungs.append(Rung(name=name, outcome=outcome, evidence=evidence, next_step=next_step))

    def _failed(self, name: str, evidence: str, next_step: str) -> NoReturn:
        self._add(name, "failed", evidence, next_step)
        raise _NoFurtherError
