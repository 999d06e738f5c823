"""Starts a skill on its simulator and watches it from outside, over the wire alone."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from factorylm_registry.quality.evidence import Answered, Seen
from factorylm_registry.quality.wire import SilentError, Wire, start

UNKNOWN = "surely_unknown"
_KEPT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LANG")
_NONSENSE = (b"{", b"[]", b'{"jsonrpc": "2.0", "id": "nonsense", "method": "no/such"}', b"\xff\xfe", b'{"id": {}}')


def watch(command: Sequence[str], python: str) -> Seen:
    """Everything the rules want to know of a running server; `python` gives the floor for its start."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**{key: os.environ[key] for key in _KEPT if key in os.environ}, "HOME": home}
        try:
            found = _first_life(command, environment)
        except SilentError as error:
            return Seen(trouble=str(error))
        except (KeyError, TypeError, AttributeError) as error:
            return Seen(trouble=f"an answer has not the form that MCP prescribes: {error!r}")
        found |= _second_life(command, environment)
        found |= {"floor_cpu_s": _floor(python, environment)}
        return Seen(answered=True, **found)


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[Wire]:
    wire = start(command, environment)
    try:
        yield wire
    finally:
        wire.stop()


def _first_life(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    with _running(command, environment) as wire:
        answer = wire.initialize()
        if "result" not in answer:
            raise SilentError(f"initialize was answered with {str(answer.get('error'))[:200]}")
        tools = wire.tools()
        refused = {tool["name"]: _refused(wire, tool["name"]) for tool in tools[:20]}
        again = wire.tools()
        memory = wire.memory_mb()
        survived = _survives(wire, len(again))
        ended = wire.ends(by_signal=False)
        return {
            "tools": tools,
            "tools_again": again,
            "unknown_argument": refused,
            "survived_nonsense": survived,
            "ended_on_eof": ended,
            "stray_output": "\n".join(wire.stray)[:400],
            "memory_mb": memory,
        }


def _refused(wire: Wire, tool: str) -> Answered:
    answer = wire.ask("tools/call", {"name": tool, "arguments": {UNKNOWN: 1}})
    if "error" in answer:
        return Answered(is_error=True, text=str(answer["error"].get("message", "")))
    result = answer["result"]
    text = " ".join(str(block.get("text", "")) for block in result.get("content", []))
    return Answered(is_error=bool(result.get("isError")), text=text)


def _survives(wire: Wire, tools: int) -> bool:
    """After nonsense on the wire it still answers; what it answers to nonsense is its own business."""
    try:
        for line in _NONSENSE:
            wire.send(line)
        return len(wire.tools()) == tools
    except SilentError:
        return False


def _second_life(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """The first start compiled the modules; this one is what users have every day, in the newer protocol era."""
    with _running(command, environment) as wire, suppress(SilentError):
        return {"modern": "result" in wire.discover(), **_start_and_end(wire)}
    with _running(command, environment) as wire, suppress(SilentError):
        wire.initialize()
        return _start_and_end(wire)
    return {}


def _start_and_end(wire: Wire) -> dict[str, Any]:
    return {"start_cpu_s": wire.cpu_s(), "ended_on_signal": wire.ends(by_signal=True)}


def _floor(python: str, environment: dict[str, str]) -> float:
    """CPU seconds of importing the SDK alone, on the same machine in the same minute."""
    program = "import mcp.server, time; print(time.process_time())"
    done = subprocess.run(  # noqa: S603 (our own program)
        [python, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    return float(done.stdout) if done.returncode == 0 else 0.0
