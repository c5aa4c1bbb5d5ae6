"""Memory that a worker has freed, kept for the next batch."""

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""
LARGEST_KEPT = 2**25
"""Bytes: blocks up to here come from the heap; glibc takes no more."""


def keep_freed_memory() -> None:
    """Undo what Dask sets for its workers, where this is glibc: that every freed page goes back to the system.

    A generator allocates and frees the same large blocks over and over; with each of them asked for anew, a capture on
    CPUs takes more than twice the time. The thresholds are those that glibc finds by itself if it is left alone.
    """
    with suppress(AttributeError, OSError):  # another C library has no such function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(TRIM_THRESHOLD, 2 * LARGEST_KEPT)
