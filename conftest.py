"""What holds for every test of the workspace."""

from collections.abc import Iterator
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import sniffio

# The folders whose tests cover what the root pyproject.toml measures.
MEASURED = ("libs", "servers/modbus", "servers/s7", "servers/enip", "servers/opcua")


# The whole demo is one fixture: what a worker begins with, no other worker takes over and sets up again.
FIRST = Path("host/tests/test_demo.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The demo first; coverage doubles what a test costs, and is measured where it is asked for."""
    items.sort(key=lambda item: item.path != config.rootpath / FIRST)
    measured = [config.rootpath / folder for folder in MEASURED]
    for item in items:
        if not any(folder in Path(item.path).parents for folder in measured):
            item.add_marker("no_cover")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that is not async may start an event loop of its own.

    anyio notes "asyncio" in a context variable for as long as an async fixture of the session lives, idle or not,
    and anyio.run() refuses to start where that note is found.
    """
    if iscoroutinefunction(getattr(item, "obj", None)):
        return (yield)
    token = sniffio.current_async_library_cvar.set(None)
    try:
        return (yield)
    finally:
        sniffio.current_async_library_cvar.reset(token)
