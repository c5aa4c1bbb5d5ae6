"""Full-size models, listed from their configurations alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from outcrop.capture.blank import _empty_model, blank_sites
from outcrop.cli import commands
from outcrop.data.errors import InputError

MODELS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("full_size.yaml").read_text())


def write_folder(model: dict[str, Any], folder: Path) -> Path:
    part = "unet" if "unet" in model else "transformer"
    (folder / part).mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(model["index"]))
    (folder / part / "config.json").write_text(json.dumps(model[part]))
    return folder


@pytest.mark.filterwarnings("ignore::FutureWarning:diffusers")
@pytest.mark.parametrize("name", MODELS)
def test_a_full_size_model_is_listed_without_memory(name: str, tmp_path: Path) -> None:
    folder = write_folder(MODELS[name], tmp_path / name)
    result = CliRunner().invoke(commands, ["sites", str(folder), "--meta", "--json"])
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.output)}
    for site, shape in MODELS[name]["sites"].items():
        assert rows[site]["shape"] == shape
        assert rows[site]["stream"] == ("text" if site.endswith(".text") else "image")
        count = 1
        for extent in shape:
            count *= extent
        assert rows[site]["bytes"] == 2 * count


@pytest.mark.parametrize("name", ["sd3.5-large", "flux-dev"])
def test_the_weights_of_an_empty_model_are_as_many_and_take_no_memory(name: str, tmp_path: Path) -> None:
    model = _empty_model(write_folder(MODELS[name], tmp_path / name), MODELS[name]["index"])
    assert sum(parameter.numel() for parameter in model.parameters()) == MODELS[name]["parameters"]
    assert all(parameter.is_meta for parameter in model.parameters())


def test_the_size_of_the_picture_decides_how_many_tokens_there_are(tmp_path: Path) -> None:
    folder = write_folder(
        MODELS["flux-dev"] | {"transformer": {"num_layers": 1, "num_single_layers": 1}}, tmp_path / "m"
    )
    shapes = {site.name: site.shape for site in blank_sites(str(folder), height=512, width=768, text_tokens=9)}
    assert shapes["transformer_blocks.0"] == (3072, 32, 48)
    assert shapes["transformer_blocks.0.text"] == (9, 3072)


def test_a_model_that_cannot_be_listed_so_is_told(tmp_path: Path) -> None:
    index = {"_class_name": "CogView4Pipeline", "transformer": ["diffusers", "CogView4Transformer2DModel"]}
    folder = write_folder({"index": index, "transformer": {"num_layers": 1}}, tmp_path / "m")
    with pytest.raises(InputError, match=r"cannot all be made from its configuration \(original_size"):
        blank_sites(str(folder))
    with pytest.raises(InputError, match="--meta reads a local folder"):
        blank_sites("owner/name")
