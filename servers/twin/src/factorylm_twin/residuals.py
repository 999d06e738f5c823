"""Does the machine still behave like its twin: CUSUM on measured minus simulated."""

import numpy as np

from factorylm_twin.arrays import Floats

_SLACK, _LIMIT = 1.0, 15.0
_LASTING = 5


def departure(rest: Floats, usual: float) -> int | None:
    """First row of a lasting departure, in rows of `rest`; None when there is none. Gaps do not count as evidence.

    A slack of one usual error on each side, since a free run's errors last: they are not independent.
    """
    if not (np.isfinite(usual) and usual > 0):
        return None
    for side in (1.0, -1.0):
        total, since = 0.0, 0
        for row, value in enumerate((side * rest / usual).tolist()):
            if value != value:
                continue
            raised = total + min(value, 5.0) - _SLACK
            if raised <= 0:
                total, since = 0.0, row + 1
                continue
            total = raised
            if total > _LIMIT and row - since >= _LASTING:
                return since
    return None
