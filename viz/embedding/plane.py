"""From principal components to the plane: UMAP, t-SNE, or the first two components."""

import numpy as np

from outcrop.data.errors import InputError
from outcrop.viz.embedding.geometry import Float64Array, normalised, turned
from outcrop.viz.embedding.spec import AtlasSpec

EXTRA = "pip install 'outcrop[atlas]'"
TINY = 1e-4  # spread of t-SNE's start, as its authors choose it


def lay_out(scores: Float64Array, target: Float64Array | None, spec: AtlasSpec) -> Float64Array:
    """Principal ``scores`` (n, r) in the plane (n, 2), turned towards ``target`` (n, 2), the panels beside it.

    Raises :class:`InputError` where UMAP is asked for and not installed.
    """
    plain = normalised(np.pad(scores[:, :2], ((0, 0), (0, max(0, 2 - scores.shape[1])))))
    if target is not None:
        plain = turned(plain, target)
    if spec.method == "pca":
        return plain
    start = plain if target is None else normalised(target)
    points = _umap(scores, start, spec) if spec.method == "umap" else _tsne(scores, start, spec)
    points = normalised(points)
    return points if target is None else turned(points, target)


def _umap(scores: Float64Array, start: Float64Array, spec: AtlasSpec) -> Float64Array:
    try:
        from umap import UMAP
    except ImportError as error:
        message = f"method='umap' needs umap-learn. Install it with {EXTRA}, or choose method='pca' or 'tsne'."
        raise InputError(message) from error
    made = UMAP(n_neighbors=spec.neighbours, min_dist=spec.min_distance, init=start, random_state=spec.seed, n_jobs=1)
    return np.asarray(made.fit_transform(scores), dtype=np.float64)


def _tsne(scores: Float64Array, start: Float64Array, spec: AtlasSpec) -> Float64Array:
    from sklearn.manifold import TSNE

    made = TSNE(perplexity=spec.neighbours, init=TINY * start, random_state=spec.seed, n_jobs=1)
    return np.asarray(made.fit_transform(scores), dtype=np.float64)
