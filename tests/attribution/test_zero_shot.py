from pathlib import Path

import numpy as np
import pytest
import torch

from outcrop.attribution.readouts import Classifier
from outcrop.attribution.zero_shot import ClipZeroShot
from outcrop.capture.models import locate_model
from outcrop.data.errors import InputError

DESCRIPTIONS = {
    "content": {"disc": "a picture of a disc", "star": "a picture of a star", "ring": "a picture of a ring"},
    "style": {"flat": "a flat drawing", "neon": "a neon drawing"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with random weights and tiny sizes, saved as the real ones are."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = AutoTokenizer.from_pretrained(Path(locate_model("outcrop:unet")) / "tokenizer")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**sizes, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id},
        vision_config={**sizes, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(path)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(path)
    return path


def test_probabilities_are_those_of_the_model_itself(folder: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    images = np.random.default_rng(0).integers(256, size=(3, 64, 64, 3), dtype=np.uint8)
    readout = ClipZeroShot.load(str(folder), DESCRIPTIONS)
    assert isinstance(readout, Classifier)
    assert readout.classes == {"content": ("disc", "star", "ring"), "style": ("flat", "neon")}
    model, processor = CLIPModel.from_pretrained(folder).eval(), CLIPProcessor.from_pretrained(folder)
    texts = list(DESCRIPTIONS["content"].values())
    inputs = processor(text=texts, images=list(images), return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        expected = model(**inputs).logits_per_image.softmax(1)
    np.testing.assert_allclose(readout.probabilities(images)["content"], expected, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(readout.embed(images), axis=1), 1, rtol=1e-5)


def test_missing_weights_and_too_few_classes_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not be loaded"):
        ClipZeroShot.load(str(tmp_path), DESCRIPTIONS)
    with pytest.raises(InputError, match=r"at least two classes. Too few: \['style'\]"):
        ClipZeroShot.load(str(folder), {"style": {"flat": "flat"}})
