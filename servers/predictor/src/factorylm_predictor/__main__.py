"""python -m factorylm_predictor"""

import sys

from factorylm_predictor.cli import main

if __name__ == "__main__":
    sys.exit(main())
