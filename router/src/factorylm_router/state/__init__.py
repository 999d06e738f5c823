"""Where the router remembers: one interface, three engines, one test suite."""

from factorylm_router.state.contract import SettlesAtOnce, State, open_state

__all__ = ["SettlesAtOnce", "State", "open_state"]
