"""Judges a server.json: the official schema (2025-12-11), and the rules it cannot express."""

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from factorylm_registry.names import is_well_formed
from factorylm_registry.refusals import Fault, InvalidListingError
from factorylm_registry.versions import looks_like_a_range

SCHEMA_FILE = "server.schema.2025-12-11.json"
SCHEMA_URL = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
PUBLISHER_META = "io.modelcontextprotocol.registry/publisher-provided"
_MOST_META_BYTES = 4096
_PACKAGE_KINDS = ("npm", "pypi", "oci", "nuget", "mcpb")
_FORGES = {"github": "github.com", "gitlab": "gitlab.com"}
_VARIABLE = re.compile(r"\{([^{}\s]+)\}")
_PYPI_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_PATH_PART = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def check_server_json(document: Any) -> dict[str, Any]:
    """The document, reduced to what a registry keeps; raises InvalidListingError with every fault."""
    faults = faults_of(document)
    if faults:
        raise InvalidListingError(faults)
    kept = dict(document)
    meta = kept.pop("_meta", {})
    if PUBLISHER_META in meta:
        kept["_meta"] = {PUBLISHER_META: meta[PUBLISHER_META]}
    return kept


def faults_of(document: Any) -> list[Fault]:
    """Everything wrong with it; the finer rules are asked only of what has the right shape."""
    if not isinstance(document, dict):
        return [Fault(location="server.json", message="is not a JSON object")]
    hidden = [Fault(location=place, message="holds a control character") for place in _hidden(document, "")]
    shape = [_told(error) for error in _validator().iter_errors(document)]
    return hidden + shape if hidden or shape else list(_finer(document))


@cache
def _validator() -> Any:
    from jsonschema import Draft7Validator  # type: ignore[import-untyped]

    return Draft7Validator(server_schema())


@cache
def server_schema() -> dict[str, Any]:
    """The official schema, as shipped."""
    schema: dict[str, Any] = json.loads(
        (files("factorylm_registry") / "schemas" / SCHEMA_FILE).read_text(encoding="utf-8")
    )
    return schema


def _told(error: Any) -> Fault:
    place = ".".join(str(part) for part in error.absolute_path) or "server.json"
    return Fault(location=place, message=error.message[:300])


def _hidden(value: Any, place: str) -> Iterator[str]:
    """NUL, half surrogates and other control characters are never meant; stores and terminals choke on them."""
    if isinstance(value, str) and any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in value):
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _hidden(inner, f"{place}.{key}".lstrip("."))


def _finer(document: dict[str, Any]) -> Iterator[Fault]:
    yield from _unknown_fields(document)
    yield from _name(document["name"])
    yield from _version("version", document["version"])
    yield from _addresses(document)
    for index, package in enumerate(document.get("packages", [])):
        yield from _package(f"packages.{index}", package)
    for index, remote in enumerate(document.get("remotes", [])):
        yield from _remote(f"remotes.{index}", remote)
    meta = json.dumps(document.get("_meta", {}).get(PUBLISHER_META, {}))
    if len(meta.encode()) > _MOST_META_BYTES:
        yield Fault(location=f"_meta.{PUBLISHER_META}", message=f"is larger than {_MOST_META_BYTES} bytes")


def _unknown_fields(document: dict[str, Any]) -> Iterator[Fault]:
    known = server_schema()["definitions"]["ServerDetail"]["properties"]
    for key in sorted(document.keys() - known.keys()):
        yield Fault(location=key, message=f"is not a field of server.json; its fields are {', '.join(sorted(known))}")


def _name(name: str) -> Iterator[Fault]:
    for part in name.split("/"):
        if not is_well_formed(part):
            yield Fault(location="name", message=f"{part!r} must begin and end with a letter or digit")


def _version(place: str, version: str) -> Iterator[Fault]:
    if version == "latest" or looks_like_a_range(version):
        yield Fault(location=place, message=f"{version!r} is a range; name one version, for example 1.2.3")
    elif not _VERSION.fullmatch(version):
        # it is a part of addresses, and of paths in the static index
        yield Fault(location=place, message="must be letters, digits and . _ + - !, and begin with a letter or digit")


def _addresses(document: dict[str, Any]) -> Iterator[Fault]:
    if "websiteUrl" in document:
        yield from _https("websiteUrl", document["websiteUrl"])
    for index, icon in enumerate(document.get("icons", [])):
        yield from _https(f"icons.{index}.src", icon["src"])
    repository = document.get("repository", {})
    if not repository.get("url"):
        return
    yield from _https("repository.url", repository["url"])
    host = _FORGES.get(repository.get("source", ""))
    address = urlsplit(repository["url"])
    if host and (address.hostname != host or not re.fullmatch(r"/[\w.-]+(/[\w.-]+)+/?", address.path)):
        yield Fault(location="repository.url", message=f"is not https://{host}/OWNER/NAME, as its source says")
    if "subfolder" in repository and not _clean_path(repository["subfolder"]):
        yield Fault(location="repository.subfolder", message="is not a clean relative path")


def _clean_path(path: str) -> bool:
    return _PATH_PART.fullmatch(path) is not None and not {".", ".."} & set(path.split("/"))


def _https(place: str, address: str) -> Iterator[Fault]:
    try:
        parts = urlsplit(address)
    except ValueError:
        yield Fault(location=place, message="is not an address")
        return
    if parts.scheme != "https" or not parts.hostname:
        yield Fault(location=place, message="must begin with https:// and name a host")


def _package(place: str, package: dict[str, Any]) -> Iterator[Fault]:
    kind, identifier = package["registryType"], package["identifier"]
    if kind not in _PACKAGE_KINDS:
        yield Fault(location=f"{place}.registryType", message=f"{kind!r} is none of {', '.join(_PACKAGE_KINDS)}")
    # `uvx <identifier>`: one that begins with a dash would be an option
    if identifier.startswith("-") or (kind == "pypi" and not _PYPI_NAME.fullmatch(identifier)):
        yield Fault(location=f"{place}.identifier", message=f"{identifier!r} is not the name of a package")
    if "version" in package:
        yield from _version(f"{place}.version", package["version"])
    if kind == "mcpb" and "fileSha256" not in package:
        yield Fault(location=f"{place}.fileSha256", message="is missing; a bundle is pinned by its hash")
    for key in ("runtimeArguments", "packageArguments"):
        for index, argument in enumerate(package.get(key, [])):
            yield from _argument(f"{place}.{key}.{index}", argument)
    yield from _variables(f"{place}.transport.url", package["transport"].get("url", ""), _input_names(package))


def _input_names(package: dict[str, Any]) -> set[str]:
    """What a package's transport address may refer to."""
    named = [*package.get("environmentVariables", []), *package.get("packageArguments", [])]
    return {str(item.get(key)) for item in named for key in ("name", "valueHint") if item.get(key)}


def _argument(place: str, argument: dict[str, Any]) -> Iterator[Fault]:
    value, name = argument.get("value", ""), argument.get("name", "")
    if argument.get("type") == "named" and name and (value == name or value.startswith((f"{name}=", f"{name} "))):
        yield Fault(location=f"{place}.value", message=f"repeats the argument's name {name!r}")
    yield from _variables(f"{place}.value", value, set(argument.get("variables", {})))


def _remote(place: str, remote: dict[str, Any]) -> Iterator[Fault]:
    yield from _https(f"{place}.url", _VARIABLE.sub("x", remote["url"]))
    yield from _variables(f"{place}.url", remote["url"], set(remote.get("variables", {})))


def _variables(place: str, text: str, defined: set[str]) -> Iterator[Fault]:
    for name in _VARIABLE.findall(text):
        if name not in defined:
            yield Fault(location=place, message=f"{{{name}}} is not defined under variables")
