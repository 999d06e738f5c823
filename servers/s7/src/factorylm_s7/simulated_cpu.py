"""A simulated CPU: its memory, and its answers to S7 jobs and user-data services. No sockets here."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from factorylm_s7.address import parse
from factorylm_s7.events import POWER_ON, RUN, STARTUP
from factorylm_s7.values import encode, to_bcd

_JOB, _ACK_DATA, _USER_DATA = 1, 3, 7
_SETUP, _READ, _WRITE = 0xF0, 4, 5
_OK, _NO_ACCESS, _OUTSIDE, _WRONG_TYPE, _NO_OBJECT = 0xFF, 0x03, 0x05, 0x07, 0x0A
_NO_SERVICE = 0x8104
_NO_INFORMATION = 0xD402
_BIT, _TIMER, _COUNTER = 1, 0x1D, 0x1C
_ELEMENT_SIZES = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 4, _COUNTER: 2, _TIMER: 2}
_BLOCK_AREA = 0x84
_AREAS = (0x80, 0x81, 0x82, 0x83, _COUNTER, _TIMER)
_KIND_OF_BLOCK = {"OB": 0x38, "DB": 0x41, "SDB": 0x42, "FC": 0x43, "SFC": 0x44, "FB": 0x45, "SFB": 0x46}
_MOST_ITEMS = 20

RUNNING, STOPPED = 8, 4


def _nothing(_: "SimulatedCpu") -> None:
    return None


def _factory_areas() -> dict[int, bytearray]:
    return {area: bytearray(512) for area in _AREAS}


@dataclass
class SimulatedCpu:
    """`blocks` are the data blocks by number; `refresh` runs before each job, `written` after each write."""

    blocks: dict[int, bytearray] = field(default_factory=dict)
    areas: dict[int, bytearray] = field(default_factory=_factory_areas)
    refresh: Callable[["SimulatedCpu"], None] = _nothing
    written: Callable[["SimulatedCpu"], None] = _nothing
    clock: Callable[[], datetime] = lambda: datetime(2026, 11, 20, 13, 45)  # noqa: DTZ001 a CPU's clock has no zone
    pdu: int = 960
    max_in_flight: int = 8
    state: int = RUNNING
    put_get: bool = True  # off: the CPU answers no read or write job
    closed_blocks: set[int] = field(default_factory=set)  # exist, but access is not allowed
    events: list[int] = field(default_factory=lambda: [RUN, STARTUP, POWER_ON])
    jobs: int = 0  # read and write jobs that arrived
    longest_job: int = 0
    most_items: int = 0

    def put(self, address: str, value: bool | int | float | str) -> None:
        """Set a value as the CPU's own program does."""
        at = parse(address)
        data = encode(at.type, value, length=at.length)
        memory = self.blocks[at.block] if at.block else self.areas[at.area.code]
        if at.type == "BOOL":
            memory[at.start] = memory[at.start] & ~(1 << at.bit) | data[0] << at.bit
            return
        if at.length:  # a text's room stands before its length
            data = at.length.to_bytes(1 if at.type == "STRING" else 2) + data
        memory[at.start : at.start + len(data)] = data

    def answer(self, question: bytes) -> bytes:
        """The reply to one PDU."""
        if question[1] == _USER_DATA:
            return self._service(question)
        sequence = question[4:6]
        if question[10] == _SETUP:
            in_flight, pdu = int.from_bytes(question[12:14]), int.from_bytes(question[16:18])
            agreed = struct.pack(">BBHHH", _SETUP, 0, *[min(in_flight, self.max_in_flight)] * 2, min(pdu, self.pdu))
            return _reply(sequence, agreed, b"")
        self.jobs += 1
        self.longest_job = max(self.longest_job, len(question))
        items = question[11] if len(question) > 11 else 0
        self.most_items = max(self.most_items, items)
        if not self.put_get or question[10] not in (_READ, _WRITE) or not 1 <= items <= _MOST_ITEMS:
            return _reply(sequence, b"", b"", error=_NO_SERVICE)
        self.refresh(self)
        return self._read(question) if question[10] == _READ else self._write(question)

    # -- jobs ---------------------------------------------------------------------------------------------

    def _read(self, question: bytes) -> bytes:
        parts = [self._read_item(item) for item in _items(question)]
        body = b"".join(part + b"\0" * (len(part) % 2) for part in parts[:-1]) + parts[-1]
        if len(body) + 14 > self.pdu:
            return _reply(question[4:6], b"", b"", error=0x8500)
        return _reply(question[4:6], question[10:12], body)

    def _read_item(self, item: "_Item") -> bytes:
        memory = self._memory(item)
        if isinstance(memory, int):
            return struct.pack(">BBH", memory, 0, 0)
        if item.transport == _BIT:
            return struct.pack(">BBHB", _OK, 3, 1, memory[item.start // 8] >> item.start % 8 & 1)
        data = bytes(memory[item.byte : item.byte + item.size])
        if item.transport in (_TIMER, _COUNTER):
            return struct.pack(">BBH", _OK, 9, len(data)) + data
        return struct.pack(">BBH", _OK, 4, len(data) * 8) + data

    def _write(self, question: bytes) -> bytes:
        body, codes = question[10 + int.from_bytes(question[6:8]) :], bytearray()
        for item in _items(question):
            _, transport, length = struct.unpack_from(">BBH", body)
            size = length // 8 if transport in (4, 5) else length
            codes.append(self._write_item(item, body[4 : 4 + size]))
            body = body[4 + size + size % 2 :]
        self.written(self)
        return _reply(question[4:6], question[10:12], bytes(codes))

    def _write_item(self, item: "_Item", data: bytes) -> int:
        memory = self._memory(item)
        if isinstance(memory, int):
            return memory
        if len(data) != item.size:
            return _WRONG_TYPE
        if item.transport == _BIT:
            mask = 1 << item.start % 8
            memory[item.start // 8] = memory[item.start // 8] & ~mask | (mask if data[0] else 0)
        else:
            memory[item.byte : item.byte + item.size] = data
        return _OK

    def _memory(self, item: "_Item") -> bytearray | int:
        """The memory an item lies in, or the code of its refusal."""
        if item.area == _BLOCK_AREA and item.block in self.closed_blocks:
            return _NO_ACCESS
        memory = self.blocks.get(item.block) if item.area == _BLOCK_AREA else self.areas.get(item.area)
        if memory is None:
            return _NO_OBJECT
        return memory if item.byte + item.size <= len(memory) else _OUTSIDE

    # -- user data ----------------------------------------------------------------------------------------

    def _service(self, question: bytes) -> bytes:
        group, function = question[15] & 15, question[16]
        asked = question[22:]
        found = {
            (3, 1): self._block_counts,
            (3, 2): self._block_numbers,
            (3, 3): self._block_info,
            (4, 1): self._system_list,
            (7, 1): self._time,
        }.get((group, function))
        data = found(asked) if found else None
        error, code, size = (_NO_INFORMATION, 0x0A, 0) if data is None else (0, _OK, len(data))
        parameters = struct.pack(">8BBBH", 0, 1, 0x12, 8, 0x12, 0x80 | group, function, 1, 0, 0, error)
        body = struct.pack(">BBH", code, 9 if size else 0, size) + (data or b"")
        return (
            struct.pack(">BBHHHH", 0x32, _USER_DATA, 0, int.from_bytes(question[4:6]), 12, len(body))
            + parameters
            + body
        )

    def _block_counts(self, _: bytes) -> bytes:
        return b"".join(struct.pack(">BBH", 0x30, kind, len(self._numbers(kind))) for kind in _KIND_OF_BLOCK.values())

    def _block_numbers(self, asked: bytes) -> bytes | None:
        return b"".join(struct.pack(">HBB", number, 0x22, 5) for number in self._numbers(asked[1])) or None

    def _numbers(self, kind: int) -> list[int]:
        return sorted(self.blocks) if kind == _KIND_OF_BLOCK["DB"] else [1] if kind == _KIND_OF_BLOCK["OB"] else []

    def _block_info(self, asked: bytes) -> bytes | None:
        number = int(asked[2:7])
        if asked[1] != _KIND_OF_BLOCK["DB"] or number not in self.blocks:
            return None
        info = bytearray(78)
        info[1] = asked[1]
        info[12:14] = number.to_bytes(2)
        info[40:42] = min(len(self.blocks[number]), 0xFFFF).to_bytes(2)
        return bytes(info)

    def _time(self, _: bytes) -> bytes:
        return b"\0\x20" + _stamp(self.clock())

    def _system_list(self, asked: bytes) -> bytes | None:
        number, index = struct.unpack(">HH", asked)
        records = {
            (0x0011, 0): [
                struct.pack(">H20s6B", 1, b"6ES7 315-2EH14-0AB0 ", 0, 0, 0, 1, 0, 0),
                struct.pack(">H20s6B", 7, b"", 0, 0, ord("V"), 3, 2, 11),
            ],
            (0x001C, 0): [
                struct.pack(">H32s", 1, b"Pump station 3"),
                struct.pack(">H32s", 2, b"CPU 315-2 PN/DP"),
                struct.pack(">H32s", 3, b"Water works"),
                struct.pack(">H32s", 4, b"Simulated equipment"),
                struct.pack(">H32s", 5, b"S C-SIMULATED"),
                struct.pack(">H32s", 7, b"CPU 315-2 PN/DP (simulated)"),
            ],
            (0x0132, 4): [struct.pack(">6H", 4, 1, 0, 1, 1, 0) + bytes(28)],
            (0x0424, 0): [bytes([0x51, 0x44, 0xFF, self.state]) + bytes(8) + _stamp(self.clock())],
            (0x00A0, 0): [struct.pack(">H", event) + bytes(10) + _stamp(self.clock()) for event in self.events],
        }.get((number, index))
        if not records:
            return None
        return struct.pack(">4H", number, index, len(records[0]), len(records)) + b"".join(records)


@dataclass(frozen=True)
class _Item:
    """One item of a job. `start` counts bits, or timers and counters."""

    transport: int
    count: int
    block: int
    area: int
    start: int

    @property
    def byte(self) -> int:
        return self.start * 2 if self.transport in (_TIMER, _COUNTER) else self.start // 8

    @property
    def size(self) -> int:
        return self.count * _ELEMENT_SIZES.get(self.transport, 1)


def _items(question: bytes) -> Iterator[_Item]:
    for at in range(12, 12 + 12 * question[11], 12):
        transport, count, block, area = struct.unpack_from(">BHHB", question, at + 3)
        yield _Item(transport, count, block, area, int.from_bytes(question[at + 9 : at + 12]))


def _reply(sequence: bytes, parameters: bytes, body: bytes, error: int = 0) -> bytes:
    head = struct.pack(">BBH2sHHH", 0x32, _ACK_DATA, 0, sequence, len(parameters), len(body), error)
    return head + parameters + body


def _stamp(at: datetime) -> bytes:
    """Eight bytes of BCD: year to second, milliseconds, weekday."""
    ms = at.microsecond // 1000
    fields = (at.year % 100, at.month, at.day, at.hour, at.minute, at.second, ms // 10)
    return bytes([*map(to_bcd, fields), ms % 10 << 4 | at.isoweekday() % 7 + 1])
