"""FactoryLM's Modbus skill.

- `SKILL`: what a host serves; `main`: the console script
- for the plant file: `DIALECT`; for scripts and tests: `connect`, `simulate`
"""

from factorylm_modbus.dialect import DIALECT
from factorylm_modbus.driver import connect
from factorylm_modbus.server import SKILL, main
from factorylm_modbus.simulator import simulate

__all__ = ["DIALECT", "SKILL", "connect", "main", "simulate"]
