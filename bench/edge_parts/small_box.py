"""512 MB, 30 % of one core and no network: collector, history and a host with every skill, and what they manage there.

Where cgroups may be made (root on Linux) the limits are the kernel's: memory without swap, processor time by quota, and
a network namespace with nothing but a loopback. The simulators share the namespace and not the limits: they are the
plant, not the box. Elsewhere this part says what is missing and counts as not kept.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_parts.collecting import simulators
from edge_parts.figures import figure, process

MEMORY_MB, SHARE = 512, 0.3
_PERIOD_US = 100_000
_ROOT = Path("/sys/fs/cgroup")
_ASKED_EVERY_S = 5


def measure(folder: Path, seconds: int) -> bool:
    """1,000 tags at 1 Hz; the assistant asks for the last minutes of a tag every five seconds."""
    if why := _impossible():
        print(f"the small box is left out: {why}")
        return False
    command = [shutil.which("unshare") or "unshare", "--net", *process("small-box", str(folder), str(seconds))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    print(f"box of {MEMORY_MB} MB, {SHARE:.0%} of a core ({told['limits']}), network: {told['network']}")
    print(f"  a host of {told['skills']} skills, {told['asked']} questions, overruns {told['overruns']}")
    print(f"  {told['throttled_s']:.0f} s held back by the quota")
    return all(
        [
            figure("box: of 1,000 tags at 1 Hz, samples kept a second", told["rate"], "least", 950),
            figure("box: samples lost", told["lost"], "most", 0),
            figure("box: % of one core, gateway and host", told["share"] * 100, "most", 30.5),
            figure("box: MB with file cache, gateway and host", told["peak_mb"], "most", MEMORY_MB),
            figure("box: processes killed for want of memory", told["killed"], "most", 0),
            figure("box: slowest answer, seconds", told["slowest_s"], "most", 5),
        ]
    )


def run(folder: str, seconds: str) -> None:
    """Within the namespace; prints one JSON object."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with simulators(Path(folder), 1) as plant, _box() as box:
        print(json.dumps(asyncio.run(_lived(box, plant, Path(folder) / "data", float(seconds)))))


async def _lived(box: "Box", plant: Path, data: Path, seconds: float) -> dict[str, object]:
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    given = ["--plant", str(plant), "--data", str(data)]
    collects = [sys.executable, "-m", "factorylm_edge", "run", *given, "--json", "--seconds", str(seconds)]
    gateway = await asyncio.create_subprocess_exec(
        *box.entered(collects), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    while not (data / "history.db").is_file():  # noqa: ASYNC110 (another process makes it)
        await asyncio.sleep(0.1)
    command = box.entered([sys.executable, "-m", "factorylm", "serve", *given])
    slowest, asked, begun = 0.0, 0, time.monotonic()
    async with Client(stdio_client(StdioServerParameters(command=command[0], args=command[1:]))) as client:
        while time.monotonic() - begun < seconds - _ASKED_EVERY_S:
            await asyncio.sleep(_ASKED_EVERY_S)
            at = time.monotonic()
            told = await client.call_tool("history_read", {"tag": "d0.t7", "start": "-5min"})
            assert not told.is_error, told
            slowest, asked = max(slowest, time.monotonic() - at), asked + 1
        await client.call_tool("modbus_read_tags", {"tags": ["d0.t7"]})
        skills = {tool.name.partition("_")[0] for tool in (await client.list_tools()).tools}
    out, _ = await gateway.communicate()
    status = json.loads(out)
    return {
        "rate": status["kept"] / seconds,
        "lost": status["lost"],
        "overruns": sum(device["overruns"] for device in status["devices"]),
        "asked": asked,
        "skills": len(skills),
        "slowest_s": slowest,
        "network": _network(),
        **box.told(time.monotonic() - begun),
    }


class Box:
    """One cgroup, of version 2 or of version 1."""

    def __init__(self, folders: dict[str, Path], version: int) -> None:
        self.folders, self.version = folders, version

    def entered(self, command: list[str]) -> list[str]:
        """The command as a process that is in the box before it begins."""
        doors = " ".join(f"echo $$ > {folder}/cgroup.procs;" for folder in dict.fromkeys(self.folders.values()))
        return ["/bin/sh", "-c", f'{doors} exec "$@"', "sh", *command]

    def told(self, passed_s: float) -> dict[str, object]:
        """What the kernel counted."""
        memory, cpu = self.folders["memory"], self.folders["cpu"]
        counted = dict(line.split() for line in (cpu / "cpu.stat").read_text().splitlines())
        if self.version == 2:
            used_s, throttled_s = int(counted["usage_usec"]) / 1e6, int(counted["throttled_usec"]) / 1e6
            peak = int((memory / "memory.peak").read_text())
            events = dict(line.split() for line in (memory / "memory.events").read_text().splitlines())
        else:
            used_s = int((self.folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
            throttled_s = int(counted["throttled_time"]) / 1e9
            peak = int((memory / "memory.max_usage_in_bytes").read_text())
            events = dict(line.split() for line in (memory / "memory.oom_control").read_text().splitlines())
        return {
            "share": used_s / passed_s,
            "throttled_s": throttled_s,
            "peak_mb": peak / 1e6,
            "killed": int(events.get("oom_kill", 0)),
            "limits": f"cgroup version {self.version}",
        }


@contextmanager
def _box() -> Iterator[Box]:
    version = 2 if (_ROOT / "cgroup.controllers").is_file() else 1
    name = f"factorylm-bench-{os.getpid()}"
    parts = ("memory", "cpu") if version == 2 else ("memory", "cpu", "cpuacct")
    folders = {part: _ROOT / name if version == 2 else _own(part) / name for part in parts}
    made = list(dict.fromkeys(folders.values()))
    for folder in made:
        folder.mkdir()
    quota = round(SHARE * _PERIOD_US)
    if version == 2:
        (folders["cpu"] / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        (folders["memory"] / "memory.max").write_text(f"{MEMORY_MB}M")
    else:
        (folders["cpu"] / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (folders["cpu"] / "cpu.cfs_quota_us").write_text(str(quota))
        (folders["memory"] / "memory.limit_in_bytes").write_text(f"{MEMORY_MB}M")
    try:
        yield Box(folders, version)
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _own(part: str) -> Path:
    """Below the group this process is in, so that its own limits go on to hold (version 1)."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if part in controllers.split(","):
            return _ROOT / part / path.lstrip("/")
    return _ROOT / part


def _network() -> str:
    devices = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    return "loopback alone" if devices == ["lo"] else f"also {', '.join(devices)}"


def _impossible() -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "it takes root on Linux to make a cgroup and a network namespace"
    for program in ("unshare", "ip"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        return "a network namespace may not be made here"
    try:
        with _box():
            return ""
    except OSError as error:
        return f"a cgroup may not be made here: {error}"
