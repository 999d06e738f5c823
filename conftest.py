"""What holds for every test of the workspace."""

from collections.abc import Iterator
from inspect import iscoroutinefunction

import pytest
import sniffio


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
