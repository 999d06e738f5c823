"""The one TOML file: providers, models with dated prices, roles, policy, keys and limits."""

import hashlib
import ipaddress
import os
import re
import stat
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from factorylm_router.errors import ConfigError
from factorylm_router.ledger import Limits
from factorylm_router.money import Price, micro_from_dollars, nano_from_dollars_per_million

Name = Annotated[str, Field(pattern=r"^[\w./:@-]{1,128}$")]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Share = Annotated[float, Field(ge=0, le=1)]


class DataClass(StrEnum):
    """Where a request's content may go, strictest first."""

    PLANT = "plant"  # never leaves the site
    REDACTED = "redacted"  # leaves with names, addresses and tag values replaced
    PUBLIC = "public"  # may leave as it is


STRICTNESS = {DataClass.PLANT: 0, DataClass.REDACTED: 1, DataClass.PUBLIC: 2}


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProviderConfig(Table):
    url: str
    kind: Literal["openai", "openrouter", "anthropic"] = "openai"
    where: Literal["plant", "outside"] = "outside"
    key_env: str | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    connect_timeout_s: Seconds = 5
    timeout_s: Seconds = 600
    stall_timeout_s: Seconds = 60
    at_once: Annotated[int, Field(ge=1, le=100_000)] = 20_000  # 1 for a llama.cpp server
    queue: Annotated[int, Field(ge=0, le=100_000)] = 1000
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    responses: bool = False
    quirks: frozenset[Literal["llama-cpp", "llama-cpp-python"]] = frozenset()

    @field_validator("url")
    @classmethod
    def _is_an_http_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must look like https://host/v1")
        if parts.username or parts.password:
            raise ValueError("must not hold a password: use key_env or key_file")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _is_where_it_says(self) -> Self:
        host = urlsplit(self.url).hostname or ""
        if self.where == "plant" and is_public_address(host):
            raise ValueError(f'says where = "plant", but {host} is a public address')
        return self


class PriceConfig(Table):
    """Dollars per million tokens."""

    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None
    request: Dollars = Decimal(0)
    as_of: date

    def to_price(self) -> Price:
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        return Price(
            in_nano=nano_from_dollars_per_million(self.input),
            out_nano=nano_from_dollars_per_million(self.output),
            cached_nano=nano_from_dollars_per_million(cached),
            cache_write_nano=nano_from_dollars_per_million(written),
            request_micro=micro_from_dollars(self.request),
            as_of=self.as_of,
        )


class ModelConfig(Table):
    provider: Name
    name: str | None = None  # what the provider calls it; the table's own name by default
    price: PriceConfig
    family: str | None = None
    fallbacks: tuple[Name, ...] = ()


class RolesConfig(Table):
    local: tuple[Name, ...] = ()
    cheap: tuple[Name, ...] = ()
    medium: tuple[Name, ...] = ()
    premium: tuple[Name, ...] = ()


class ContentRule(Table):
    """A pattern in the request's text that makes its class stricter. It can never make it looser."""

    pattern: str
    data_class: DataClass = DataClass.PLANT

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return pattern


class RedactConfig(Table):
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    addresses: bool = True
    values: bool = True


class PolicyConfig(Table):
    default_class: DataClass = DataClass.PLANT
    skills: dict[str, DataClass] = {}
    rules: tuple[ContentRule, ...] = ()
    redact: RedactConfig = RedactConfig()


class KeyConfig(Table):
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    data_class: DataClass = DataClass.PLANT  # as open as this key gets; a header can only be stricter
    models: tuple[str, ...] = ()  # empty: all
    budget_usd: Dollars | None = None
    soft_budget_usd: Dollars | None = None
    period: Literal["day", "month", "total"] = "month"
    requests_per_minute: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    expires: datetime | None = None
    revoked: bool = False
    plant: str = ""
    skill: str = ""
    agent: str = ""

    @cached_property
    def limits(self) -> Limits:
        return Limits(
            budget_micro=None if self.budget_usd is None else micro_from_dollars(self.budget_usd),
            soft_micro=None if self.soft_budget_usd is None else micro_from_dollars(self.soft_budget_usd),
            period=self.period,
            per_minute=self.requests_per_minute,
        )

    @field_validator("expires")
    @classmethod
    def _knows_its_zone(cls, expires: datetime | None) -> datetime | None:
        if expires is not None and expires.tzinfo is None:
            raise ValueError("needs a time zone, for example 2027-01-01T00:00:00Z")
        return expires.astimezone(UTC) if expires else None


class RoutingConfig(Table):
    auto: Literal["cascade", "cheap", "premium"] = "cascade"
    premium_calls_per_right_answer: Annotated[float, Field(gt=0, le=1000)] | None = None  # lambda; None: as fitted
    deadline_s: Seconds = 120
    shadow_share: Share = 0.02
    prose: Literal["premium", "cheap"] = "premium"  # who answers what no check can judge
    together: bool = False  # ask the first two cheap models at once: faster, and never only one
    session_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 12
    verifier_file: Path | None = None
    challenger_file: Path | None = None  # a verifier on trial, for this share of the cascades
    challenger_share: Share = 0.5
    scorer_file: Path | None = None


class PlantConfig(Table):
    """What checks may know of the plant: its tags, their units, and between which values each may be set."""

    tags: tuple[str, ...] = ()
    units: dict[str, str] = {}
    limits: dict[str, tuple[float, float]] = {}


class CacheConfig(Table):
    seconds: Annotated[int, Field(ge=0, le=30 * 86400)] = 0
    megabytes: Annotated[int, Field(ge=1, le=100_000)] = 64


class ServerConfig(Table):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    allowed_hosts: tuple[str, ...] = ()
    data: Path | None = None  # the folder for ledger and journal; without it, the user's data folder
    state: str = "sqlite:router.db"  # a relative path starts in that folder
    admin_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    max_body_mb: Annotated[float, Field(gt=0, le=1024)] = 32
    at_once: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    drain_s: Seconds = 30
    plant: str = ""
    otlp_url: str | None = None


class Config(Table):
    server: ServerConfig = ServerConfig()
    providers: dict[Name, ProviderConfig]
    models: dict[Name, ModelConfig]
    roles: RolesConfig = RolesConfig()
    policy: PolicyConfig = PolicyConfig()
    routing: RoutingConfig = RoutingConfig()
    cache: CacheConfig = CacheConfig()
    plant: PlantConfig = PlantConfig()
    keys: dict[Name, KeyConfig] = {}

    @cached_property
    def key_by_digest(self) -> dict[str, tuple[str, KeyConfig]]:
        return {key.sha256: (name, key) for name, key in self.keys.items()}

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, model in self.models.items():
            _must_be_known(f"models.{name}.provider", (model.provider,), self.providers)
            _must_be_known(f"models.{name}.fallbacks", model.fallbacks, self.models)
        for role, names in self.roles:
            _must_be_known(f"roles.{role}", names, self.models)
        for name, key in self.keys.items():
            known = {*self.models, *ROLE_NAMES, "auto"}
            _must_be_known(f"keys.{name}.models", key.models, known)
        return self

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if is_loopback(self.server.host):
            return self
        if not self.keys:
            raise ValueError(f"server.host {self.server.host} is beyond loopback: add at least one key to [keys]")
        if not self.server.allowed_hosts:
            raise ValueError(
                "server.allowed_hosts must name the hosts clients use, because server.host is beyond loopback"
            )
        return self


ROLE_NAMES = ("local", "cheap", "medium", "premium")


def _must_be_known(where: str, names: tuple[str, ...], known: Any) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where} names {name!r}; known are {', '.join(sorted(known)) or 'none'}")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public_address(host: str) -> bool:
    """True for a numeric address that any host on the internet could own. Names are judged when they
    resolve."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return False


def load_config(path: Path) -> Config:
    """Read and judge the file; every complaint names the file, the key and what would be right."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="give a file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path} is wrong: {_told(error)}", hint="fix the named keys and try again") from error


def _told(error: ValidationError) -> str:
    complaints = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in item["loc"]) or "file"
        complaints.append(f"{where}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(complaints)


def provider_key(name: str, provider: ProviderConfig) -> str | None:
    """The secret itself, read when it is needed and kept nowhere else."""
    if provider.key_file:
        return _key_from_file(name, provider.key_file)
    if provider.key_env:
        key = os.environ.get(provider.key_env)
        if not key:
            raise ConfigError(f"providers.{name}.key_env: {provider.key_env} is not set in the environment")
        return key.strip()
    return None


def _key_from_file(name: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"providers.{name}.key_file: cannot read {path}: {error.strerror}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"providers.{name}.key_file: others may read {path}", hint=f"chmod 600 {path}")
    if not text:
        raise ConfigError(f"providers.{name}.key_file: {path} is empty")
    return text


def key_digest(key: str) -> str:
    """Keys are 256 random bits, so a plain hash cannot be searched."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
