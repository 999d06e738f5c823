"""Server-sent events: bytes in, whole events out."""

from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
# One event holds at most one chunk of an answer; images in an answer reach a few megabytes.
MAX_EVENT_BYTES = 16 * 1024 * 1024


class BrokenStreamError(Exception):
    """The upstream's stream is not what it says it is."""


class EventReader:
    """Cuts a byte stream into events, wherever the network cut it."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The complete events so far, each without the blank line that ends it."""
        data = self._rest + chunk if self._rest else chunk
        if b"\r" in data:
            # A lone \r at the end may be half of a \r\n: it waits for the next chunk.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n")
        else:
            held = b""
        events = data.split(b"\n\n")
        self._rest = events.pop() + held
        if len(self._rest) > MAX_EVENT_BYTES:
            raise BrokenStreamError("an event of the stream is too large")
        return events

    def rest(self) -> bytes:
        """What came after the last complete event: a last line without its blank line."""
        rest, self._rest = self._rest, b""
        return rest.strip()


def data_of(event: bytes) -> bytes:
    """The data lines of one event, joined; empty for comments and bare event names."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)


def parsed(data: bytes) -> dict[str, Any]:
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BrokenStreamError("the upstream sent broken JSON in its stream") from error
    if not isinstance(chunk, dict):
        raise BrokenStreamError("the upstream sent a stream event that is not an object")
    return chunk


def data_event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def named_event(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(value) + b"\n\n"
