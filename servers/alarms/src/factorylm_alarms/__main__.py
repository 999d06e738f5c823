"""python -m factorylm_alarms"""

import sys

from factorylm_alarms.command import main

if __name__ == "__main__":
    sys.exit(main())
