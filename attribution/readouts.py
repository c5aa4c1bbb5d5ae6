"""What is read off a picture: the class of a property, or how far two pictures lie apart in one respect.

A :class:`Classifier` names the classes of one or several properties (the shipped oracle, scikit-learn, torch, CLIP).
A :class:`Descriptor` stands for one property without classes (texture, colour, place) and measures a distance. Both are
passed into an effect table from outside, so that attribution knows no model by name.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from outcrop.data.errors import InputError

Images = NDArray[np.uint8]
FloatArray = NDArray[np.float64]
Features = NDArray[Any]


@runtime_checkable
class Classifier(Protocol):
    """Names a class of every property that it knows; ``classes`` gives their names in the order of the columns."""

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]: ...

    def probabilities(self, images: Images) -> Mapping[str, FloatArray]:
        """For ``images`` (n, height, width, 3): per property (n, class), rows summing to 1."""
        ...


@runtime_checkable
class Descriptor(Protocol):
    """Measures one property, ``name``, as a distance between pictures.

    ``least``: two pictures that lie closer than this cannot be told apart by it, and say nothing about an effect.
    """

    @property
    def name(self) -> str: ...

    @property
    def least(self) -> float: ...

    def describe(self, images: Images) -> Features:
        """Features of ``images`` (n, height, width, 3), one entry a picture: (n, ...)."""
        ...

    def distance(self, features: Features, others: Features) -> FloatArray:
        """Distances (n,) of row to row, at least 0; 0 for a picture and itself."""
        ...


Readout: TypeAlias = Classifier | Descriptor


def check_images(images: Images) -> Images:
    """``images`` if they are pictures (n, height, width, 3) of uint8; raises :class:`InputError` otherwise."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise InputError(
            f"A readout reads pictures of uint8 and shape (n, height, width, 3). Got {images.dtype} {images.shape}."
        )
    return images


def read_classes(classifier: Classifier, images: Images) -> dict[str, tuple[NDArray[np.str_], FloatArray]]:
    """Per property the likeliest class (n,) and its probability (n,): labels for pictures that have none."""
    result = {}
    for name, probabilities in classifier.probabilities(images).items():
        names = np.array(classifier.classes[name], dtype=np.str_)
        result[name] = (names[probabilities.argmax(1)], probabilities.max(1))
    return result
