"""What conftest.py promises of the process that runs the tests."""

import threadpoolctl
import torch


def test_one_thread_computes() -> None:
    """Two processes on two cores would otherwise wait for each other."""
    import scipy.linalg  # noqa: F401  # it brings a BLAS of its own

    pools = threadpoolctl.threadpool_info()
    assert {pool["user_api"] for pool in pools} >= {"blas", "openmp"}
    assert [pool["filepath"] for pool in pools if pool["num_threads"] != 1] == []
    assert torch.get_num_threads() == 1
