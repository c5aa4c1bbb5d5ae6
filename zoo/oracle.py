"""The oracles: one reads content, style, layout and colour off a picture of one object, one reads pictures of two."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from outcrop.zoo.pairs import SHOWN_LABELS
from outcrop.zoo.scenes import LABELS

FOLDER = Path(__file__).parent / "models" / "oracle"
WEIGHTS, PAIR_WEIGHTS = FOLDER / "oracle.safetensors", FOLDER / "pair-oracle.safetensors"


class Oracle(nn.Module):
    """(n, 3, 64, 64) pixels in [0, 1] to logits per label; the final map is kept as a grid, so that place is seen.

    ``classes``: names of the classes of each label.
    """

    def __init__(self, classes: Mapping[str, Sequence[str]] = LABELS) -> None:
        super().__init__()
        self.classes = dict(classes)
        widths = (3, 24, 48, 64, 64)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            if i > 0:
                layers += [nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 128), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(128, len(names)) for name, names in classes.items()})

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        features = self.body(pixels - 0.5)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, images: NDArray[np.floating]) -> dict[str, tuple[NDArray[np.str_], NDArray[np.float32]]]:
        """For images (n, 64, 64, 3) in [0, 1]: per label the names (n,) and the confidences (n,) of the best class."""
        if images.ndim != 4 or images.shape[1:] != (64, 64, 3):
            raise ValueError(f"The oracle reads images of shape (n, 64, 64, 3). Got {images.shape}.")
        pixels = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).permute(0, 3, 1, 2)
        result = {}
        for name, logits in self(pixels).items():
            confidence, index = logits.softmax(1).max(1)
            result[name] = (np.array(self.classes[name])[index.numpy()], confidence.numpy())
        return result


def save_oracle(oracle: Oracle, path: Path) -> None:
    """Write the weights as float16 safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() if v.is_floating_point() else v for k, v in oracle.state_dict().items()}, path)


def load_oracle(path: Path = WEIGHTS) -> Oracle:
    """The shipped oracle of one object in eval mode, fp32."""
    return _load(Oracle(), path)


def load_pair_oracle(path: Path = PAIR_WEIGHTS) -> Oracle:
    """The shipped oracle of two objects in eval mode, fp32; its labels are :data:`outcrop.zoo.pairs.SHOWN_LABELS`."""
    return _load(Oracle(SHOWN_LABELS), path)


def _load(oracle: Oracle, path: Path) -> Oracle:
    oracle.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()})
    return oracle.eval()
