"""Packages run on Windows, too: what only POSIX has is imported and called only where it was asked for first."""

import ast
from collections.abc import Iterator
from pathlib import Path

from workspace.imports import sources
from workspace.members import ROOT, Member

POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
POSIX_NAMES = {"SIGHUP", "SIGKILL", "SIGUSR1", "add_signal_handler", "fork", "geteuid", "getuid", "killpg", "uname"}


def test_what_only_posix_has_stands_behind_a_question(member: Member) -> None:
    unguarded = [
        f"{path.relative_to(ROOT).as_posix()}:{line} {name}" for path in sources(member) for line, name in bare(path)
    ]
    assert not unguarded, "put it under `if sys.platform` or `try`"


def bare(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        (node.lineno, name)
        for node, guarded in walked(tree, guarded=False)
        if not guarded
        for name in posix_names(node)
    ]


def walked(node: ast.AST, *, guarded: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether an `if` that asks for the platform, or a `try`, stands around it."""
    yield node, guarded
    inside = guarded or isinstance(node, ast.Try) or (isinstance(node, ast.If) and asks_platform(node.test))
    for child in ast.iter_child_nodes(node):
        yield from walked(child, guarded=inside)


def asks_platform(test: ast.expr) -> bool:
    return any(word in ast.unparse(test) for word in ("sys.platform", "os.name", "hasattr"))


def posix_names(node: ast.AST) -> set[str]:
    match node:
        case ast.Import(names=names):
            return {alias.name for alias in names} & POSIX_MODULES
        case ast.ImportFrom(module=module):
            return {module or ""} & POSIX_MODULES
        case ast.Attribute(attr=name):
            return {name} & POSIX_NAMES
    return set()
