"""The router: the cheapest model that is good enough, and nothing leaves the plant unasked.

- run it: `factorylm-router serve`, or `Service` from code
- its configuration: `Config`, `load_config`
- what goes wrong: `RouterError` and the tree in `errors`
"""

from factorylm_router.config import Config, DataClass, load_config
from factorylm_router.errors import RouterError

__all__ = ["Config", "DataClass", "RouterError", "load_config"]
