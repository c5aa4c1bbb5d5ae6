"""Features that are read when they are asked for: many sites are compared in the memory of one."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.probes.alignment import alignment_matrix
from outcrop.probes.features import SiteFeatures

SAMPLES, WIDTH = 40, 20_000
NAMES = [f"block.{k}" for k in range(10)]


class Planted:
    """Sites of noise; the last two are the same up to a rotation by signs."""

    samples = pd.DataFrame(index=[f"{k:016x}" for k in range(SAMPLES)])

    def activations(self, site: str, *, step: int) -> np.ndarray:
        seed = min(NAMES.index(site), len(NAMES) - 2)
        values = np.random.default_rng([seed, step]).standard_normal((SAMPLES, WIDTH), np.float32)
        return values if site != NAMES[-1] else values[:, ::-1] * -1


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("measure", ["cka", "mutual-knn"])
def test_sites_are_aligned_one_after_the_other(traced: None, measure: str) -> None:
    sites = SiteFeatures(Planted(), NAMES, step=3)
    found = alignment_matrix(sites, measure=measure)
    column = SAMPLES * WIDTH * 4
    assert tracemalloc.get_traced_memory()[1] < 6 * column < len(NAMES) * column
    np.testing.assert_allclose(found, alignment_matrix([sites[k] for k in range(len(sites))], measure=measure))
    assert found[-1, -2] == pytest.approx(1)
    assert found[0, 1] < 0.5


def test_a_part_of_the_sites_is_as_lazy() -> None:
    part = SiteFeatures(Planted(), NAMES, step=0)[-2:]
    assert (len(part), part.sites) == (2, ("block.8", "block.9"))
    np.testing.assert_array_equal(part[1], -part[0][:, ::-1])


def test_a_site_that_cannot_be_aligned_is_named_by_its_place() -> None:
    constant = np.ones((SAMPLES, 3))
    with pytest.raises(InputError, match="Site 2 is the same for all 40 samples"):
        alignment_matrix([*SiteFeatures(Planted(), NAMES[:2], step=0), constant])
