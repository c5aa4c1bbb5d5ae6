"""Attention per head against attention written out in full, with nothing of the model changed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from outcrop.capture import attention_call
from outcrop.capture.attention import AttentionRecorder
from outcrop.capture.attention_call import AttentionCall
from outcrop.data.errors import InputError

KINDS = ["words", "head-mean", "entropy", "heads"]


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=12,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
    ).eval()


CROSS = "mid_block.attentions.0.transformer_blocks.0.attn2"
SELF = "mid_block.attentions.0.transformer_blocks.0.attn1"


def run(model: nn.Module) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        sample, text = torch.randn(2, 4, 8, 4, generator=draw), torch.randn(2, 5, 12, generator=draw)
        output: Tensor = model(sample, 3, text).sample
    return output


def by_hand(model: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """Probabilities (row, head, query, key) and values (row, head, key, channel) from the module's own projections."""
    attention: Any = model.get_submodule(name)
    given: dict[str, Tensor] = {}
    handles = [
        getattr(attention, part).register_forward_hook(lambda *got, part=part: given.update({part: got[2]}))
        for part in ("to_q", "to_k", "to_v")
    ]
    run(model)
    for handle in handles:
        handle.remove()
    heads = {part: value.unflatten(2, (attention.heads, -1)).transpose(1, 2) for part, value in given.items()}
    logits = heads["to_q"] @ heads["to_k"].transpose(-2, -1) / heads["to_q"].shape[-1] ** 0.5
    return logits.exp() / logits.exp().sum(-1, keepdim=True), heads["to_v"]


@pytest.mark.parametrize("name", [CROSS, SELF])
def test_every_reduction_is_that_of_attention_written_out(unet: nn.Module, name: str) -> None:
    probabilities, values = by_hand(unet, name)
    expected = {
        "words": probabilities.mean(1).transpose(1, 2),
        "head-mean": probabilities.mean(2),
        "entropy": -(probabilities * probabilities.log()).sum(-1),
        "heads": probabilities @ values,
    }
    for kind, wanted in expected.items():
        with AttentionRecorder(unet, [name], kind=kind) as recorder:
            run(unet)
        (found,) = recorder.calls[name]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_map_of_every_word_sums_to_one_at_every_place(unet: nn.Module) -> None:
    with AttentionRecorder(unet, [CROSS], kind="words") as recorder:
        run(unet)
    (words,) = recorder.calls[CROSS]
    assert words.shape == (2, 5, 8)
    torch.testing.assert_close(words.sum(1), torch.ones(2, 8))


def processors_of(model: nn.Module) -> dict[str, Any]:
    return {name: module.processor for name, module in model.named_modules() if hasattr(module, "processor")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_forward_pass_and_its_processors_stay_as_they_are(unet: nn.Module, kind: Any) -> None:
    bare, processors = run(unet), processors_of(unet)
    assert {CROSS, SELF} < set(processors)
    with AttentionRecorder(unet, [CROSS, SELF], kind=kind):
        assert torch.equal(run(unet), bare)
    assert processors_of(unet) == processors
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in unet.modules())


def test_joint_attention_sees_text_and_image_as_they_are_joined_and_rotated() -> None:
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    model = FluxTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=12,
        pooled_projection_dim=10,
        axes_dims_rope=(4, 4, 8),
    ).eval()
    inputs = {"hidden_states": torch.randn(2, 8, 4), "encoder_hidden_states": torch.randn(2, 5, 12)}
    inputs |= {"pooled_projections": torch.randn(2, 10), "timestep": torch.rand(2)}
    inputs |= {"img_ids": torch.arange(24.0).view(8, 3), "txt_ids": torch.zeros(5, 3)}
    with AttentionRecorder(model, ["transformer_blocks.0.attn"], kind="head-mean") as recorder, torch.no_grad():
        model(**inputs)
    (mean,) = recorder.calls["transformer_blocks.0.attn"]
    assert mean.shape == (2, 2, 13)
    torch.testing.assert_close(mean.sum(-1), torch.ones(2, 2))


@pytest.mark.parametrize("mask", [None, "bool", "added", "causal"])
@pytest.mark.parametrize("groups", [1, 2])
def test_masks_scales_and_shared_keys_are_those_of_pytorch(mask: str | None, groups: int) -> None:
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 6, 8, generator=draw)
    key, value = (torch.randn(2, 4 // groups, 6, 8, generator=draw) for _ in range(2))
    kept = (torch.rand(2, 1, 6, 6, generator=draw) > 0.3) | torch.eye(6, dtype=torch.bool)
    masks = {"bool": kept, "added": torch.randn(2, 1, 6, 6, generator=draw)}
    given, causal = masks.get(mask or ""), mask == "causal"
    output = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=given, is_causal=causal, scale=0.3, enable_gqa=groups > 1
    )
    call = AttentionCall(query, key, output, given, 0.3, causal)
    again = call.probabilities() @ value.repeat_interleave(groups, dim=1)
    torch.testing.assert_close(again, output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_a_few_queries_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch, causal: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, 3, 7, 4, generator=draw) for _ in range(2))
    mask = None if causal else torch.randn(1, 7, 7, generator=draw)
    call = AttentionCall(query, key, query, mask, 0.5, causal)
    whole = {kind: call.reduce(kind, keys=slice(1, None)) for kind in ("words", "head-mean", "entropy")}
    monkeypatch.setattr(attention_call, "CHUNK", 2 * 3 * 7 * 2)
    for kind, wanted in whole.items():
        torch.testing.assert_close(call.reduce(kind, keys=slice(1, None)), wanted)
    part = call.select(slice(1, 2), slice(3, 6))
    torch.testing.assert_close(part.probabilities(), call.probabilities()[1:2, :, 3:6])


def test_what_has_no_probabilities_is_refused(unet: nn.Module) -> None:
    with pytest.raises(InputError, match="'mid_block' is no attention of UNet2DConditionModel"):
        AttentionRecorder(unet, ["mid_block"], kind="words")

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.to_q = nn.Linear(2, 2)

        def forward(self, rows: Tensor) -> Tensor:
            return self.to_q(rows)

    model = nn.Sequential(Linear())
    recorder = AttentionRecorder(model, ["0"], kind="words")
    with pytest.raises(InputError, match="does not call scaled dot-product attention"), recorder:
        model(torch.ones(1, 2))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_exception_closes_what_was_open(unet: nn.Module) -> None:
    handle = unet.get_submodule(f"{CROSS}.to_k").register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), AttentionRecorder(unet, [CROSS], kind="words"):
        run(unet)
    handle.remove()
    assert torch.overrides._len_torch_function_stack() == 0
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in unet.modules())
