"""What a skill's listing is made of, generated from skill.toml and the wheel: nobody writes the same fact twice."""

import json
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from factorylm_schema import SkillManifest
from factorylm_skill.front_matter import front_matter

from factorylm_registry.quality.judging import manifest_of
from factorylm_registry.refusals import BadQuestionError
from factorylm_registry.server_json import SCHEMA_URL, check_server_json
from factorylm_registry.wheels import Wheel

_SKILL_KEYS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}


def documents_of(wheel: Wheel, name: str = "", folder: Path | None = None) -> dict[str, Any]:
    """Every generated document by its file name; raises where the skill's own words do not fit."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest, trouble = manifest_of(wheel, folder, Path(scratch))
    if manifest is None:
        raise BadQuestionError(trouble, hint="`factorylm-registry new` shows one that is right")
    check_skill_md(wheel)
    return {
        "server.json": server_json(wheel, manifest, name),
        "manifest.json": mcpb_manifest(wheel, manifest),
        "agent-card.json": agent_card(wheel, manifest),
        "openclaw.json": openclaw(wheel, manifest),
    }


def server_json(wheel: Wheel, manifest: SkillManifest, name: str = "") -> dict[str, Any]:
    """For MCP registries; the name is the one in the README's mcp-name line, unless it is given."""
    name = name or wheel.claimed_name
    if not name:
        hint = "Add a line `mcp-name: com.example/NAME` to the README; com.example is your domain reversed"
        raise BadQuestionError("the README does not say the server's name", hint=hint)
    package: dict[str, Any] = {
        "registryType": "pypi",
        "identifier": wheel.metadata["Name"],
        "version": wheel.metadata["Version"],
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
    }
    package["packageArguments"] = [_argument(manifest)]
    made = {
        "$schema": SCHEMA_URL,
        "name": name,
        "title": manifest.title,
        "description": manifest.description,
        "version": wheel.metadata["Version"],
        **({"websiteUrl": manifest.homepage} if manifest.homepage else {}),
        "packages": [package],
    }
    return check_server_json(made)


def mcpb_manifest(wheel: Wheel, manifest: SkillManifest) -> dict[str, Any]:
    """For one-click bundles: type uv, because compiled dependencies cannot be carried portably."""
    name = str(wheel.metadata["Name"])
    option, about = ("--plant", "Plant file") if manifest.kind == "protocol" else ("--data", "Data folder")
    made = {
        "manifest_version": "0.4",
        "name": name,
        "display_name": manifest.title,
        "version": wheel.metadata["Version"],
        "description": manifest.description,
        "author": {"name": manifest.owner},
        "license": manifest.licence,
        "server": {
            "type": "uv",
            "entry_point": f"src/{name.replace('-', '_')}/__main__.py",
            "mcp_config": {"command": "uvx", "args": [_pinned(wheel), option, "${user_config.place}"]},
        },
        "user_config": {
            "place": {
                "type": "file" if manifest.kind == "protocol" else "directory",
                "title": about,
                "description": _argument(manifest)["description"],
                "required": True,
            }
        },
    }
    _check_mcpb(made)
    return made


def agent_card(wheel: Wheel, manifest: SkillManifest) -> dict[str, Any]:
    """A2A 1.0; where it is reached is for the operator to fill in, so the address is this machine's."""
    skill = {
        "id": manifest.name,
        "name": manifest.title,
        "description": _head(wheel)["description"],
        "tags": manifest.categories or [manifest.kind],
    }
    interface = {"url": "http://127.0.0.1:8765/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    return {
        "name": manifest.title,
        "description": manifest.description,
        "version": wheel.metadata["Version"],
        "supportedInterfaces": [interface],
        "capabilities": {"streaming": False, "pushNotifications": False},
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json"],
        "skills": [skill],
    }


def openclaw(wheel: Wheel, manifest: SkillManifest) -> dict[str, Any]:
    """For `openclaw mcp set NAME`: the command that starts it."""
    arguments = ["--simulate"] if manifest.kind == "protocol" else ["--data", "./data"]
    return {"mcp": {"servers": {manifest.name: {"command": "uvx", "args": [_pinned(wheel), *arguments]}}}}


def check_skill_md(wheel: Wheel) -> None:
    """Agent Skills' own rules on the head of SKILL.md; both its validator and OpenClaw's take what passes."""
    head = _head(wheel)
    foreign = set(head) - _SKILL_KEYS
    texts = [value for value in head.values() if isinstance(value, str)]
    if foreign or any(text.startswith(("[", "{", "|", ">")) for text in texts):
        hint = f"Its head has {', '.join(sorted(_SKILL_KEYS))}, in block YAML"
        raise BadQuestionError(f"SKILL.md has {', '.join(sorted(foreign)) or 'flow YAML'} at its head", hint=hint)
    if not 1 <= len(head.get("description", "")) <= 1024 or len(head.get("compatibility", "")) > 500:
        raise BadQuestionError("SKILL.md: a description has 1 to 1024 characters, compatibility at most 500")


def _head(wheel: Wheel) -> dict[str, Any]:
    try:
        return front_matter(wheel.text(wheel.named("SKILL.md")))
    except ValueError as error:
        raise BadQuestionError(f"SKILL.md: {error}", hint="`factorylm-registry new` shows one that is right") from error


def _pinned(wheel: Wheel) -> str:
    return f"{wheel.metadata['Name']}=={wheel.metadata['Version']}"


def _argument(manifest: SkillManifest) -> dict[str, Any]:
    if manifest.kind == "protocol":
        about = "The plant file that names devices and tags"
        return {"type": "named", "name": "--plant", "description": about, "format": "filepath", "isRequired": True}
    about = "The folder whose files may be opened"
    return {"type": "named", "name": "--data", "description": about, "format": "filepath", "isRequired": True}


def _check_mcpb(made: dict[str, Any]) -> None:
    from jsonschema import Draft7Validator  # type: ignore[import-untyped]

    schema = json.loads(
        (files("factorylm_registry") / "schemas" / "mcpb-manifest-v0.4.schema.json").read_text(encoding="utf-8")
    )
    faults = [error.message for error in Draft7Validator(schema).iter_errors(made)]
    if faults:
        raise BadQuestionError(f"the MCPB manifest would be wrong: {faults[0][:200]}", hint="Correct skill.toml")
