"""The contract that interventions keep on every family of generators, on tiny models with random weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import nn

from outcrop.attribution.outcomes import Pictures
from outcrop.attribution.parts import PartStore
from outcrop.attribution.prepare import Study, prepare_study
from outcrop.attribution.run import Runner, execute, run_study
from outcrop.attribution.study import Pair, StudySpec
from outcrop.data.errors import InputError

NewStudy = Callable[..., StudySpec]
ALL = {"interventions": [{"kind": "activation-patch", "sites": ["all"]}]}
LATE = {"interventions": [{"kind": "activation-patch", "sites": ["all"], "window": [2, 2]}]}
HEARD = {
    "unet": ["*attn2"],
    "mmdit": ["transformer_blocks.*"],
    "flux": ["*transformer_blocks.*"],
    "dit": ["*attn2"],
    "gan": ["layers.*"],
    "zoo_gan": ["layers.?", "to_latent"],
}
HEADS = {"unet": "*attn1", "mmdit": "*.attn", "flux": "*.attn", "dit": "*attn1"}
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),
]


@pytest.fixture(scope="module", params=["unet", "mmdit", "flux", "dit", "decoder", "gan", "zoo_gan", "zoo_vae"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cells_of(family: str) -> list[dict[str, Any]]:
    """Interventions that change nothing where donor and receiver are the same."""
    cells: list[dict[str, Any]] = [ALL, {"interventions": [{"kind": "latent-swap"}]}]
    if family in HEADS:
        cells.append(LATE)
        site = [HEADS[family]]
        cells.append({"interventions": [{"kind": "head-scaling", "sites": site, "heads": [0, 1], "factor": 1.0}]})
        cells.append({"interventions": [{"kind": "activation-patch", "sites": site, "heads": [1], "window": [1, 2]}]})
    if family in HEARD:
        cells.append({"intervention": {"kind": "prompt-injection", "sites": HEARD[family]}})
    return cells


def traces(study: Study) -> int:
    modules = list(study.model.modules())
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)
    return hooks + sum("forward" in vars(module) for module in modules)


def both_ways(study: Study) -> list[tuple[Pictures, Pictures]]:
    """Of every block the pictures C, and those of the same batch with the donors in the receivers' place and no
    intervention. (A batch of another size may round in another way: bits are compared within one.)
    """
    runner, bare = Runner(study, PartStore(None)), Runner(study, PartStore(None))
    cells = tuple(replace(cell, actions=()) for cell in study.cells)
    bare.study = replace(study, cells=cells, pairs=tuple(Pair(donor=p.donor, receiver=p.donor) for p in study.pairs))
    made = []
    for group in runner.groups:
        _, tape = runner.base(group, taped=True)
        _, other = bare.base(group, taped=True)
        made += [(runner.make(block, tape), bare.make(block, other)) for block in group.blocks]
    return made


def test_an_identity_changes_no_bit_and_leaves_no_trace(family: str, new_study: NewStudy) -> None:
    study = prepare_study(new_study(family, cells_of(family), same=True))
    for changed, unchanged in both_ways(study):
        np.testing.assert_array_equal(changed, unchanged)
    assert traces(study) == 0


def test_everything_from_the_donor_is_the_donors_picture(family: str, new_study: NewStudy) -> None:
    study = prepare_study(new_study(family, [ALL]))
    for changed, donors in both_ways(study):
        np.testing.assert_array_equal(changed, donors)
    zero = {"interventions": [{"kind": "ablation", "sites": ["all"], "value": "zero"}]}
    outcomes = run_study(new_study(family, [ALL, zero]))
    assert (outcomes.donors != outcomes.receivers).any(axis=(1, 2, 3)).all()
    assert np.abs(outcomes.cell_images(0).astype(int) - outcomes.donors).max() <= 1
    assert (outcomes.cell_images(1) != outcomes.receivers).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("family", HEARD)
def test_every_site_that_hears_the_prompt_moves_the_picture_alone(family: str, new_study: NewStudy) -> None:
    cells = [{"intervention": {"kind": "prompt-injection", "sites": HEARD[family]}}]
    cells += [{"intervention": {"kind": "prompt-injection", "sites": HEARD[family]}, "together": True}]
    outcomes = run_study(new_study(family, cells))
    *alone, together = (outcomes.cell_images(cell).astype(float) for cell in range(len(outcomes.record.cells)))
    assert len(alone) > 1
    for pictures in alone:
        assert (pictures != outcomes.receivers).any()
    before, after = (np.abs(pictures - outcomes.donors).mean() for pictures in (outcomes.receivers, together))
    assert after < before
    if family.endswith("gan"):  # nothing but the styles is told the prompt
        assert np.abs(together - outcomes.donors).max() <= 1


def test_a_failure_leaves_no_trace(family: str, new_study: NewStudy) -> None:
    study = prepare_study(new_study(family, cells_of(family)))
    runner = Runner(study, PartStore(None))
    last = study.model.get_submodule(study.sites[-1].read_at.module)

    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    for block in [block for group in runner.groups for block in group.blocks]:
        _, tape = runner.base(runner.groups[0], taped=block.start > 0)
        handle = last.register_forward_hook(fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            runner.make(replace(block, pairs=runner.groups[0].pairs), tape)
        handle.remove()
        assert traces(study) == 0


def test_a_property_planted_at_one_site_and_window_is_found_there_alone(new_study: NewStudy) -> None:
    patch = {"kind": "activation-patch", "sites": ["layers.?"]}
    cells = [
        {"intervention": patch | {"kind": kind}, "windows": 3} for kind in ("activation-patch", "prompt-injection")
    ]
    outcomes = run_study(new_study("planted", cells, steps=6, guidance=1.0))
    assert len(outcomes.record.cells) == 24
    for index, cell in enumerate(outcomes.record.cells):
        planted = cell.site == "layers.2" and cell.window == "2-3"
        np.testing.assert_array_equal(outcomes.cell_images(index), outcomes.donors if planted else outcomes.receivers)


def test_the_network_runs_from_the_first_affected_step(new_study: NewStudy) -> None:
    late = {"intervention": {"kind": "activation-patch", "sites": ["layers.?"], "window": [4, 5]}}
    study = prepare_study(new_study("planted", [late], steps=6, guidance=1.0))
    runner, ran = Runner(study, PartStore(None)), []
    handle = study.model.get_submodule("layers.0").register_forward_hook(lambda *_: ran.append(1))
    for group in runner.groups:
        _, tape = runner.base(group, taped=True)
        for block in group.blocks:
            ran.clear()
            made = runner.make(block, tape)
            assert len(ran) == 2
            np.testing.assert_array_equal(made, runner.make(block, None))
            assert len(ran) == 2 + 6
    handle.remove()


def test_head_scaling_is_what_the_output_matrix_makes_of_the_head(new_study: NewStudy) -> None:
    site = "mid_block.attentions.0.transformer_blocks.0.attn1"
    off = {"interventions": [{"kind": "head-scaling", "sites": [site], "heads": [1]}]}
    outcomes = run_study(new_study("unet", [off]))
    study = prepare_study(new_study("unet", [off]))
    attention = study.model.get_submodule(site)
    matrix = attention.to_out[0].weight
    width = matrix.shape[1] // attention.heads
    before = matrix.detach().clone()
    matrix.data[:, width : 2 * width] = 0
    pictures = execute(study, None).receivers
    assert (before != matrix).any()
    assert (pictures != outcomes.receivers).any()
    assert np.abs(pictures.astype(int) - outcomes.cell_images(0)).max() <= 1


def test_the_decoder_of_a_pipeline_is_a_part(new_study: NewStudy) -> None:
    patch = {"intervention": {"kind": "activation-patch", "sites": ["up_blocks.*", "conv_out"]}}
    study = prepare_study(new_study("unet", [patch], part="vae"))
    called: list[nn.Module] = []
    assert study.source.network is not None
    handle = study.source.network.get_submodule("conv_in").register_forward_hook(lambda *got: called.append(got[0]))
    outcomes = execute(study, None)
    handle.remove()
    groups = len(Runner(study, PartStore(None)).groups)
    assert len(called) == 4 * groups  # what the denoiser puts out (PNDM takes a step more than asked) is replayed
    assert outcomes.record.cells[-1].site == "conv_out"
    np.testing.assert_array_equal(outcomes.cell_images(len(outcomes.record.cells) - 1), outcomes.donors)


def test_the_halves_of_guidance_are_written_apart_and_together_are_both(new_study: NewStudy) -> None:
    patch = {"kind": "activation-patch", "sites": ["mid_block"]}
    cond, uncond = patch | {"half": "cond"}, patch | {"half": "uncond"}
    cells = [{"interventions": given} for given in ([cond], [uncond], [patch], [cond, uncond])]
    outcomes = run_study(new_study("unet", cells, batch=64))
    first, second, both, composed = (outcomes.cell_images(cell) for cell in range(4))
    np.testing.assert_array_equal(both, composed)
    for alone in (first, second):
        assert (alone != outcomes.receivers).any()
        assert (alone != both).any()
    assert (first != second).any()


def test_a_head_that_an_attention_lacks_is_told_before_any_picture(new_study: NewStudy) -> None:
    cell = {"intervention": {"kind": "head-scaling", "sites": ["*attn2"], "heads": [0, 99]}}
    with pytest.raises(InputError, match=r"attn2 has heads 0 to \d+\. Got 0, 99\."):
        prepare_study(new_study("unet", [cell]))
