"""Keeps freed memory for the next block. Reading allocates and frees the same few megabytes thousands of times."""

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # the parameters' numbers in glibc's malloc.h
KEEP = 32 << 20
"""glibc's upper limit for the third of them."""


def keep_freed_memory() -> None:
    """Tell glibc not to hand every freed array back to the system; a fifth of the reading time was page faults.

    For a process that reads and ends; elsewhere than on glibc there is nothing to set.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, KEEP)
    mallopt(TRIM_THRESHOLD, 4 * KEEP)
    mallopt(TOP_PAD, KEEP)
