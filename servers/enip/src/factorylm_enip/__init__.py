"""FactoryLM's EtherNet/IP skill.

- `SKILL`: what a host serves; `main`: the console script
- for the plant file: `DIALECT`; for scripts and tests: `connect`, `simulate`
"""

from factorylm_enip.dialect import DIALECT
from factorylm_enip.server import SKILL, connect, main
from factorylm_enip.simulator import simulate

__all__ = ["DIALECT", "SKILL", "connect", "main", "simulate"]
