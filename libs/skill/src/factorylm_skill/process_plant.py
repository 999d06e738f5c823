"""The plant file that describes a live process, as a simulator has laid it out."""

import json
from collections.abc import Callable, Iterator, Mapping

from factorylm_schema import Value

from factorylm_skill.live_process import LiveProcess, Signal


def process_plant(
    process: LiveProcess, *, device: str, url: str, address: Callable[[Signal], str], **options: Value
) -> str:
    """One device with a tag for each signal; `address` says where a signal lies, `options` are keys of the device."""
    keys = {"url": url, **options}
    head = ["[plant]", 'name = "Simulated process"', "", f"[devices.{device}]", *_lines(keys)]
    tags = [
        line
        for signal in process.signals
        for line in ("", f"[devices.{device}.tags.{_literal(signal.name)}]", *_lines(dict(_keys(signal, address))))
    ]
    return "\n".join([*head, *tags, ""])


def _keys(signal: Signal, address: Callable[[Signal], str]) -> Iterator[tuple[str, object]]:
    yield "address", address(signal)
    for key, text in (("unit", signal.unit), ("description", signal.description)):
        if text:
            yield key, text
    for key, bound in (("min", signal.minimum), ("max", signal.maximum)):
        if bound is not None:
            yield key, bound
    if signal.enum:
        yield "enum", {str(number): label for number, label in signal.enum.items()}
    if signal.write:
        yield "write", signal.write.model_dump(exclude_none=True, exclude_unset=True)


def _lines(keys: Mapping[str, object]) -> list[str]:
    return [f"{key} = {_literal(value)}" for key, value in keys.items()]


def _literal(value: object) -> str:
    """As TOML; JSON's texts, numbers, booleans and lists are TOML's, too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_literal(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML allows no bare DEL
