"""skill.toml: what a skill says of itself; listings, bundles and cards are generated from it and the code."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from factorylm_schema.errors import Fault, PlantFileError
from factorylm_schema.fault_words import told
from factorylm_schema.toml_lines import key_lines, line_of


class Exemption(BaseModel):
    """A quality rule that this skill does not meet, and why that is right."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    rule: str
    reason: Annotated[str, Field(min_length=10)]


class SkillManifest(BaseModel):
    """One skill's listing."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    title: Annotated[str, Field(min_length=1, max_length=100)]
    # 100 characters: the limit of the MCP registry's server.json, schema 2025-12-11
    description: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Literal["protocol", "domain"]
    protocol: str = ""
    schemes: list[str] = Field(default_factory=list)
    licence: str = "Apache-2.0"
    owner: str
    listing: Literal["free", "subscription", "custom"] = "free"
    safety: Literal["read-only", "gated-writes"]
    categories: list[str] = Field(default_factory=list)
    homepage: str = ""
    exemptions: list[Exemption] = Field(default_factory=list)


def load_manifest(path: Path | str) -> SkillManifest:
    """The manifest in `path`; raises PlantFileError with every fault, its line and key."""
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    lines = key_lines(text)
    try:
        return SkillManifest.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PlantFileError([Fault(file=path.name, line=1, key="", message=f"not TOML: {error}")]) from error
    except ValidationError as error:
        faults = [
            Fault(file=path.name, line=line_of(at, lines), key=".".join(at), message=sentence)
            for at, sentence in told(error)
        ]
        raise PlantFileError(faults) from error
