"""What to lay out in the plane and how."""

from dataclasses import dataclass
from typing import Literal, get_args

from outcrop.data.errors import InputError

Method = Literal["umap", "pca", "tsne"]
LEAST_NEIGHBOURS = 2


@dataclass(frozen=True)
class AtlasSpec:
    """The sites and steps of an atlas, and how their samples are laid out.

    ``sites``: globs (all); ``steps``: indices (all). ``method``: "umap" (McInnes et al. 2018, arXiv:1802.03426), "tsne"
    (van der Maaten and Hinton 2008) or "pca" (the first two principal components). ``neighbours``: how many neighbours
    of a sample count as near, UMAP's ``n_neighbors``, t-SNE's perplexity, and the k of the trustworthiness.
    ``components``: principal components that UMAP and t-SNE start from. ``min_distance``: how closely UMAP packs.
    ``max_samples``: of more, so many are drawn, the same for all panels. Raises :class:`InputError` for values that
    make no sense.
    """

    sites: tuple[str, ...] | None = None
    steps: tuple[int, ...] | None = None
    method: Method = "umap"
    neighbours: int = 15
    components: int = 50
    min_distance: float = 0.1
    max_samples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("sites", "steps"):
            value = getattr(self, name)
            if isinstance(value, str | int):
                raise InputError(f"{name} must be a sequence, not a single one. Got {value!r}; write ({value!r},).")
            if value is not None:
                object.__setattr__(self, name, tuple(value))
            if value is not None and not tuple(value):
                raise InputError(f"{name} must name at least one. Got an empty sequence.")
        if self.method not in get_args(Method):
            raise InputError(f"method must be one of {', '.join(get_args(Method))}. Got {self.method!r}.")
        if self.neighbours < LEAST_NEIGHBOURS:
            raise InputError(f"neighbours must be at least {LEAST_NEIGHBOURS}. Got {self.neighbours}.")
        if self.components < 2:
            raise InputError(f"components must be at least 2. Got {self.components}.")
        if not 0 <= self.min_distance <= 1:
            raise InputError(f"min_distance must lie between 0 and 1. Got {self.min_distance}.")
        if self.max_samples <= 2 * self.neighbours:
            raise InputError(
                f"max_samples must be more than twice the {self.neighbours} neighbours. Got {self.max_samples}."
            )
        if self.seed < 0:
            raise InputError(f"seed must not be negative. Got {self.seed}.")
