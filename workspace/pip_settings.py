"""The user's pip configuration in uv's words: uv reads no pip files, and a plant's mirror stands there."""

import ast
from collections.abc import Mapping

# pip's option -> uv's environment variable, and what separates several values there.
UV_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
# Later sections win, as in pip: a command's own section over [global], the environment over both.
SECTIONS = ("global", "download", "install", ":env:")


def parse_listing(listing: str) -> dict[str, str]:
    """The settings for an installation, from what `pip config list` prints (`section.key='value'`)."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in found and value:
            found[section][key] = str(ast.literal_eval(value))
    return {key: value for section in SECTIONS for key, value in found[section].items()}


def uv_environment(listing: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to add for uv; what the user has set for uv already stays."""
    added = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # every index counts, as for pip; hashes guard the files
    for key, value in parse_listing(listing).items():
        if key not in UV_NAMES:
            continue
        name, separator = UV_NAMES[key]
        added[name] = separator.join(value.split())
    if added.get("UV_NO_INDEX", "").lower() in {"0", "no", "false", "off"}:
        del added["UV_NO_INDEX"]
    return {name: value for name, value in added.items() if name not in environment}
