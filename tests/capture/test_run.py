"""A capture from end to end on the tiny pipeline: what it writes, what it refuses, and going on after a kill."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from outcrop.capture.attention import AttentionRecorder
from outcrop.capture.forecast import forecast
from outcrop.capture.hooks import Recorder
from outcrop.capture.reduction import Reduction
from outcrop.capture.run import capture
from outcrop.capture.sites import select_sites
from outcrop.capture.source import DiffusersSource
from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset
from outcrop.data.errors import ConflictError, DataError, InputError
from outcrop.data.samples import Sample

NewSpec = Callable[..., CaptureSpec]
CROSS = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"


def test_the_data_set_holds_what_a_recorder_reads(whole: Dataset, source: DiffusersSource) -> None:
    rows = whole.samples.iloc[2:4]
    samples = [Sample(str(name), row["prompt"], int(row["seed"])) for name, row in rows.iterrows()]
    sites = select_sites(source.sites(), list(whole.sites.index))
    settings = {"steps": (0, 2), "reduction": Reduction("mean"), "dtype": "float16", "half": "cond"}
    with Recorder(source.denoiser, sites, **settings) as recorder:
        recorder.begin(2)
        images = source.generate(samples, steps=3, guidance=3.0)
        recorded = recorder.take()
    for site, values in recorded.items():
        for step in whole.steps.index:
            np.testing.assert_array_equal(whole.activations(site, step=step)[2:4], values[step])
    kept = np.stack([np.asarray(image) for image in whole.images(list(rows.index))])
    np.testing.assert_array_equal(kept, images)


def test_every_sample_has_its_prompt_labels_seed_and_image(whole: Dataset) -> None:
    assert len(whole) == 6
    assert list(whole.labels) == ["content", "style"]
    for row in whole.samples.itertuples():
        assert row.prompt == f"a {row.style} {row.content}"
    assert list(whole.samples["seed"]) == list(range(6))
    assert whole.samples.index.is_unique
    assert len(whole.images()) == 6
    assert list(whole.sites.index) == [site["name"] for site in whole.info.model_dump()["sites"]]
    assert list(whole.steps["noise"]) == sorted(whole.steps["noise"], reverse=True)
    assert whole.info.spec["guidance"] == 3.0
    assert len(whole.info.provenance["weights_sha256"]) == 64


def test_a_capture_of_one_byte_a_value_lies_near_and_is_the_same_after_a_kill(
    tmp_path: Path, whole: Dataset, new_spec: NewSpec, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    ds = capture(new_spec(dtype="int8"), tmp_path / "ds")
    before = contents(ds.path)
    for site in whole.sites.index:
        plain = whole.activations(site, step=0).astype(np.float32)
        np.testing.assert_allclose(ds.activations(site, step=0), plain, atol=np.ptp(plain) / 400)
    (ds.path / "manifest.json").unlink()
    journal = ds.path / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:1]))
    capture(new_spec(dtype="int8"), ds.path)
    assert contents(ds.path) == before


def test_a_finished_capture_is_opened_not_made_again(
    whole: Dataset, new_spec: NewSpec, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    before = contents(whole.path)
    told: list[tuple[int, int]] = []
    ran: list[str] = []
    handle = torch.nn.modules.module.register_module_forward_pre_hook(lambda *got: ran.append(type(got[0]).__name__))
    again = capture(new_spec(), whole.path, progress=lambda done, planned: told.append((done, planned)))
    handle.remove()
    assert not ran
    assert told == [(6, 6)]
    assert again.uuid == whole.uuid
    assert contents(whole.path) == before


def test_progress_counts_the_samples(tmp_path: Path, new_spec: NewSpec) -> None:
    told: list[tuple[int, int]] = []
    capture(new_spec(), tmp_path / "ds", progress=lambda done, planned: told.append((done, planned)))
    assert told == [(done, 6) for done in (0, 2, 4, 6)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guidance": 5.0}, "guidance: there 3.0, here 5.0"),
        ({"steps": 4}, "steps: there 3, here 4"),
        ({"prompts": {"texts": ["a disc"]}}, "prompts: there"),
    ],
)
def test_another_configuration_is_refused(
    whole: Dataset, new_spec: NewSpec, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConflictError, match=message):
        capture(new_spec(**changes), whole.path)


def test_the_guidance_that_is_left_out_is_the_one_that_is_stored(tmp_path: Path, new_spec: NewSpec) -> None:
    given = {"prompts": {"texts": ["a disc"]}, "steps": 1, "record": None}
    ds = capture(new_spec(guidance=None, **given), tmp_path / "ds")
    assert ds.info.spec["guidance"] == 7.5
    assert capture(new_spec(guidance=7.5, **given), tmp_path / "ds").uuid == ds.uuid


def test_without_images_none_is_written_or_promised(tmp_path: Path, new_spec: NewSpec) -> None:
    ds = capture(new_spec(images=False, prompts={"texts": ["a disc"]}, steps=1, record=None), tmp_path / "ds")
    assert not (tmp_path / "ds" / "images").exists()
    assert list(ds.samples["image"]) == [""]
    with pytest.raises(DataError, match="captured without images"):
        ds.images()


def test_both_halves_of_every_sample(tmp_path: Path, new_spec: NewSpec, whole: Dataset) -> None:
    ds = capture(new_spec(half="both"), tmp_path / "ds")
    for site in ds.sites.index:
        values = ds.activations(site, step=1)
        np.testing.assert_array_equal(values[:, 1], whole.activations(site, step=1))
        assert (values[:, 0] != values[:, 1]).any()


@pytest.mark.parametrize("half", ["cond", "both"])
@pytest.mark.parametrize("reduction", ["mean", "full"])
def test_heads_and_attention_are_stored_beside_blocks(
    tmp_path: Path, new_spec: NewSpec, source: DiffusersSource, whole: Dataset, half: str, reduction: str
) -> None:
    inside = [f"{CROSS}.head.1", f"{CROSS}.entropy", f"{CROSS}.head-mean", f"{CROSS}.words"]
    spec = new_spec(sites=["mid_block", *inside], half=half, reduction=reduction, dtype="float32")
    ds = capture(spec, tmp_path / "ds")
    assert [shown.tobytes() for shown in ds.images()] == [shown.tobytes() for shown in whole.images()]
    samples = [Sample(str(name), row["prompt"], int(row["seed"])) for name, row in ds.samples.iloc[:2].iterrows()]
    for kind, name, axis in zip(("heads", "entropy", "head-mean", "words"), inside, (1, 2, None, 2), strict=True):
        with AttentionRecorder(source.denoiser, [CROSS], kind=kind) as recorder:
            source.generate(samples, steps=3, guidance=3.0)
        wanted = torch.stack(recorder.calls[CROSS])[[0, 2]].unflatten(1, (2, 2))  # step, half, sample, ...
        wanted = wanted[:, :, :, 1] if kind == "heads" else wanted  # (query, channel)
        if reduction == "mean" and axis is not None:
            wanted = wanted.mean(axis + 2)
        elif kind == "heads":
            wanted = wanted.transpose(-1, -2).unflatten(-1, (2, 2))
        elif kind != "head-mean":
            wanted = wanted.unflatten(-1, (2, 2))
        for step in range(2):
            stored = torch.from_numpy(ds.activations(name, step=step)[:2])
            halves = wanted[step].transpose(0, 1) if half == "both" else wanted[step, 1]
            torch.testing.assert_close(stored, halves, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": ["mid_blok"]}, "Did you mean 'mid_block'"),
        ({"sites": ["up_bloks.*"]}, "'up_bloks.\\*' matches nothing in this model. Did you mean 'up_blocks"),
        ({"sites": ["mid_block.head.*"]}, "matches nothing in this model"),
        ({"true_cfg": 2.0}, "StableDiffusionPipeline takes no true_cfg_scale"),
        ({"half": "uncond", "guidance": 1.0}, "half='uncond' needs guidance above 1"),
        ({"prompts": {"file": "nothing.csv"}}, "There is no prompt file nothing.csv"),
        ({"device": "warp"}, "Device 'warp' is not available here"),
        ({"model": "outcrop:unnet"}, "There is no shipped model 'outcrop:unnet'"),
        ({"model": "./nothing"}, "is none of: a shipped model"),
        ({"reduction": "grid:2", "sites": ["conv_out", "*.transformer_blocks.0"]}, None),
    ],
)
def test_a_request_that_cannot_work_writes_nothing(
    tmp_path: Path, new_spec: NewSpec, changes: dict[str, object], message: str | None
) -> None:
    if message is None:
        assert forecast(new_spec(**changes), tmp_path).sites > 1
        return
    with pytest.raises(InputError, match=message):
        capture(new_spec(**changes), tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_a_model_that_does_not_load_is_told(tmp_path: Path, tiny_model: Path, new_spec: NewSpec) -> None:
    broken = tmp_path / "broken"
    for path in tiny_model.rglob("*"):
        if path.is_file():
            target = broken / path.relative_to(tiny_model)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="could not be loaded"):
        capture(new_spec(model=str(broken)), tmp_path / "ds")
