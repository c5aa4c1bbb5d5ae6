"""One contract for every labeller, and what each reads off pictures that are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from outcrop.capture.labellers import ClassifierLabeller, DetectorLabeller, ZeroShotLabeller
from outcrop.data.errors import InputError
from outcrop.data.labellers import ImageStatistics, Labeller
from outcrop.zoo.labeller import OracleLabeller
from outcrop.zoo.scenes import LABELS, draw_scenes, render

CLASSES = {0: "cat", 1: "dog", 2: "cow"}
SCENES = draw_scenes(6, seed=3)
PIXELS = (render(SCENES).images * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random models of each kind, saved as their real folders are."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    image = {"image_size": 32, "patch_size": 16}
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    vit = transformers.ViTForImageClassification(transformers.ViTConfig(**size, **image, id2label=CLASSES))
    _save(folder / "vit", vit, processor)
    yolos = transformers.YolosConfig(
        **size, image_size=[32, 32], patch_size=16, num_detection_tokens=4, id2label=CLASSES
    )
    detector = transformers.YolosImageProcessor(size={"height": 32, "width": 32})
    _save(folder / "yolos", transformers.YolosForObjectDetection(yolos), detector)
    words = ["<pad>", "<s>", "</s>", "a", "picture", "of", "red", "blue"]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_word_tokenizer(words), pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    text = {**size, "vocab_size": len(words), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    clip = transformers.CLIPConfig(
        text_config={**text, "max_position_embeddings": 16}, vision_config={**size, **image}, projection_dim=8
    )
    _save(
        folder / "clip", transformers.CLIPModel(clip), transformers.CLIPImageProcessor(size=32, crop_size=32), tokenizer
    )
    return folder


def _save(folder: Path, *parts: object) -> None:
    for part in parts:
        part.save_pretrained(folder)


def _word_tokenizer(words: list[str]) -> object:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


MAKERS: dict[str, Callable[[Path], Labeller]] = {
    "statistics": lambda _: ImageStatistics(),
    "oracle": lambda _: OracleLabeller(),
    "pair oracle": lambda _: OracleLabeller(scene="pair"),
    "classifier": lambda folder: ClassifierLabeller(str(folder / "vit"), property_name="animal"),
    "zero-shot": lambda folder: ZeroShotLabeller(str(folder / "clip"), "colour", ["red", "blue"]),
    "detector": lambda folder: DetectorLabeller(str(folder / "yolos"), least=0.1, grid=4),
}


class TestEveryLabeller:
    """What :class:`outcrop.data.labellers.Labeller` promises."""

    @pytest.fixture(params=MAKERS)
    def labeller(self, request: pytest.FixtureRequest, models: Path) -> Labeller:
        return MAKERS[request.param](models)

    def test_one_value_or_map_a_picture_whatever_the_batch(self, labeller: Labeller) -> None:
        together = labeller.label(PIXELS)
        alone = [labeller.label(PIXELS[k : k + 1]) for k in range(len(PIXELS))]
        assert together
        for name, reading in together.items():
            values = np.concatenate([each[name].values for each in alone])
            assert reading.values.shape[0] == len(PIXELS)
            assert reading.values.ndim in {1, 3}
            if reading.values.dtype.kind == "f":
                np.testing.assert_allclose(reading.values, values, atol=1e-6)
            else:
                np.testing.assert_array_equal(reading.values, values)
            if reading.values.ndim == 3:
                assert -1 <= reading.values.min() <= reading.values.max() < len(reading.classes)

    def test_the_pictures_are_left_as_they_are(self, labeller: Labeller) -> None:
        pixels = PIXELS.copy()
        labeller.label(pixels)
        np.testing.assert_array_equal(pixels, PIXELS)

    def test_it_says_where_its_labels_come_from(self, labeller: Labeller, models: Path) -> None:
        made = labeller.provenance
        assert made["labeller"]
        assert "outcrop" in made["versions"]
        assert str(models) not in str(made), "no path of this machine goes into what may be shared"
        assert labeller.name.isprintable()
        assert ":" not in labeller.name


def test_the_oracle_reads_rendered_scenes() -> None:
    found = OracleLabeller().label(PIXELS)
    assert set(found) == set(LABELS)
    for name in LABELS:
        assert [getattr(scene, name) for scene in SCENES] == list(found[name].values)
    assert set(OracleLabeller(least=1.1).label(PIXELS)["content"].values) == {""}
    with pytest.raises(InputError, match=r"64 x 64 pixels\. Got 8 x 64"):
        OracleLabeller().label(PIXELS[:, :, :8])


def test_statistics_of_pictures_that_are_known() -> None:
    pixels = np.zeros((3, 40, 20, 3), np.uint8)
    pixels[0, :, :, 0] = 255
    pixels[1, 30:, :, :] = 255
    pixels[2, 19:21, 4:6, 1] = 255
    found = {name: reading.values for name, reading in ImageStatistics().label(pixels).items()}
    np.testing.assert_allclose(found["mean_red"], [1, 0.25, 0])
    np.testing.assert_allclose(found["mean_green"][2], 4 / 800)
    np.testing.assert_allclose(found["brightness"][:2], [0.299, 0.25])
    np.testing.assert_allclose(found["edge_density"][:2], [0, 2 / 40])
    np.testing.assert_allclose(found["saliency_x"][:2], [0.5, 0.5])
    assert found["saliency_y"][1] > 0.6, "the smaller, brighter part at the bottom stands out"
    assert found["saliency_x"][2] < 0.4


def test_the_networks_give_what_transformers_gives(models: Path) -> None:
    pipeline = transformers.pipeline("image-classification", str(models / "vit"))
    from PIL import Image

    expected = [max(pipeline(Image.fromarray(one)), key=lambda row: row["score"])["label"] for one in PIXELS]
    assert list(MAKERS["classifier"](models).label(PIXELS)["animal"].values) == expected


def test_a_detector_marks_the_cells_of_what_it_finds(models: Path) -> None:
    found = DetectorLabeller(str(models / "yolos"), least=0.1, grid=4).label(PIXELS)
    none = DetectorLabeller(str(models / "yolos"), least=1.0, grid=4).label(PIXELS)
    assert (found["objects"].values > 0).all()
    assert found["object_map"].values.max() > 0
    assert set(found["object"].values) <= set(CLASSES.values())
    assert set(none["object"].values) == {""}
    assert (none["object_map"].values == 0).all()


def test_what_does_not_load_is_named(tmp_path: Path, models: Path) -> None:
    with pytest.raises(InputError, match="does not load as AutoModelForImageClassification"):
        ClassifierLabeller(str(tmp_path)).label(PIXELS)
    with pytest.raises(InputError, match="two texts or more"):
        ZeroShotLabeller(str(models / "clip"), "colour", ["red"])
