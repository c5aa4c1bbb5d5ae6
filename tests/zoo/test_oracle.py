"""The oracle's interface; how well the shipped one reads is measured on its card."""

from pathlib import Path

import numpy as np
import pytest
import torch

from outcrop.zoo.oracle import Oracle, load_oracle, load_pair_oracle, save_oracle
from outcrop.zoo.pairs import SHOWN_LABELS, draw_pairs, render_pairs
from outcrop.zoo.scenes import LABELS, draw_scenes, render


def test_it_gives_a_name_and_a_confidence_for_every_label(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_oracle(Oracle(), tmp_path / "models" / "oracle.safetensors")
    images = render(draw_scenes(5, seed=0)).images
    read = load_oracle(tmp_path / "models" / "oracle.safetensors").read(images)
    assert set(read) == {"content", "style", "layout", "colour"}
    for label, (names, confidence) in read.items():
        assert set(names) <= set(LABELS[label])
        assert confidence.shape == (5,)
        assert ((confidence >= 1 / len(LABELS[label])) & (confidence <= 1)).all()


def test_the_oracle_of_two_objects_has_labels_of_its_own(tmp_path: Path) -> None:
    save_oracle(Oracle(SHOWN_LABELS), tmp_path / "pair-oracle.safetensors")
    read = load_pair_oracle(tmp_path / "pair-oracle.safetensors").read(render_pairs(draw_pairs(5, seed=0)).images)
    assert {label: set(names) <= set(SHOWN_LABELS[label]) for label, (names, _) in read.items()} == dict.fromkeys(
        SHOWN_LABELS, True
    )


def test_what_is_saved_is_what_is_loaded_to_half_precision(tmp_path: Path) -> None:
    oracle = Oracle()
    save_oracle(oracle, tmp_path / "o.safetensors")
    loaded = load_oracle(tmp_path / "o.safetensors").state_dict()
    for name, value in oracle.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 64, 3), (2, 3, 64, 64), (2, 32, 32, 3)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 64, 64, 3\). Got"):
        Oracle().read(np.zeros(shape, np.float32))
