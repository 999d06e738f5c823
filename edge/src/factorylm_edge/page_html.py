"""What the operator's page shows, as HTML that loads nothing and runs nothing."""

from html import escape
from typing import Any
from urllib.parse import urlencode

from factorylm_skill import told_to_the_model

from factorylm_edge.sample import Sample, instant, quality_name
from factorylm_edge.settings import Namespace

_MOST_VALUES = 200
_LITTLE_ROOM = 500_000_000
_STYLE = """
:root { color-scheme: light dark; --line: #d5dae0; --soft: #f3f5f7; --dim: #4f5b66; --bad: #a3130c; --good: #0b6b2f;
  font: 16px/1.5 system-ui, sans-serif }
@media (prefers-color-scheme: dark) {
  :root { --line: #39424c; --soft: #1d2329; --dim: #aab4be; --bad: #ff9d94; --good: #7ddc9f }
  body { background: #12161a; color: #e8ecf0 } }
body { margin: 0 auto; max-width: 72rem; padding: 1rem }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; justify-content: space-between }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem }
a { color: inherit }
.dim { color: var(--dim) }
.verdict { border-left: .35rem solid var(--good); background: var(--soft); padding: .6rem 1rem; margin: 1rem 0 }
.verdict.bad { border-color: var(--bad) }
.verdict ul { margin: .25rem 0 0; padding-left: 1.2rem }
.verdict li { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem; margin: 0 }
dl div { background: var(--soft); padding: .5rem .75rem }
dt { color: var(--dim); font-size: .875rem }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums }
dd small { font-size: .8rem; color: var(--dim); display: block }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--dim); font-weight: 600; font-size: .875rem; white-space: nowrap }
td { overflow-wrap: break-word; max-width: 20rem }
td:first-child { min-width: 6rem }
td:last-child { min-width: 12rem }
td.t { white-space: nowrap }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
td.bad { color: var(--bad); font-weight: 700 }
td.good { color: var(--good) }
"""


def page(
    status: dict[str, Any], latest: dict[str, Sample], namespace: Namespace, *, still: bool = False, token: str = ""
) -> str:
    """The whole page; every text of the plant is escaped and made visible."""
    name = _told(status["plant"]) or "Gateway"
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{name}: gateway</title>
<style>{_STYLE}</style></head>
<body><header><h1>{name}</h1><span class="dim">{_age(still=still, token=token)}</span></header>
<main>{_verdict(attention(status))}{_figures(status)}{_devices(status["devices"])}{_leaves(status)}
{_values(latest, namespace)}</main>
<footer class="dim"><p>factorylm-edge {_told(status["version"])}, up for {_span(status["seconds"])}.
For scripts: /status.json and /metrics.</p></footer></body></html>"""


def attention(status: dict[str, Any]) -> list[str]:
    """What a person should look at, the worst first; empty where all is well."""
    found = [status["trouble"]] if status["trouble"] else []
    if status["lost"]:
        found.append(f"{status['lost']:,} samples are lost: the disk could not be written for too long")
    found += [
        f"{device['name']} is silent for {_span(device['silent_s'])}: {device['problem']}"
        if device["silent_s"] is not None
        else f"{device['name']} has not answered yet: {device['problem']}"
        for device in status["devices"]
        if device["up"] is False
    ]
    found += [
        f"{target['to']} is not reached: {target['trouble']}" for target in status["targets"] if target["trouble"]
    ]
    if status["outbox_dropped"]:
        found.append(f"{status['outbox_dropped']:,} samples were dropped from a full outbox; the history has them")
    if status["free_bytes"] < _LITTLE_ROOM:
        found.append(f"only {_bytes(status['free_bytes'])} are left on the disk")
    found += [f"alarm: {alarm}" for alarm in status["alarms"]]
    if status["clock_jumps"]:
        found.append(f"the clock was set {status['clock_jumps']} times since the start: times before and after differ")
    return found


def _verdict(found: list[str]) -> str:
    if not found:
        said = "<strong>All is well.</strong> Every device that was asked answers, nothing is lost."
        return f'<div class="verdict" role="status">{said}</div>'
    items = "".join(f"<li>{_told(text)}</li>" for text in found)
    said = "One thing needs" if len(found) == 1 else f"{len(found)} things need"
    return f'<div class="verdict bad" role="alert"><strong>{said} attention.</strong><ul>{items}</ul></div>'


def _figures(status: dict[str, Any]) -> str:
    tags = sum(device["tags"] for device in status["devices"])
    bound = f"of {_bytes(status['history_most'])} at most" if status["history_most"] else "no bound but the disk"
    outbox = [("Outbox", _bytes(status["outbox_bytes"]), f"of {_bytes(status['outbox_most'])} at most")]
    rows = [
        ("Kept", f"{status['per_s']:,.1f} /s", f"of {tags:,} tags; a value that holds is not kept again"),
        ("Samples kept", f"{status['kept']:,}", f"lost {status['lost']:,}"),
        ("Wait for the disk", f"{status['waiting']:,}", "samples in memory"),
        ("History", _bytes(status["history_bytes"]), bound),
        ("Disk", f"{_bytes(status['free_bytes'])} free", ""),
        *(outbox if status["targets"] else []),
    ]
    cells = "".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for what, value, more in rows
    )
    return f"<h2>Figures</h2><dl>{cells}</dl>"


def _devices(devices: list[dict[str, Any]]) -> str:
    rows = [
        [
            device["name"],
            {True: ("good", "answers"), False: ("bad", "SILENT"), None: ("", "not asked yet")}[device["up"]],
            "-" if device["silent_s"] is None else f"{_span(device['silent_s'])} ago",
            device["tags"],
            round(device["per_s"], 1),
            device["overruns"],
            device["failures"],
            device["problem"],
        ]
        for device in devices
    ]
    columns = ["device", "state", "last answer", "tags", "kept /s", "late scans", "failures", "problem"]
    return _table("Devices", columns, rows, "no device is configured")


def _leaves(status: dict[str, Any]) -> str:
    rows = [
        [
            target["to"],
            ", ".join(target["tags"]),
            target["sent"],
            target["samples"],
            _reached(target),
        ]
        for target in status["targets"]
    ]
    columns = ["to", "these tags alone", "sent", "waiting", "state"]
    return _table("What leaves", columns, rows, "Nothing leaves this box: no target is configured.")


def _reached(target: dict[str, Any]) -> tuple[str, str]:
    if target["trouble"]:
        return "bad", target["trouble"]
    return ("good", "reached") if target["sent"] else ("", "nothing sent yet")


def _values(latest: dict[str, Sample], namespace: Namespace) -> str:
    rows: list[list[Any]] = []
    for _, sample in sorted(latest.items())[:_MOST_VALUES]:
        value = "-" if sample.value is None else sample.value
        quality = ("", "good") if sample.is_good else ("bad", quality_name(sample.quality))
        rows.append([sample.tag, value, quality, ("t", _clock(sample)), namespace.path(sample.tag)])
    said = f"Latest values (the first {len(rows)} of {len(latest):,})" if len(rows) < len(latest) else "Latest values"
    columns = ["tag", "value", "quality", "time (UTC)", "path in the plant"]
    return _table(said, columns, rows, "Nothing was collected yet.")


def _table(title: str, columns: list[str], rows: list[list[Any]], empty: str) -> str:
    """A cell is a value, or a class and a value."""
    if not rows:
        return f"<h2>{escape(title)}</h2><p>{escape(empty)}</p>"
    numeric = [all(_is_number(_bare(row[at])) for row in rows) for at in range(len(columns))]
    head = "".join(
        f'<th scope="col"{" class=n" if right else ""}>{escape(name)}</th>'
        for name, right in zip(columns, numeric, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row, numeric))}</tr>" for row in rows)
    return (
        f'<h2>{escape(title)}</h2><div class="wide" tabindex="0" role="region" aria-label="{escape(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any, right: bool) -> str:
    state = value[0] if isinstance(value, tuple) else ""
    bare = _bare(value)
    classes = f"{state} n".strip() if right else state
    opened = f'<td class="{classes}">' if classes else "<td>"
    if isinstance(bare, float):
        return f"{opened}{bare:.6g}</td>"
    return f"{opened}{bare:,}</td>" if _is_number(bare) else f"{opened}{_told(str(bare))}</td>"


def _bare(value: Any) -> Any:
    return value[1] if isinstance(value, tuple) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _age(*, still: bool, token: str) -> str:
    asked = {**({} if still else {"still": ""}), **({"token": token} if token else {})}
    where = escape(f"/?{urlencode(asked)}") if asked else "/"
    said = "Held." if still else "New every 5 seconds."
    return f'{said} <a href="{where}">{"Let it move on" if still else "Hold it still"}</a>'


def _told(text: str) -> str:
    return escape(told_to_the_model(text))


def _clock(sample: Sample) -> str:
    return f"{instant(sample.time_us):%Y-%m-%d %H:%M:%S}"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _bytes(count: float) -> str:
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"
