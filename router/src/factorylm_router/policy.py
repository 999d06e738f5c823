"""Who may send what where. Every answer is 'no' unless something says 'yes'."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from factorylm_router.config import STRICTNESS, Config, DataClass, KeyConfig, PolicyConfig, ProviderConfig
from factorylm_router.errors import BadRequestError, ModelNotAllowedError, NotAllowedError, PolicyRefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the key's name and rules, and what its headers claim."""

    name: str
    rules: KeyConfig | None
    plant: str = ""
    skill: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    data_class: DataClass
    reason: str


def identify(config: Config, digest: str | None, now: datetime) -> tuple[str, KeyConfig | None]:
    """The key's name and rules. Without any configured key everybody is the loopback caller."""
    if not config.keys:
        return "anonymous", None
    found = config.key_by_digest.get(digest or "")
    if found is None:
        raise NotAllowedError("this key is not known here", hint="send a key of this router as the Bearer token")
    name, key = found
    if key.revoked:
        raise NotAllowedError(f"key {name} is revoked", hint="ask for a new one")
    if key.expires and now >= key.expires:
        raise NotAllowedError(f"key {name} expired on {key.expires:%Y-%m-%d %H:%M} UTC", hint="ask for a new one")
    return name, key


def judge_model_allowed(rules: KeyConfig | None, model: str) -> None:
    if rules and rules.models and model not in rules.models:
        raise ModelNotAllowedError(f"this key may not use {model!r}", hint=f"it may use {', '.join(rules.models)}")


def judge_class(policy: PolicyConfig, caller: Caller, claimed: str | None, body: Mapping[str, Any]) -> Ruling:
    """The strictest of what key, header, skill and content say. Only the configuration can open the door;
    headers and content are written by whoever calls and can only close it."""
    if caller.rules:
        ruling = Ruling(caller.rules.data_class, f"key {caller.name}")
    else:
        ruling = Ruling(policy.default_class, "default")
    if claimed is not None:
        ruling = _stricter(ruling, Ruling(_claimed_class(claimed), "header"))
    if caller.skill in policy.skills:
        ruling = _stricter(ruling, Ruling(policy.skills[caller.skill], f"skill {caller.skill}"))
    if policy.rules and ruling.data_class is not DataClass.PLANT:
        ruling = _judge_content(policy, ruling, body)
    return ruling


def _stricter(first: Ruling, second: Ruling) -> Ruling:
    return second if STRICTNESS[second.data_class] < STRICTNESS[first.data_class] else first


def _claimed_class(claimed: str) -> DataClass:
    try:
        return DataClass(claimed.strip().lower())
    except ValueError:
        names = ", ".join(DataClass)
        raise BadRequestError(f"unknown data class {claimed[:40]!r}", hint=f"the classes are {names}") from None


def _judge_content(policy: PolicyConfig, ruling: Ruling, body: Mapping[str, Any]) -> Ruling:
    for text in texts_in(body):
        for number, rule in enumerate(policy.rules):
            if re.search(rule.pattern, text):  # re keeps compiled patterns
                ruling = _stricter(ruling, Ruling(rule.data_class, f"content rule {number + 1}"))
    return ruling


def texts_in(value: Any) -> Iterator[str]:
    """Every string anywhere in a request: messages, tools, names, unknown fields, keys of objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def may_leave_to(data_class: DataClass, provider: ProviderConfig) -> bool:
    return provider.where == "plant" or data_class is not DataClass.PLANT


def judge_egress(ruling: Ruling, name: str, provider: ProviderConfig) -> None:
    """Asked last, right before the socket, on every path: first try, retry, fallback, shadow."""
    if not may_leave_to(ruling.data_class, provider):
        raise PolicyRefusedError(
            f"data class {ruling.data_class} ({ruling.reason}) may not go to {name}, outside the plant",
            hint="name a model on site, or use a key whose owner allows a more open class",
        )
