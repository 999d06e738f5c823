"""A batch of tags becomes readings: learn what is unknown, ask with the fewest packets, settle every answer.

A batch lives for one call. What has come is kept when the connection is lost, so that a second connection asks
only for the rest. Some servers hang up on a bad name: a tag that was being asked for at the loss is a suspect,
asked for alone and after the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from factorylm_schema import BadReplyError, DeviceError, DeviceRefusedError, Reading, Tag
from factorylm_schema.names import nearest
from factorylm_skill.engineering import to_reading

from factorylm_enip import cip
from factorylm_enip.address import Address, sayable
from factorylm_enip.catalog import UploadUnfinishedError
from factorylm_enip.cip import OUT_OF_RANGE, Reply, Service, Status
from factorylm_enip.memory import Layout, Memory
from factorylm_enip.plan import Packet, Part, Want, plan
from factorylm_enip.session import Session
from factorylm_enip.values import STRING, STRUCTURE, Elements, Kind
from factorylm_enip.wanted import WIDEST_ATOMIC, Problem, Wanted, unreadable

# ask, ask again for what turned out larger or another type, ask alone: more means a controller in change
_MOST_ROUNDS = 5
_TOO_LARGE = (Status.PARTIAL, Status.REPLY_TOO_LARGE)
_NO_SUCH_TAG = (Status.PATH_SEGMENT_ERROR, Status.PATH_UNKNOWN)


@dataclass
class Batch:
    """The tags of one call, and the readings that have come."""

    tags: Sequence[Tag]
    memory: Memory
    now: Callable[[], datetime]
    readings: list[Reading | None] = field(init=False)
    _layout: Layout = field(init=False)
    _alone: set[int] = field(default_factory=set)
    _larger: set[int] = field(default_factory=set)
    _nameless: list[int] = field(default_factory=list)
    _fresh: set[str] = field(default_factory=set)  # arrays whose kind was asked for in this batch

    def __post_init__(self) -> None:
        self._layout = self.memory.laid_out(self.tags)
        self.readings = [None] * len(self.tags)
        for number, error in self._layout.misnamed.items():
            self.readings[number] = unreadable(self.tags[number], error, self.now())

    @property
    def begun(self) -> bool:
        """Something has come already."""
        return len(self._open()) < len(self._layout.wanted)

    @property
    def is_over(self) -> bool:
        """Every tag has its reading."""
        return not self._open()

    @property
    def done(self) -> list[Reading]:
        """One reading per tag, when the batch is over."""
        return [reading for reading in self.readings if reading is not None]

    @property
    def only_suspects(self) -> bool:
        """All that is missing already ended a connection when asked for alone."""
        return all(self.memory.convicted(self._the(number).address) for number in self._open())

    def run(self, session: Session) -> None:
        """Ask until every tag has its reading; raises DeviceError when the connection fails."""
        for _ in range(_MOST_ROUNDS):
            if not (numbers := self._open()):
                break
            trusted, suspects = self._by_trust(numbers)
            for group in (trusted, *([number] for number in suspects)):
                self._learn_and_ask(session, group)
        if self._open():
            self.give_up(
                DeviceRefusedError("the tag changes while it is read", hint="Is a download under way? Ask again")
            )
        self._add_hints(session)

    def give_up(self, error: DeviceError) -> None:
        """The rest get the reason why there is nothing."""
        problem = Problem(error.quality, error.message, error.hint)
        self._settle_all(self._open(), lambda wanted: wanted.problem(problem, self.now()))

    def _learn_and_ask(self, session: Session, numbers: list[int]) -> None:
        if self._layout.packets is None:
            self._learn(session, numbers)
            numbers = [number for number in numbers if self.readings[number] is None]
        self._ask(session, numbers)

    # -- what is still open ---------------------------------------------------------------------

    def _open(self) -> list[int]:
        return [number for number, reading in enumerate(self.readings) if reading is None]

    def _by_trust(self, numbers: list[int]) -> tuple[list[int], list[int]]:
        """Those to be asked for together, and the suspects, the convicted last."""
        if not self.memory.suspects:
            return numbers, []
        suspects = {n: self._the(n).address for n in numbers if self._the(n).address.key in self.memory.suspects}
        in_order = sorted(suspects, key=lambda n: self.memory.convicted(suspects[n]))
        return [n for n in numbers if n not in suspects], in_order

    def _the(self, number: int) -> Wanted:
        return self._layout.wanted[number]

    def _want(self, number: int) -> Want | None:
        wanted = self._the(number)
        guess = STRING if number in self._larger else WIDEST_ATOMIC
        return wanted.want(self.memory.kind_at(wanted.address), guess)

    # -- learning -------------------------------------------------------------------------------

    def _learn(self, session: Session, numbers: Sequence[int]) -> None:
        """The kind of every array that is not known: a BOOL array counts in words of 32."""
        arrays: dict[str, list[int]] = {}
        for number in numbers:
            if self._want(number) is None:
                arrays.setdefault(self._the(number).address.array.key, []).append(number)
        self._fresh.update(arrays)
        asked = [(same, self._the(same[0]).address.array) for same in arrays.values()]
        wants = [Want(segments=address.segments, size=WIDEST_ATOMIC.size) for _, address in asked]
        for planned in plan(wants, session.room) if wants else ():
            packet = tuple(part.sent_for(range(len(wants))) for part in planned)
            replies = self._sent(session, packet, (n for part in packet for n in asked[part.wants[0]][0]))
            for part, reply in zip(packet, replies, strict=True):
                same, address = asked[part.wants[0]]
                self._learnt(session, same, address, reply)

    def _learnt(self, session: Session, numbers: Sequence[int], address: Address, reply: Reply) -> None:
        if reply.status in _TOO_LARGE and len(reply.data) < 4:
            reply = session.ask(Service.READ_FRAGMENT, cip.path(address.segments), b"\x01\x00" + bytes(4))
        if reply.status not in (Status.OK, Status.PARTIAL):
            self._refuse(numbers, reply)
            return
        kind = self.memory.kind_in(session, address, reply.data)
        if isinstance(kind, Kind):
            self.memory.learn(address, kind)
        else:
            self._settle_all(numbers, lambda wanted: wanted.problem(kind, self.now()))

    # -- asking ---------------------------------------------------------------------------------

    def _ask(self, session: Session, numbers: Sequence[int]) -> None:
        for packet in self._planned(session, numbers):
            replies = self._sent(session, packet, (n for part in packet for n in part.wants))
            for part, reply in zip(packet, replies, strict=True):
                self._check_length(part, reply)
            # only now: where one answer of a packet is unfit, none of it is believed
            for part, reply in zip(packet, replies, strict=True):
                self._settle(session, part, reply, shared=len(packet) > 1)

    def _planned(self, session: Session, numbers: Sequence[int]) -> list[Packet]:
        """Packets whose wants are numbers of tags; the plan of an untroubled batch is kept for the next."""
        layout = self._layout
        if len(numbers) != len(layout.wanted) or self._alone or self._larger:
            return self._newly_planned(session, numbers)
        if layout.packets is None or layout.room != session.room:
            layout.packets, layout.room = self._newly_planned(session, numbers), session.room
        return layout.packets

    def _newly_planned(self, session: Session, numbers: Iterable[int]) -> list[Packet]:
        wants = {number: want for number in numbers if (want := self._want(number))}
        together = [number for number in wants if number not in self._alone]
        packets: list[Packet] = []
        for group in (together, *([number] for number in wants if number in self._alone)):
            planned = plan([wants[number] for number in group], session.room)
            packets += [tuple(part.sent_for(group) for part in packet) for packet in planned]
        return packets if session.batches else [(part,) for packet in packets for part in packet]

    def _sent(self, session: Session, packet: Packet, numbers: Iterable[int]) -> list[Reply]:
        requests = [part.request for part in packet]
        try:
            replies = session.ask_all(requests)
        except DeviceError:
            self.memory.suspect(self._the(number).address for number in numbers)
            raise
        if self.memory.suspects:
            self.memory.trust(self._the(number).address for number in numbers)
        if len(requests) > 1 and all(reply.status == Status.SERVICE_NOT_SUPPORTED for reply in replies):
            # the batch itself is not known here (Micro800): one by one from now on
            session.batches = False
            self._layout.packets = None
            replies = [session.ask_all([request])[0] for request in requests]
        return replies

    # -- settling -------------------------------------------------------------------------------

    def _settle(self, session: Session, part: Part, reply: Reply, *, shared: bool) -> None:
        if reply.status in _TOO_LARGE and shared:
            (self._alone if self._larger.issuperset(part.wants) else self._larger).update(part.wants)
            return  # in the next round with more room, then alone
        if reply.status in _TOO_LARGE:
            reply = _in_fragments(session, part)
        if not reply.ok:
            self._settle_refused(part, reply)
            return
        first = self._the(part.wants[0])
        kind = self.memory.kind_in(session, first.address.array, reply.data)
        if not isinstance(kind, Kind):
            self._settle_all(part.wants, lambda wanted: wanted.problem(kind, self.now()))
            return
        planned = self.memory.kind_at(first.address) or first.declared
        self.memory.learn(first.address.array, kind)
        if part.first is not None and (planned is None or planned.code != kind.code or part.size != kind.size):
            return  # the array is of another kind than the plan thought: planned anew in the next round
        self._settle_values(part, kind, reply.data)

    def _check_length(self, part: Part, reply: Reply) -> None:
        kind = self.memory.known_kind(reply.data) if reply.ok else None
        if kind is not None:
            _check_length(part, kind, reply.data)

    def _settle_values(self, part: Part, kind: Kind, answer: bytes) -> None:
        _check_length(part, kind, answer)
        data = answer[4 if kind.code == STRUCTURE else 2 :]
        elements, time, readings = Elements(kind, data), self.now(), self.readings
        numbers, raw, wanted_by_number = elements.numbers, elements.raw, self._layout.wanted
        for number, place in zip(part.wants, part.places, strict=True):
            wanted = wanted_by_number[number]
            if numbers is not None and wanted.plain:  # what wanted.reading would do, for most tags
                text = wanted.address.text
                readings[number] = to_reading(wanted.tag, numbers[place], time, address=text, raw=raw[place])
            else:
                readings[number] = wanted.reading(elements, place, time)

    def _settle_refused(self, part: Part, reply: Reply) -> None:
        """One element beyond the end must not cost its neighbours: they are asked for again, each alone.

        Before that, the array's kind is asked for again: after a download a remembered one may be wrong.
        """
        beyond = reply.status == Status.GENERAL and reply.extended == OUT_OF_RANGE
        array = self._the(part.wants[0]).address.array
        if beyond and part.first is not None and array.key not in self._fresh:
            self.memory.forget(array)
            self._fresh.add(array.key)
        elif beyond and part.count > 1 and not self._alone.issuperset(part.wants):
            self._alone |= set(part.wants)
        else:
            self._refuse(part.wants, reply)

    def _refuse(self, numbers: Sequence[int], reply: Reply) -> None:
        self._settle_all(numbers, lambda wanted: wanted.refused(reply, self.now()))
        if reply.status in _NO_SUCH_TAG:
            self._nameless += numbers

    def _settle_all(self, numbers: Sequence[int], reading: Callable[[Wanted], Reading]) -> None:
        for number in numbers:
            self.readings[number] = reading(self._the(number))

    # -- hints ----------------------------------------------------------------------------------

    def _add_hints(self, session: Session) -> None:
        """The nearest names that do exist, where the controller's list comes in the time that is left."""
        for number in self._nameless if self.memory.lists_are_safe else ():
            reading = self.readings[number]
            assert reading is not None
            if hint := self._nearest(session, self._the(number).address):
                self.readings[number] = reading.model_copy(update={"hint": hint})

    def _nearest(self, session: Session, address: Address) -> str:
        try:
            missing, names = self.memory.catalog.missing(session, address)
        except (UploadUnfinishedError, DeviceRefusedError):
            return ""
        except DeviceError:
            self.memory.lists_are_safe = False
            raise
        close = ", ".join(nearest(missing, sayable(names)))
        return f"There is no {missing}; the controller's nearest names: {close}" if missing and close else ""


def _check_length(part: Part, kind: Kind, answer: bytes) -> None:
    came = len(answer) - (4 if kind.code == STRUCTURE else 2)
    if came != kind.size * part.count:
        raise BadReplyError(f"{came} bytes came for {part.count} × {kind.name} of {kind.size} bytes")


def _in_fragments(session: Session, part: Part) -> Reply:
    """What does not fit into one packet, piece by piece."""
    head, data = b"", b""
    while True:
        body = part.count.to_bytes(2, "little") + len(data).to_bytes(4, "little")
        reply = session.ask(Service.READ_FRAGMENT, part.path, body)
        if reply.status not in (Status.OK, Status.PARTIAL):
            return reply
        width = 4 if reply.data[:2] == STRUCTURE.to_bytes(2, "little") else 2
        if head and reply.data[:width] != head:
            raise BadReplyError("the type changed between two fragments of one answer")
        head, data = reply.data[:width], data + reply.data[width:]
        if reply.ok:
            return Reply(service=reply.service, status=Status.OK, extended=0, data=head + data)
        if len(reply.data) <= width:
            raise BadReplyError("a fragment without data came")
