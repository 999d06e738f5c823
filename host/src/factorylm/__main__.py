"""`python -m factorylm`."""

import sys

from factorylm.command import main

sys.exit(main())
