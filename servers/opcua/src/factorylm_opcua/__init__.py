"""FactoryLM's OPC UA skill.

- `SKILL`: what a host serves; `main`: the console script
- for the plant file: `DIALECT`; for scripts and tests: `connect`, `simulate`
"""

from factorylm_opcua.dialect import DIALECT
from factorylm_opcua.driver import connect
from factorylm_opcua.server import SKILL, main, simulate

__all__ = ["DIALECT", "SKILL", "connect", "main", "simulate"]
