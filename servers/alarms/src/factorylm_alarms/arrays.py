"""The kinds of numpy arrays this package hands around."""

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
"""Milliseconds since 1970, or lengths of time in milliseconds."""
Positions = npt.NDArray[np.int64]
"""Places in a block of bytes or in another array."""
Counts = npt.NDArray[np.int64]
RowNumbers = npt.NDArray[np.uint32]
Codes = npt.NDArray[np.int32]
"""Numbers of alarms, keys or groups."""
Kinds = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
