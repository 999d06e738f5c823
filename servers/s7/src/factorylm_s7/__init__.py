"""FactoryLM's Siemens S7 skill.

- `SKILL`: what a host serves; `main`: the console script
- for the plant file: `DIALECT`; for scripts and tests: `connect`, `simulate`
"""

from factorylm_s7.dialect import DIALECT
from factorylm_s7.server import SKILL, connect, main
from factorylm_s7.simulator import simulate

__all__ = ["DIALECT", "SKILL", "connect", "main", "simulate"]
