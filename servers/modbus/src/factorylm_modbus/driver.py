"""One Modbus device: reads tags with the fewest requests, writes one tag once, never trusts an unfit answer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from factorylm_schema import (
    Device,
    DeviceError,
    DeviceRefusedError,
    Diagnosis,
    Identity,
    Quality,
    Reading,
    Tag,
    Value,
    WriteRefusedError,
)
from factorylm_skill.driver import BrowsePage
from factorylm_skill.engineering import to_raw

from factorylm_modbus import pdu
from factorylm_modbus.address import Table
from factorylm_modbus.diagnosis import Ladder
from factorylm_modbus.dialect import DeviceOptions, options_of
from factorylm_modbus.endpoint import Endpoint, Link, parse_url
from factorylm_modbus.identity import identity_of
from factorylm_modbus.layout import Layout, Misplaced, Place, place_of, readings_of, units_named
from factorylm_modbus.pdu import Answer
from factorylm_modbus.plan import Block, Span, between, halves
from factorylm_modbus.profile import browse_profiles
from factorylm_modbus.session import Manners, Session
from factorylm_modbus.tls import context_of
from factorylm_modbus.values import encode, masks

# Exceptions that can mean one address among many, or too many at once: such a block is worth asking in parts
_WORTH_PARTING = (2, 3)
_NO_SUCH_FUNCTION = 1
_MOST_REMEMBERED = 4096


def _utc_now() -> datetime:
    return datetime.now(UTC)


def connect(device: Device) -> "ModbusDriver":
    """The driver of `device`; no byte is sent before its first call."""
    return ModbusDriver(device)


@dataclass
class ModbusDriver:
    """One device (factorylm_skill.driver: Driver, Browses, Diagnoses)."""

    device: Device
    now: Callable[[], datetime] = _utc_now
    _endpoint: Endpoint = field(init=False)
    _options: DeviceOptions = field(init=False)
    _session: Session = field(init=False)
    _units: frozenset[int] = field(init=False)
    _closed: set[Span] = field(default_factory=set)  # what the device refused to be asked for in one request
    _layout: Layout | None = None

    def __post_init__(self) -> None:
        self._endpoint = parse_url(self.device.url)
        self._options = options_of(self.device)
        self._session = _session(self.device, self._endpoint, self._options)
        self._units = units_named(self.device, self._endpoint)

    async def identify(self) -> Identity:
        """FC43/14; empty where the device has no such service."""
        return await identity_of(self._session, self._endpoint.unit, self._deadline())

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        """One reading per tag, in order."""
        layout, answers = await self.fetch(tags)
        return readings_of(layout.places, answers, self.now())

    async def fetch(self, tags: Sequence[Tag]) -> tuple[Layout, dict[int, tuple[Span, Answer]]]:
        """What the device answers for `tags`, before it is made into readings."""
        layout = self._laid_out(tags)
        answers: dict[int, tuple[Span, Answer]] = {}
        if layout.blocks:
            deadline = self._deadline()
            first = await self._session.ask(layout.requests, deadline)
            doubtful = self._noted(layout, layout.blocks, first, answers)
            if doubtful:
                await self._parted(layout, doubtful, answers, deadline)
        return layout, answers

    async def write(self, tag: Tag, value: Value) -> None:
        """Send `value` once."""
        request = self._write_request(tag, value)
        try:
            await self._session.ask_once(request, self._deadline())
        except pdu.ModbusRefusedError as error:
            if error.exception == _NO_SUCH_FUNCTION:
                raise _no_such_write(tag, request) from error
            raise

    async def browse(self, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
        """Modbus cannot list what a device has; the register maps of known products can."""
        return browse_profiles(path or self._options.profile, search, limit, cursor)

    async def diagnose(self) -> Diagnosis:
        """The ladder from the name to the data."""
        places = [self._place(tag) for tag in self.device.tags.values()]
        ladder = Ladder(
            endpoint=self._endpoint,
            options=self._options,
            session=self._session,
            scan_session=partial(_session, self.device, self._endpoint, self._options),
            places=[place for place in places if isinstance(place, Place)],
            read=self.read,
            budget_s=self.device.timeout_s,
        )
        return await ladder.climb(self.device.name)

    async def close(self) -> None:
        """Drop the connection."""
        await self._session.close()

    # -- reading ------------------------------------------------------------------------------

    def _laid_out(self, tags: Sequence[Tag]) -> Layout:
        """Where the tags are and what to ask; kept, since the same tags are mostly read again."""
        if self._layout is None or not self._layout.is_for(tags):
            self._layout = Layout(list(tags), [self._place(tag) for tag in tags])
            self._layout.plan(self._options, self._closed)
        return self._layout

    def _place(self, tag: Tag) -> Place | Misplaced:
        return place_of(tag, self._options, self._endpoint, self._units)

    def _noted(
        self,
        layout: Layout,
        blocks: Sequence[Block],
        answers: Sequence[Answer],
        found: dict[int, tuple[Span, Answer]],
    ) -> list[Block]:
        """Put the answers to the tags they are for; returns the blocks that are worth asking in parts."""
        doubtful = []
        for block, answer in zip(blocks, answers, strict=True):
            if _worth_parting(answer) and halves(block, layout.wanted):
                doubtful.append(block)
                continue
            for index in block.wanted:
                found[index] = block.span, answer
            if isinstance(answer, bytes):
                self._reopen(block.span)
            elif _worth_parting(answer):
                self._close(block.span)
        return doubtful

    async def _parted(
        self,
        layout: Layout,
        blocks: Sequence[Block],
        found: dict[int, tuple[Span, Answer]],
        deadline: float,
    ) -> None:
        """Find what in refused blocks can be read, and remember where they must be parted.

        Each is first asked whole again, because a refusal in passing must not be remembered as a hole.
        """
        answers = await self._more_of(blocks, deadline)
        blocks = self._noted(layout, blocks, answers, found)
        while blocks:
            pairs = [pair for block in blocks if (pair := halves(block, layout.wanted))]
            both = [half for pair in pairs for half in pair]
            answers = await self._more_of(both, deadline)
            for at, pair in enumerate(pairs):
                if isinstance(answers[2 * at], bytes) and isinstance(answers[2 * at + 1], bytes):
                    self._close(between(*pair))
            blocks = self._noted(layout, both, answers, found)
        self._layout = None

    async def _more_of(self, blocks: Sequence[Block], deadline: float) -> list[Answer]:
        """Answers to `blocks`; a failure here costs only their tags, since others were answered already."""
        try:
            return await self._session.ask([block.request for block in blocks], deadline)
        except DeviceError as error:
            return [error] * len(blocks)

    def _close(self, span: Span) -> None:
        if len(self._closed) < _MOST_REMEMBERED:
            self._closed.add(span)

    def _reopen(self, span: Span) -> None:
        """What was refused and now answers may share a request again."""
        if self._closed and span in self._closed:
            self._closed.remove(span)
            self._layout = None

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.device.timeout_s

    # -- writing ------------------------------------------------------------------------------

    def _write_request(self, tag: Tag, value: Value) -> pdu.Request:
        place = self._place(tag)
        if isinstance(place, Misplaced):
            raise WriteRefusedError(place.problem, hint=place.hint)
        if not place.address.table.writable:
            raise WriteRefusedError(
                f"{tag.id} is a {place.address.table}: Modbus has no service that writes it",
                hint="Only coils and holding registers can be written",
            )
        if place.bits:
            raise WriteRefusedError(
                f"{tag.id} shows named bits", hint="Give each bit that may be written a tag of its own"
            )
        try:
            return _request(place, to_raw(tag, value), multiple=self._options.write_function == "multiple")
        except ValueError as error:
            raise WriteRefusedError(f"{tag.id} cannot take {value!r}: {error}") from error


def _request(place: Place, raw: Value, *, multiple: bool) -> pdu.Request:
    """The one request that writes `raw`; ValueError where the type cannot hold it."""
    unit, offset, address = place.span.unit, place.span.start, place.address
    if address.table is Table.COIL:
        if not isinstance(raw, bool):
            raise ValueError(f"a coil takes true or false, not {raw!r}")
        return pdu.write_coils(unit, offset, [raw]) if multiple else pdu.write_coil(unit, offset, raw)
    if address.bits is not None:
        return pdu.mask_write(unit, offset, *masks(raw, address))
    data = encode(raw, address, place.order)
    if len(data) == 2 and not multiple:
        return pdu.write_register(unit, offset, data)
    return pdu.write_registers(unit, offset, data)


def _no_such_write(tag: Tag, request: pdu.Request) -> DeviceRefusedError:
    """The device lacks the service; what else there is."""
    if request.function != pdu.MASK_WRITE:
        return DeviceRefusedError(
            f"the device has no function {request.function} to write {tag.id} with",
            hint='Some devices know only one of the two kinds: try write_function = "multiple", or "single"',
            quality=Quality.BadWriteNotSupported,
        )
    return DeviceRefusedError(
        f"{tag.id} is part of a register, and the device has no mask write (FC22) to change only that part",
        hint="Reading the register and writing it back races the device's own program, so it is not done; "
        "use a coil, or a register of its own, for this bit",
        quality=Quality.BadWriteNotSupported,
    )


def _worth_parting(answer: Answer) -> bool:
    return isinstance(answer, pdu.ModbusRefusedError) and answer.exception in _WORTH_PARTING


def _session(device: Device, endpoint: Endpoint, options: DeviceOptions, patience_s: float | None = None) -> Session:
    """The device's connections, with its manners; `patience_s` is for a scan, where silence is the rule."""
    patience_s = patience_s or options.reply_timeout_s or min(1.0, device.timeout_s / 2)
    manners = Manners(
        patience_s=min(patience_s, device.timeout_s),
        late_reply_s=patience_s if options.late_reply_s is None else options.late_reply_s,
        depth=options.max_in_flight,
        connections=options.connections,
        pause_s=options.pause_ms / 1000,
    )
    tls = partial(context_of, options) if endpoint.link is Link.TLS else None
    return Session(endpoint, manners, tls=tls, tls_name=options.tls_name or endpoint.host)
