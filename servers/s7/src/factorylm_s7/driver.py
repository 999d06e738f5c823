"""One S7 CPU: reads tags with the fewest jobs, writes one tag once, never trusts an unfit answer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from factorylm_schema import (
    BadReplyError,
    Device,
    DeviceError,
    DeviceTimeoutError,
    Diagnosis,
    Identity,
    Reading,
    Tag,
    Value,
    WriteRefusedError,
)
from factorylm_skill.driver import BrowsePage, before_sending
from factorylm_skill.engineering import to_raw

from factorylm_s7.address import Address, parse
from factorylm_s7.browse import browse_blocks
from factorylm_s7.diagnosis import Ladder
from factorylm_s7.dialect import DeviceOptions, options_of, unwritable
from factorylm_s7.endpoint import Endpoint, parse_url
from factorylm_s7.layout import (
    Answers,
    Found,
    Layout,
    Place,
    Questions,
    is_clean,
    place_of,
    range_of,
)
from factorylm_s7.owner import Owner
from factorylm_s7.pdu import Refusal
from factorylm_s7.plan import Budget, Range
from factorylm_s7.refusals import refused
from factorylm_s7.session import Batch, Manners, Session, UnreachableError
from factorylm_s7.system_data import identity
from factorylm_s7.values import encode

T = TypeVar("T")
Fetched: TypeAlias = tuple[Layout, list[Found]]

_MOST_REMEMBERED = 4096


def _utc_now() -> datetime:
    return datetime.now(UTC)


def connect(device: Device) -> "S7Driver":
    """The driver of `device`; no byte is sent before its first call."""
    return S7Driver(device)


@dataclass
class S7Driver:
    """One CPU (factorylm_skill.driver.Driver, Browses, Diagnoses). What takes an Owner runs in its thread."""

    device: Device
    now: Callable[[], datetime] = _utc_now
    requests_sent: int = 0
    _options: DeviceOptions = field(init=False)
    _manners: Manners = field(init=False)
    _endpoint: Endpoint = field(init=False)
    _owner: Owner | None = None
    _layout: Layout | None = None
    _refused: set[Range] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._options = options = options_of(self.device)
        self._endpoint = parse_url(self.device.url)
        self._manners = Manners(
            role=options.role,
            pdu=options.pdu,
            max_in_flight=options.max_in_flight,
            patience_s=options.reply_timeout_s or self.device.timeout_s / 2,
        )

    async def identify(self) -> Identity:
        """Who the CPU says it is; empty unless the operator allowed reading system lists."""
        if not self._options.system_lists:
            return Identity()
        return await self._owned(lambda owner, deadline: identity(owner.connected(deadline)))

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        """One reading per tag, in order."""
        return await self._owned(lambda owner, deadline: self._read(owner, tags, deadline))

    async def fetch(self, tags: Sequence[Tag]) -> Fetched:
        """What the CPU answers for `tags`, before it is made into readings."""
        return await self._owned(lambda owner, deadline: self._fetch(owner, tags, deadline))

    async def write(self, tag: Tag, value: Value) -> None:
        """Send `value` once."""
        address, data = _to_send(tag, value)
        await self._owned(lambda owner, deadline: self._write(owner, tag, address, data, deadline))

    async def browse(self, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
        """The CPU's blocks: their kinds, and the blocks of one kind."""
        return await self._owned(
            lambda owner, deadline: browse_blocks(owner.connected(deadline), path, search, limit, cursor)
        )

    async def diagnose(self) -> Diagnosis:
        """The ladder from the network to the CPU's state."""
        return await self._owned(self._diagnose)

    async def close(self) -> None:
        """Say goodbye, and let go of connection and thread."""
        owner, self._owner = self._owner, None
        if owner:
            await owner.close()

    async def _owned(self, work: Callable[[Owner, float], T]) -> T:
        """Do `work` in the thread that owns the connection, within the device's timeout."""
        if self._owner is None or self._owner.lost:
            self._owner = Owner(self._endpoint, self._manners)
        return await self._owner.do(work, self.device.timeout_s)

    # -- reading ------------------------------------------------------------------------------------------

    def _read(self, owner: Owner, tags: Sequence[Tag], deadline: float) -> list[Reading]:
        if not any(isinstance(place_of(tag), Place) for tag in tags):  # nothing that could be asked
            return Layout(tags, Budget(0), set()).readings([], self.now())
        layout, found = self._fetch(owner, tags, deadline)
        return layout.readings(found, self.now())

    def _fetch(self, owner: Owner, tags: Sequence[Tag], deadline: float) -> Fetched:
        layout = self._laid_out(owner, tags, deadline)
        answers = self._ask(owner, layout.questions, deadline)
        found = layout.questions.found(answers)
        if layout.refused or not is_clean(answers):
            self._ask_apart(owner, layout.questions, answers, found, deadline)
            self._remember(layout.ranges, found)
        return layout, found

    def _laid_out(self, owner: Owner, tags: Sequence[Tag], deadline: float) -> Layout:
        """Where the tags are and what to ask; kept for the next time, since the same tags are read again."""
        budget = owner.connected(deadline).budget
        layout = self._layout
        if layout is None or not layout.fits(tags, budget, self._refused):
            layout = self._layout = Layout(tags, budget, self._refused)
        return layout

    def _ask_apart(
        self, owner: Owner, questions: Questions, answers: Answers, found: list[Found], deadline: float
    ) -> None:
        """Ask again for what was refused together with its neighbours: one bad tag costs one tag."""
        suspects = questions.suspects(answers)
        if not suspects:
            return
        ranges = [questions.ranges[at] for at in suspects]
        again = Questions(ranges, set(ranges), questions.budget)
        try:
            told = again.found(self._ask(owner, again, deadline))
        except DeviceError as error:
            told = [error] * len(ranges)
        for at, each in zip(suspects, told, strict=True):
            found[at] = each

    def _remember(self, ranges: Sequence[Range], found: Sequence[Found]) -> None:
        """What was refused is asked for alone from now on, until it answers."""
        for each, answer in zip(ranges, found, strict=True):
            if isinstance(answer, bytes):
                self._refused.discard(each)
            elif isinstance(answer, Refusal) and answer.is_of_an_item and len(self._refused) < _MOST_REMEMBERED:
                self._refused.add(each)

    def _ask(self, owner: Owner, questions: Questions, deadline: float) -> Answers:
        """Each job's answers, or why there are none; asked again once on a fresh connection.

        Raises only when nothing at all was answered.
        """
        batch = Batch(jobs=questions.jobs)
        failure = _attempted(owner, batch, questions.budget, deadline)
        if failure and self._worth_a_second(failure, deadline):
            failure = _attempted(owner, batch, questions.budget, deadline)
        self.requests_sent += batch.sent
        if failure and all(answer is None for answer in batch.answers):
            raise failure
        return [failure if answer is None else answer for answer in batch.answers]  # type: ignore[misc]

    def _worth_a_second(self, failure: DeviceError, deadline: float) -> bool:
        """There is time for another answer, and the first attempt got as far as a connection."""
        needed_s = 0.8 * self._manners.patience_s if isinstance(failure, DeviceTimeoutError) else 0.05
        return deadline - time.monotonic() >= needed_s and not isinstance(failure, UnreachableError)

    def _diagnose(self, owner: Owner, deadline: float) -> Diagnosis:
        ladder = Ladder(
            device=self.device,
            options=self._options,
            session=owner.fresh(deadline),
            read=lambda tags: self._read(owner, tags, deadline),
        )
        return ladder.climb()

    # -- writing ------------------------------------------------------------------------------------------

    def _write(self, owner: Owner, tag: Tag, address: Address, data: bytes, deadline: float) -> None:
        place, bit = range_of(address), None
        with before_sending():
            session = owner.connected(deadline)
            if address.type == "BOOL":
                place, bit = Range(place.area, place.block, address.start, address.start + 1), address.bit
            elif address.length:
                place = self._text_place(session, tag, address, place)
        self.requests_sent += 1
        if refusal := session.write(Range(place.area, place.block, place.start, place.start + len(data)), data, bit):
            raise refused(refusal, f"{tag.id} was not written")

    def _text_place(self, session: Session, tag: Tag, address: Address, place: Range) -> Range:
        """Where a text's present length stands. Its room is asked first: too long a text runs into its neighbour."""
        width = 2 if address.type == "WSTRING" else 1
        batch = Batch(jobs=[(Range(place.area, place.block, place.start, place.start + width),)])
        session.read(batch)
        self.requests_sent += batch.sent
        answer = (batch.answers[0] or [Refusal(0)])[0]
        if isinstance(answer, Refusal):
            raise refused(answer, f"{tag.id} was not written")
        if (room := int.from_bytes(answer)) != address.length:
            raise WriteRefusedError(
                f"the controller has room for {room} characters at {address}, not for {address.length}",
                hint="Correct the length in the plant file; nothing was sent",
            )
        return Range(place.area, place.block, place.start + width, place.end)


def _attempted(owner: Owner, batch: Batch, budget: Budget, deadline: float) -> DeviceError | None:
    """Ask what is still open; why that failed, if it did."""
    try:
        session = owner.connected(deadline)
        if session.budget != budget:
            return BadReplyError("the CPU changed its PDU size while it was read", hint="Repeat the request")
        session.read(batch)
    except DeviceError as error:
        owner.drop()
        return error
    return None


def _to_send(tag: Tag, value: Value) -> tuple[Address, bytes]:
    """Where to write and which bytes; WriteRefusedError where that cannot be."""
    try:
        address = parse(tag.address, tag.type)
        why = unwritable(address)
        data = b"" if why else encode(address.type, to_raw(tag, value), length=address.length)
    except ValueError as error:
        raise WriteRefusedError(f"{tag.id} cannot be written: {error}") from error
    if why:
        raise WriteRefusedError(f"{tag.id} cannot be written: {why}")
    return address, data
