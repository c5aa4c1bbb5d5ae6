"""A device that is not there, or does not hold what is asked of it, is said plainly."""

import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from outcrop.data.errors import InputError
from outcrop.probes.device import check_device
from outcrop.probes.sweep import ProbeSpec, probe
from outcrop.probes.tensors.batches import fit_in_parts


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "mps", "cuda:x", ""])
def test_a_device_that_is_not_there_is_refused_before_any_fit(recording, device: str) -> None:
    with pytest.raises(InputError, match="device") as raised:
        probe(recording, spec=ProbeSpec(group_by=("template",), device=device))
    assert repr(device) in str(raised.value)
    assert "leave device out" in str(raised.value)


def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("outcrop.probes.tensors")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("outcrop.probes.tensors")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"needs PyTorch .*outcrop\[capture\]"):
        check_device("cuda")


def test_a_batch_that_is_too_large_is_fitted_in_parts() -> None:
    sizes = []

    def fit(features: Sequence[np.ndarray]) -> list[int]:
        if len(features) > 2:
            raise torch.OutOfMemoryError("Tried to allocate 2 cells.")
        sizes.append(len(features))
        return [int(own[0, 0]) for own in features]

    cells = [np.full((4, 3), number, dtype=np.float32) for number in range(7)]
    assert fit_in_parts(fit, cells, "cpu") == list(range(7))
    assert max(sizes) == 2


def test_a_cell_that_is_too_large_is_said_to_be() -> None:
    def fit(features: Sequence[np.ndarray]) -> list[int]:
        raise torch.OutOfMemoryError("Tried to allocate 1 cell.")

    with pytest.raises(InputError, match=r"4 samples x 3 features .*Leave device out"):
        fit_in_parts(fit, [np.zeros((4, 3), dtype=np.float32)], "cuda")
