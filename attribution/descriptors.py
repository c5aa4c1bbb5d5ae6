"""Readouts without classes: structure, keypoints, colour, texture and place, by scikit-image.

They are those of Schaerf's layer-swap study (structural similarity, keypoint matches, HSV histogram, LBP texture) and
the position of the object.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcrop.attribution.readouts import Features, FloatArray, Images, check_images

BINS = (8, 4, 4)  # of hue, saturation and value
LBP_POINTS, LBP_RADIUS = 8, 1
TINY = 1e-12


@dataclass(frozen=True)
class Structure:
    """1 - SSIM of the grey pictures (Wang et al. 2004): at most 2."""

    name: str = "structure"
    least: float = 0.02

    def describe(self, images: Images) -> Features:
        return _grey(images)

    def distance(self, features: Features, others: Features) -> FloatArray:
        from skimage.metrics import structural_similarity

        pairs = zip(features, others, strict=True)
        return np.array([1 - structural_similarity(one, other, data_range=1.0) for one, other in pairs])


@dataclass(frozen=True)
class Keypoints:
    """1 - share of keypoints that match (SIFT, Lowe 2004, with his ratio test), the mean of both directions: 0 to 1; 1
    where one of the two has no keypoint.
    """

    name: str = "keypoints"
    least: float = 0.2
    ratio: float = 0.8

    def describe(self, images: Images) -> Features:
        """An object array (n,) of (point, 128) descriptors, their number differing."""
        result = np.empty(len(images), dtype=object)
        for i, image in enumerate(_grey(images)):
            result[i] = _sift(image)
        return result

    def distance(self, features: Features, others: Features) -> FloatArray:
        pairs = zip(features, others, strict=True)
        return np.array([1 - (self._matched(one, other) + self._matched(other, one)) / 2 for one, other in pairs])

    def _matched(self, one: Features, other: Features) -> float:
        from skimage.feature import match_descriptors

        if one.shape == other.shape and (one == other).all():
            return 1.0
        if min(len(one), len(other)) < 2:  # a ratio needs a second neighbour
            return 0.0
        return len(match_descriptors(one, other, max_ratio=self.ratio)) / max(len(one), len(other))


@dataclass(frozen=True)
class Colour:
    """1 - correlation of HSV histograms: 0 to 2."""

    name: str = "colours"
    least: float = 0.02

    def describe(self, images: Images) -> Features:
        from skimage.color import rgb2hsv

        pixels = rgb2hsv(check_images(images)).reshape(len(images), -1, 3)
        return np.stack([np.histogramdd(one, bins=BINS, range=((0, 1),) * 3)[0].ravel() for one in pixels])

    def distance(self, features: Features, others: Features) -> FloatArray:
        return 1 - _correlation(features, others)


@dataclass(frozen=True)
class Texture:
    """Jensen-Shannon distance of histograms of uniform local binary patterns (Ojala et al. 2002): 0 to 1."""

    name: str = "texture"
    least: float = 0.05

    def describe(self, images: Images) -> Features:
        from skimage.feature import local_binary_pattern

        grey = np.round(255 * _grey(images)).astype(np.uint8)
        codes = [local_binary_pattern(one, LBP_POINTS, LBP_RADIUS, method="uniform") for one in grey]
        return np.stack([np.bincount(one.astype(int).ravel(), minlength=LBP_POINTS + 2) for one in codes])

    def distance(self, features: Features, others: Features) -> FloatArray:
        from scipy.spatial.distance import jensenshannon

        distances: FloatArray = np.asarray(jensenshannon(features, others, base=2, axis=1), dtype=np.float64)
        return np.nan_to_num(distances)  # equal histograms: the root of a rounding error below 0


@dataclass(frozen=True)
class Place:
    """Distance of the centres of mass of what differs from the background, in parts of the picture's side.

    The background is the median colour of the border; what differs is told apart by Otsu's threshold (1979).
    """

    name: str = "place"
    least: float = 0.1

    def describe(self, images: Images) -> Features:
        """Centres (n, 2) as row and column in [0, 1]; the middle for an empty picture."""
        return np.stack([_centre(mask) for mask in foreground(images)])

    def distance(self, features: Features, others: Features) -> FloatArray:
        distance: FloatArray = np.linalg.norm(features - others, axis=1)
        return distance


def foreground(images: Images) -> NDArray[np.bool_]:
    """Masks (n, height, width) of what differs from the colour of the border."""
    from skimage.filters import threshold_otsu

    pixels = check_images(images).astype(np.float32)
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    apart = np.linalg.norm(pixels - np.median(border, axis=1)[:, None, None], axis=-1)
    return np.stack([one > threshold_otsu(one) if np.ptp(one) > 0 else np.zeros(one.shape, bool) for one in apart])


def default_descriptors() -> tuple[Structure, Keypoints, Colour, Texture, Place]:
    """All of them, with their defaults."""
    return Structure(), Keypoints(), Colour(), Texture(), Place()


def _grey(images: Images) -> NDArray[np.float64]:
    from skimage.color import rgb2gray

    grey: NDArray[np.float64] = rgb2gray(check_images(images))
    return grey


def _sift(image: NDArray[np.float64]) -> NDArray[Any]:
    from skimage.feature import SIFT

    extractor = SIFT()
    try:
        extractor.detect_and_extract(image)
    except RuntimeError:  # scikit-image's way to say that there is none
        return np.empty((0, 128), dtype=np.uint8)
    descriptors: NDArray[Any] = extractor.descriptors
    return descriptors


def _correlation(one: Features, other: Features) -> FloatArray:
    a, b = (values - values.mean(1, keepdims=True) for values in (one, other))
    norms = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    correlation: FloatArray = np.clip((a * b).sum(1) / np.maximum(norms, TINY), -1, 1)
    return correlation


def _centre(mask: NDArray[np.bool_]) -> FloatArray:
    points = np.argwhere(mask)
    return points.mean(0) / (np.array(mask.shape) - 1) if len(points) else np.full(2, 0.5)
