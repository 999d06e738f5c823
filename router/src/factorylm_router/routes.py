"""Which models may answer a request, in which order, and why: a pure decision."""

from dataclasses import dataclass
from typing import Literal

from factorylm_router.config import ROLE_NAMES, Config
from factorylm_router.errors import BadRequestError, PolicyRefusedError
from factorylm_router.policy import Ruling, may_leave_to

Mode = Literal["single", "cascade", "session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`models` are asked in order: for a single answer the rest are fallbacks."""

    mode: Mode
    models: tuple[str, ...]
    why: str


def role_of(config: Config, model: str) -> str:
    return next((role for role in ROLE_NAMES if model in getattr(config.roles, role)), "")


def allowed_models(config: Config, ruling: Ruling, models: tuple[str, ...]) -> tuple[str, ...]:
    """Those whose provider this data may go to, without repeats."""
    unique = dict.fromkeys(models)
    return tuple(m for m in unique if may_leave_to(ruling.data_class, config.providers[config.models[m].provider]))


def named_route(config: Config, ruling: Ruling, asked: str) -> Route:
    """The client named a model or a role."""
    if asked in config.models:
        chain = (asked, *config.models[asked].fallbacks)
        return _single(config, ruling, chain, f"client named {asked}", first=asked)
    if asked in ROLE_NAMES:
        chain = getattr(config.roles, asked)
        return _single(config, ruling, chain, f"client named role {asked}")
    known = ", ".join([*sorted(config.models), *(role for role in ROLE_NAMES if getattr(config.roles, role)), "auto"])
    raise BadRequestError(f"no model {asked[:80]!r} here", hint=f"known are {known}")


def _single(config: Config, ruling: Ruling, chain: tuple[str, ...], why: str, first: str = "") -> Route:
    allowed = allowed_models(config, ruling, chain)
    if not allowed or (first and allowed[0] != first):
        what = first or "this role's models"
        raise PolicyRefusedError(
            f"data class {ruling.data_class} ({ruling.reason}) may not go to {what}, outside the plant",
            hint=f"on site are: {', '.join(on_site(config)) or 'no models'}",
        )
    return Route(mode="single", models=allowed, why=why)


def on_site(config: Config) -> list[str]:
    return [name for name, model in config.models.items() if config.providers[model.provider].where == "plant"]


def ladder(config: Config, ruling: Ruling, *roles: str) -> tuple[str, ...]:
    """All allowed models of these roles, role by role."""
    return allowed_models(config, ruling, tuple(m for role in roles for m in getattr(config.roles, role)))


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoQuestion:
    """What the automatic route looks at."""

    stream: bool
    has_tools: bool
    surface: str
    guess: str  # the prompt scorer's: trivial, normal, hopeless, or unknown
    pinned: str | None
    short_deadline: bool


def auto_route(config: Config, ruling: Ruling, asked: AutoQuestion) -> Route:
    """`auto`: the cascade where the answer can wait and be checked, otherwise one model chosen up front."""
    cheap = ladder(config, ruling, "cheap", "local")
    premium = ladder(config, ruling, "premium", "medium")
    everything = (*cheap, *ladder(config, ruling, "medium", "premium"))
    if not everything:
        raise PolicyRefusedError(
            f"data class {ruling.data_class} ({ruling.reason}) may not leave and no role is on site",
            hint='put a model of a provider with where = "plant" into [roles]',
        )
    if asked.pinned in everything:
        chain = (str(asked.pinned), *premium)
        return Route(mode="session", models=tuple(dict.fromkeys(chain)), why="this session stays with its model")
    if config.routing.auto == "premium" or asked.guess == "hopeless":
        return Route(mode="single", models=premium or everything, why=_up_front(config, asked))
    if asked.has_tools:
        return Route(mode="session", models=everything, why="a new agent session starts cheap")
    if asked.stream or asked.short_deadline or asked.guess == "trivial" or config.routing.auto == "cheap":
        middle = ladder(config, ruling, "medium") if asked.guess != "trivial" else ()
        return Route(mode="single", models=tuple(dict.fromkeys((*middle, *everything))), why=_up_front(config, asked))
    if len(everything) < 2 or not premium:
        return Route(mode="single", models=everything, why="only one model may answer this")
    return Route(mode="cascade", models=everything, why="cheap answers first, checked")


def _up_front(config: Config, asked: AutoQuestion) -> str:
    if asked.stream:
        return f"streaming: one model chosen up front, prompt looks {asked.guess}"
    if asked.short_deadline:
        return "short deadline: one model chosen up front"
    if asked.guess in ("trivial", "hopeless"):
        return f"prompt looks {asked.guess}"
    return f"routing.auto is {config.routing.auto}"
