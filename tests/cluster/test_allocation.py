"""What a worker frees, it has at hand for the next batch."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from outcrop.cluster.allocation import keep_freed_memory
if "keep" in sys.argv:
    keep_freed_memory()
bytearray(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    bytearray(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_large_blocks_are_not_asked_for_anew() -> None:
    """Dask starts its workers with this environment, in which every block is."""
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    pages = [
        int(subprocess.check_output([sys.executable, "-c", FAULTS, *argument], env=environment))
        for argument in ([], ["keep"])
    ]
    assert pages[0] > 1000
    assert pages[1] < pages[0] / 10
