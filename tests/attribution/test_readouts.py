import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from outcrop.attribution.classifiers import SklearnClassifier, TorchClassifier
from outcrop.attribution.descriptors import (
    Colour,
    Keypoints,
    Place,
    Structure,
    Texture,
    default_descriptors,
    foreground,
)
from outcrop.attribution.latent_distance import LatentDistance
from outcrop.attribution.readouts import Classifier, Descriptor, Images, read_classes
from outcrop.data.errors import InputError
from outcrop.zoo.oracle import Oracle
from outcrop.zoo.scenes import COLOURS, STYLES, Scene, draw_scenes, render


def drawn(*scenes: Scene) -> Images:
    return (render(scenes).images * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def images() -> Images:
    return drawn(*draw_scenes(12, seed=3))


@pytest.mark.parametrize("descriptor", default_descriptors(), ids=lambda descriptor: descriptor.name)
def test_a_descriptor_is_a_distance(descriptor: Descriptor, images: Images) -> None:
    assert isinstance(descriptor, Descriptor)
    features = descriptor.describe(images)
    assert len(features) == len(images)
    np.testing.assert_allclose(descriptor.distance(features, features), 0, atol=1e-6)
    there, back = (descriptor.distance(features[order], features[::-1][order]) for order in (slice(6), slice(6, 12)))
    np.testing.assert_allclose(there, back[::-1], atol=1e-6)
    assert (there >= 0).all()
    assert (there > descriptor.least).any()


def test_each_descriptor_measures_its_own_respect() -> None:
    base = {"content": "heart", "style": "flat", "layout": "top left", "colour": "blue", "seed": 5}
    one = drawn(Scene(**base))
    moved, painted, redrawn = (drawn(Scene(**base | change)) for change in (
        {"layout": "bottom right"}, {"colour": "red"}, {"style": "dotted"},
    ))  # fmt: skip

    def distance(descriptor: Descriptor, other: Images) -> float:
        return float(descriptor.distance(descriptor.describe(one), descriptor.describe(other))[0])

    assert distance(Place(), moved) > 0.5
    assert distance(Place(), painted) < 0.03
    assert distance(Colour(), painted) > 5 * distance(Colour(), moved)
    assert distance(Texture(), redrawn) > 5 * distance(Texture(), moved)
    assert distance(Structure(), painted) < distance(Structure(), moved)


def test_keypoints_match_where_the_picture_is_shifted() -> None:
    rng = np.random.default_rng(0)
    noise = np.kron(rng.integers(256, size=(24, 24, 3)), np.ones((4, 4, 1)))[None].astype(np.uint8)
    readout = Keypoints()
    one, shifted, other = (readout.describe(picture) for picture in (noise, np.roll(noise, 4, 2), noise[:, :, :, ::-1]))
    assert readout.distance(one, shifted)[0] < 0.5 < readout.distance(one, readout.describe(255 - np.roll(noise, 9, 1)))
    assert readout.distance(one, other)[0] > 0
    empty = readout.describe(np.zeros((1, 64, 64, 3), np.uint8))
    assert len(empty[0]) == 0
    assert readout.distance(one, empty)[0] == 1
    assert readout.distance(empty, empty)[0] == 0


@pytest.mark.parametrize("style", STYLES)
def test_the_foreground_is_the_object(style: str) -> None:
    scene = Scene("square", style, "bottom", "green", seed=11)
    found, true = foreground(drawn(scene))[0], render([scene]).masks[0]
    centres = [np.argwhere(mask).mean(0) for mask in (found, true)]
    assert np.linalg.norm(centres[0] - centres[1]) < 4
    assert not foreground(np.full((1, 8, 8, 3), 7, np.uint8)).any()


def test_a_torch_module_with_one_head_or_several(images: Images) -> None:
    torch.manual_seed(0)
    oracle = Oracle().eval()
    readout = TorchClassifier(oracle, oracle.classes)
    assert isinstance(readout, Classifier)
    read = read_classes(readout, images)
    for name, (labels, confidence) in oracle.read(images / np.float32(255)).items():
        assert (read[name][0] == labels).all()
        np.testing.assert_allclose(read[name][1], confidence, rtol=1e-5)
    single = TorchClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64 * 64 * 3, 2)), {"kind": ("a", "b")})
    np.testing.assert_allclose(single.probabilities(images)["kind"].sum(1), 1)
    with pytest.raises(InputError, match=r"logits \(12, 3\) for 'kind'"):
        TorchClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64 * 64 * 3, 2)), {"kind": "abc"}).probabilities(images)


def test_a_scikit_learn_estimator_reads_what_it_was_fitted_on() -> None:
    scenes = draw_scenes(60, seed=1)
    pictures, colours = drawn(*scenes), [scene.colour for scene in scenes]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(Colour().describe(pictures), colours)
    readout = SklearnClassifier({"colour": model}, features=Colour().describe)
    assert readout.classes["colour"] == tuple(sorted(COLOURS))
    assert (read_classes(readout, pictures)["colour"][0] == np.array(colours)).mean() > 0.9
    with pytest.raises(InputError, match="must be fitted and have predict_proba"):
        SklearnClassifier({"colour": LogisticRegression()})


def test_the_latent_of_an_autoencoder(images: Images) -> None:
    from diffusers import AutoencoderKL, AutoencoderTiny

    torch.manual_seed(0)
    kl = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"], up_block_types=["UpDecoderBlock2D"], block_out_channels=[8],
        norm_num_groups=4, sample_size=64,
    )  # fmt: skip
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )  # fmt: skip
    for encoder in (kl, tiny):
        readout = LatentDistance(encoder)
        assert isinstance(readout, Descriptor)
        features = readout.describe(images)
        near = readout.describe(np.clip(images.astype(int) + 1, 0, 255).astype(np.uint8))
        assert (readout.distance(features, near) < readout.distance(features, features[::-1])).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((1, 3, 8, 8), np.uint8)]
)
def test_what_is_no_picture_is_refused(bad: Images) -> None:
    with pytest.raises(InputError, match="pictures of uint8"):
        Place().describe(bad)
