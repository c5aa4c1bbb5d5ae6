"""After erasure nothing linear is left, and as little as possible was changed."""

import warnings

import numpy as np
import pytest
from scipy.linalg import pinvh, sqrtm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from outcrop.data.errors import InputError
from outcrop.probes.erasure import Eraser, EraserFitter


def draw(n: int = 300, d: int = 8, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = rng.integers(classes, size=n)
    x = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 2 * rng.standard_normal((classes, d))[codes]
    return x + 5, codes


def fit(x: np.ndarray, codes: np.ndarray) -> Eraser:
    return EraserFitter(x.shape[1], classes=int(codes.max()) + 1).update(x, codes).result()


def test_it_is_the_formula_of_the_paper() -> None:
    """Theorem 4.3 written out: x - W+ P W (x - mean), P projects onto the columns of W Sxz, W = (Sxx^1/2)+."""
    x, codes = draw()
    centred, z = x - x.mean(0), np.eye(3)[codes] - np.eye(3)[codes].mean(0)
    root = np.real(sqrtm(centred.T @ centred / len(x)))
    whitening = pinvh(root)
    column = whitening @ (centred.T @ z / len(x))
    projection = column @ np.linalg.pinv(column)
    expected = x - centred @ (root @ projection @ whitening).T
    np.testing.assert_allclose(fit(x, codes)(x), expected, atol=1e-8)


def test_it_agrees_with_its_authors_implementation() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it compiles with torch.jit, which is deprecated
        from concept_erasure import LeaceFitter
    x, codes = draw()
    features, indicators = torch.from_numpy(x), torch.from_numpy(np.eye(3)[codes])
    theirs = LeaceFitter.fit(features, indicators, shrinkage=False, svd_tol=1e-6).eraser
    np.testing.assert_allclose(fit(x, codes)(x), theirs(features).numpy(), atol=1e-8)


def test_no_linear_classifier_beats_the_frequencies() -> None:
    x, codes = draw()
    assert LogisticRegression(max_iter=5000).fit(x, codes).score(x, codes) > 0.8
    erased = fit(x, codes)(x)
    model = LogisticRegression(C=1e6, max_iter=5000, tol=1e-8).fit(erased, codes)
    shares = np.bincount(codes) / len(codes)
    assert log_loss(codes, model.predict_proba(erased)) == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-6)


def test_every_other_linear_eraser_changes_more() -> None:
    x, codes = draw()
    eraser = fit(x, codes)
    change = ((eraser(x) - x) ** 2).sum(1).mean()
    means = np.stack([x[codes == k].mean(0) for k in range(3)]) - x.mean(0)
    basis = np.linalg.qr(means[:2].T)[0]
    orthogonal = ((x - x.mean(0)) @ basis @ basis.T) ** 2
    assert change < 0.95 * orthogonal.sum(1).mean()
    rng = np.random.default_rng(1)
    for _ in range(20):
        other = eraser.into + 0.1 * rng.standard_normal((2, 8)) @ (np.eye(8) - basis @ basis.T)
        away = means[:2].T @ np.linalg.inv(other @ means[:2].T)
        assert (((x - x.mean(0)) @ other.T @ away.T) ** 2).sum(1).mean() >= change


def test_twice_is_once_and_the_rank_is_that_of_the_classes() -> None:
    x, codes = draw()
    eraser = fit(x, codes)
    np.testing.assert_allclose(eraser(eraser(x)), eraser(x))
    assert eraser.rank == 2
    assert eraser(x.astype(np.float32)).dtype == np.float32


def test_batches_are_one_whole() -> None:
    x, codes = draw()
    fitter = EraserFitter(8, classes=3)
    for rows in np.array_split(np.arange(len(x)), 7):
        fitter.update(x[rows], codes[rows])
    np.testing.assert_allclose(fitter.result()(x), fit(x, codes)(x))


def test_empty_directions_stay_empty() -> None:
    x, codes = draw()
    wide = np.concatenate([x, x @ np.ones((8, 3)), np.ones((len(x), 1))], axis=1)
    erased = fit(wide, codes)(wide)
    np.testing.assert_allclose(erased[:, :8], fit(x, codes)(x), atol=1e-6)
    np.testing.assert_allclose(erased[:, -1], 1)


def test_features_that_tell_nothing_stay() -> None:
    x = np.tile(np.random.default_rng(0).standard_normal((50, 4)), (2, 1))
    eraser = fit(x, np.repeat([0, 1], 50))
    np.testing.assert_allclose(eraser(x), x, atol=1e-6)


@pytest.mark.parametrize(
    ("features", "codes", "message"),
    [
        (np.ones((3, 4)), np.zeros(3, dtype=int), r"features \(n, 5\) and n codes. Got the shapes \(3, 4\) and \(3,\)"),
        (np.ones((3, 5)), np.array([0, 1, 2]), "between 0 and 1. Got 0 to 2"),
        (np.ones((3, 5)), np.array(["a", "b", "a"]), r"classes as numbers from 0: pandas\.factorize"),
        (np.ones((3, 5)), np.array([[0], [1], [0]]), r"Got the shapes \(3, 5\) and \(3, 1\)"),
        (np.full((3, 5), np.nan), np.array([0, 1, 1]), "NaN or infinite"),
    ],
)
def test_rows_that_do_not_fit_are_named(features: np.ndarray, codes: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EraserFitter(5, classes=2).update(features, codes)


@pytest.mark.parametrize(
    ("width", "classes", "message"),
    [(-1, 3, "width must be at least 1. Got -1"), (5, 1, "classes must be at least 2. Got 1"), (5, "a", "Got 'a'")],
)
def test_sizes_without_sense_are_refused(width: int, classes: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EraserFitter(width, classes=classes)


def test_nothing_seen_is_said() -> None:
    with pytest.raises(InputError, match="call update"):
        EraserFitter(5, classes=2).result()
