"""python -m factorylm_twin"""

import sys

from factorylm_twin.cli import main

if __name__ == "__main__":
    sys.exit(main())
