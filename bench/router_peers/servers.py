"""What stands behind and beside the router: a scripted upstream, and the least a proxy can do."""

import asyncio
import json
import sys
from typing import ClassVar, cast

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "x" * 240}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 60, "total_tokens": 80},
    }
).encode()  # fmt: skip
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER


def _chunk(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }
    return b"data: " + json.dumps(head).encode() + b"\n\n"


EVENTS = [
    *[_chunk({"content": "word "}) for _ in range(20)],
    _chunk({}, "stop"),
    _chunk({}, choices=[], usage={"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40}),
    b"data: [DONE]\n\n",
]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = [b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS]
BEGUN, REST = HEAD + CHUNKS[0], b"".join(CHUNKS[1:]) + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """Answers every complete request with the same bytes: the floor under all columns.

    Streams that ask for `"hold": N` end together, when N of them have begun."""

    held: ClassVar[list[asyncio.Transport]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length:
                return
            body, self.data = self.data[end + 4 : end + 4 + length], self.data[end + 4 + length :]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        if b'"hold":' in body:
            self.transport.write(BEGUN)
            self.held.append(self.transport)
            if len(self.held) >= json.loads(body)["hold"]:
                while self.held:
                    self.held.pop().write(REST)
        elif b'"stream":true' in body or b'"stream": true' in body:
            self.transport.write(BEGUN + REST)
        else:
            self.transport.write(WHOLE)


class PassThrough(asyncio.Protocol):
    """The least a proxy can do in Python: bytes over, bytes back, one upstream connection per client's."""

    port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.waiting = b""
        self.up: asyncio.Transport | None = None
        self.connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        back = self.transport

        class Back(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                back.write(data)

        self.up, _ = await asyncio.get_running_loop().create_connection(Back, "127.0.0.1", self.port)
        self.up.write(self.waiting)

    def data_received(self, data: bytes) -> None:
        if self.up is None:
            self.waiting += data
        else:
            self.up.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.up is not None:
            self.up.close()


async def serve_aiohttp(port: int, upstream: int) -> None:
    """The same HTTP stack as the router's with nothing in it: what the stack itself costs."""
    import aiohttp
    from aiohttp import web

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def passed(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        url = f"http://127.0.0.1:{upstream}/v1/chat/completions"
        async with session.post(url, data=body, allow_redirects=False) as answer:
            if answer.content_type != "text/event-stream":
                return web.Response(body=await answer.read(), content_type="application/json")
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", passed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


async def serve_forever(kind: type[asyncio.Protocol], port: int) -> None:
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


def main(role: str, *ports: str) -> None:
    """`servers.py upstream PORT`, `asyncio PORT UPSTREAM` or `aiohttp PORT UPSTREAM`."""
    if role == "aiohttp":
        import uvloop

        uvloop.run(serve_aiohttp(int(ports[0]), int(ports[1])))
    elif role == "asyncio":
        PassThrough.port = int(ports[1])
        asyncio.run(serve_forever(PassThrough, int(ports[0])))
    else:
        asyncio.run(serve_forever(Upstream, int(ports[0])))


if __name__ == "__main__":
    main(*sys.argv[1:])
