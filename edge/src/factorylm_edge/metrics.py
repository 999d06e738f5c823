"""A gateway's figures in Prometheus' text format."""

from collections.abc import Iterator
from typing import Any

_GATEWAY = (
    ("kept", "samples_kept_total", "counter", "Samples committed to the history"),
    ("waiting", "samples_waiting", "gauge", "Samples that wait for the disk"),
    ("lost", "samples_lost_total", "counter", "Samples lost for want of room"),
    ("history_bytes", "history_bytes", "gauge", "Size of the history"),
    ("free_bytes", "disk_free_bytes", "gauge", "Room left on its disk"),
    ("clock_jumps", "clock_jumps_total", "counter", "Times the clock was set"),
    ("outbox_dropped", "outbox_dropped_total", "counter", "Samples dropped from a full outbox"),
)
_DEVICE = (
    ("up", "device_up", "gauge", "Whether the device answers"),
    ("scans", "device_scans_total", "counter", "Scans done"),
    ("samples", "device_samples_total", "counter", "Samples worth keeping"),
    ("overruns", "device_overruns_total", "counter", "Scans that were due while another was not done"),
    ("failures", "device_failures_total", "counter", "Times the device was lost or stayed lost"),
    ("slowest_s", "device_slowest_scan_seconds", "gauge", "The slowest scan"),
)
_TARGET = (
    ("sent", "target_samples_total", "counter", "Samples a target has acknowledged"),
    ("samples", "target_waiting", "gauge", "Samples that wait for a target"),
)


def metrics(status: dict[str, Any]) -> str:
    """All of them."""
    lines = [
        *_family(_GATEWAY, [("", status)]),
        *_family(_DEVICE, [(_label("device", device["name"]), device) for device in status["devices"]]),
        *_family(_TARGET, [(_label("target", target["to"]), target) for target in status["targets"]]),
    ]
    return "\n".join(lines) + "\n"


def _family(names: tuple[tuple[str, str, str, str], ...], rows: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    for key, name, kind, about in names:
        if not rows:
            continue
        yield f"# HELP factorylm_edge_{name} {about}"
        yield f"# TYPE factorylm_edge_{name} {kind}"
        for label, row in rows:
            yield f"factorylm_edge_{name}{label} {float(row[key] or 0):g}"


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{{name}="{escaped}"}}'
