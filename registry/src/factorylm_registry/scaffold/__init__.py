"""A new skill that passes its checks from the first minute: files with @name@, @title@ and @namespace@ filled in."""

import re
from importlib.resources import files
from pathlib import Path

from factorylm_registry.names import is_well_formed
from factorylm_registry.refusals import BadQuestionError, ConflictError

__all__ = ["new_skill"]

_NAME = re.compile(r"[a-z][a-z0-9]{1,14}")
_PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "skill.toml": "skill.toml",
    "SKILL.md": "src/factorylm_@name@/SKILL.md",
    "__init__.py": "src/factorylm_@name@/__init__.py",
    "__main__.py": "src/factorylm_@name@/__main__.py",
    "server.py": "src/factorylm_@name@/server.py",
    "test_contract.py": "tests/test_contract.py",
}


def new_skill(name: str, namespace: str, parent: Path) -> Path:
    """Write the skill's folder below `parent`; returns it."""
    if not _NAME.fullmatch(name):
        # hosts count 64 characters of tool name with all prefixes, so a skill's name is short
        raise BadQuestionError(f"{name!r} is not a skill's name", hint="2 to 15 letters and digits, such as pumpcare")
    if not is_well_formed(namespace) or "." not in namespace:
        raise BadQuestionError(f"{namespace!r} is not a namespace", hint="Your domain reversed, such as com.example")
    folder = parent / f"factorylm-{name}"
    if folder.exists():
        raise ConflictError(f"{folder} is there already", hint="Choose another name or folder")
    for source, target in _PLACES.items():
        path = folder / _filled(target, name, namespace)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (files("factorylm_registry.scaffold") / f"{source}.txt").read_text(encoding="utf-8")
        path.write_text(_filled(text, name, namespace), encoding="utf-8")
    (folder / f"src/factorylm_{name}/py.typed").touch()
    return folder


def _filled(text: str, name: str, namespace: str) -> str:
    for key, value in (("name", name), ("title", name.capitalize()), ("namespace", namespace)):
        text = text.replace(f"@{key}@", value)
    return text
