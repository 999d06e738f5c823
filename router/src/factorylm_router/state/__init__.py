"""Where the router remembers: one interface, three engines, one test suite."""

from factorylm_router.state.contract import State, open_state

__all__ = ["State", "open_state"]
