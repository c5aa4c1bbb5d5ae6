"""Real generators of every family, in which one property enters at one site and in one window of the steps.

The property is the word for the style. In the pipelines every module that is told the prompt is told nothing; one of
them adds a direction of each style's own to what it puts out, in the window alone.
"""

import fnmatch
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from torch import Tensor, nn
from torch.nn import functional

from outcrop.capture.modules import ModuleSource
from outcrop.capture.source import DiffusersSource
from outcrop.data.samples import Sample
from outcrop.zoo.choices import CHOICES, resolve
from outcrop.zoo.gan import LATENT as GAN_LATENT
from outcrop.zoo.gan import STYLE_WIDTH, build_gan
from outcrop.zoo.scenes import LABELS
from outcrop.zoo.vae import CHOSEN, build_vae
from outcrop.zoo.vae import LATENT as VAE_LATENT

STYLES, SHAPES = ("flat", "neon", "dotted"), ("disc", "star")
SIZE = {"height": 16, "width": 16}
CHOSEN_STYLES = [CHOICES[1][0] + LABELS["style"].index(style) for style in STYLES]
"""Where the latent of the zoo's models says which style it is."""
Score = Callable[[Tensor], Tensor]
"""From the text (row, token, width) to (row, style): 1 for its style, 0 for the others."""


class Clock:
    """The step that the network is at, by the timestep that it is told."""

    def __init__(self, network: nn.Module, scheduler: Any) -> None:
        self._scheduler, self.step = scheduler, -1
        network.register_forward_pre_hook(self._look, with_kwargs=True)

    def _look(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        told = inspect.signature(type(network).forward).bind(network, *args, **kwargs).arguments["timestep"]
        now = float(torch.as_tensor(told).flatten()[0])
        steps = self._scheduler.timesteps.float()  # Flux is told a thousandth of it
        self.step = int(torch.minimum((steps - now).abs(), (steps - 1000 * now).abs()).argmin())


def plant(family: str, hears: str, at: str, *, window: tuple[int, int], gain: float) -> Any:
    """The pipeline saved beside this file, in which of all modules ``hears`` only ``at`` is told the property."""
    pipeline = DiffusionPipeline.from_pretrained(Path(__file__).parent / family)
    if family == "unet":  # PNDM makes a step more than asked
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.vae.decoder.conv_out.weight.data *= 5  # for contrast
    network = getattr(pipeline, "unet", None) or pipeline.transformer
    pooled = getattr(getattr(network, "time_text_embed", None), "text_embedder", None)
    if pooled is not None:
        pooled.forward = functools.partial(lambda own, text: torch.zeros_like(own(text)), pooled.forward)
    for name, module in network.named_modules():
        if fnmatch.fnmatch(name, hears):
            module.forward = deafened(module.forward)
    planted = network.get_submodule(at)
    score, clock = learn_score(pipeline, planted), Clock(network, pipeline.scheduler)

    def added(text: Tensor, image: Tensor) -> Tensor:
        if not window[0] <= clock.step <= window[1]:
            return image
        directions = torch.randn(len(STYLES), image.shape[-1], generator=torch.Generator().manual_seed(1))
        slope = torch.linspace(1, -1, image.shape[1])[:, None]
        return image + gain * slope * (score(text) @ directions)[:, None]

    planted.forward = deafened(planted.forward, added)
    return pipeline


def deafened(hear: Callable[..., Any], added: Callable[[Tensor, Tensor], Tensor] | None = None) -> Callable[..., Any]:
    """``hear`` is told zeros; the text, where it puts one out, goes on as it came. ``added`` may write the image."""

    @functools.wraps(hear)
    def forward(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(hear).bind(*args, **kwargs)
        text = bound.arguments["encoder_hidden_states"]
        bound.arguments["encoder_hidden_states"] = torch.zeros_like(text)
        made = hear(*bound.args, **bound.kwargs)
        own, image = (text, made) if isinstance(made, Tensor) else made
        image = image if added is None else added(text, image)
        return image if isinstance(made, Tensor) else (own if own is None else text, image)

    return forward


def learn_score(pipeline: Any, module: nn.Module) -> Score:
    """The least linear function of the text, as the module is told it, that tells the styles."""
    seen: list[Tensor] = []

    def look(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        seen.append(bound.arguments["encoder_hidden_states"].flatten(1))

    handle = module.register_forward_pre_hook(look, with_kwargs=True)
    samples = [Sample("0" * 16, f"a {style} {shape}", 0) for style in STYLES for shape in SHAPES]
    DiffusersSource("", pipeline, weights=str, device="cpu").generate(samples, steps=2, guidance=1.0, **SIZE)
    handle.remove()
    mean, wanted = seen[0].mean(0), torch.eye(len(STYLES)).repeat_interleave(len(SHAPES), dim=0)
    weight = torch.linalg.pinv(seen[0] - mean) @ wanted
    return lambda text: (1 / len(STYLES) + (text.flatten(1) - mean) @ weight).clamp(0, 1)


def unet() -> Any:
    return plant("unet", "*attn2", "up_blocks.0.attentions.1.transformer_blocks.0.attn2", window=(1, 2), gain=20.0)


def dit() -> Any:
    return plant("dit", "*attn2", "transformer_blocks.0.attn2", window=(0, 0), gain=20.0)


def mmdit() -> Any:
    return plant("mmdit", "transformer_blocks.?", "transformer_blocks.0", window=(1, 2), gain=20.0)


def flux() -> Any:
    return plant("flux", "*transformer_blocks.?", "single_transformer_blocks.0", window=(0, 0), gain=20.0)


def _small_decoder() -> nn.Module:
    """Latents (n, 8, 16, 16) to pictures (n, 3, 16, 16), in the place of the large one."""
    return nn.Sequential(nn.Conv2d(8, 3, 1), nn.Tanh())


def gan() -> ModuleSource:
    """Half of ``w`` is told the latent alone, half the style's word alone; one layer listens to the latter."""
    torch.manual_seed(0)
    model, half = build_gan(), STYLE_WIDTH // 2
    model.decoder = _small_decoder()
    linear = [layer for layer in model.mapping if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for place, layer in enumerate(linear):
            cut = layer.weight.shape[1] // 2
            if place == 0:
                layer.weight[:half, : CHOICES[-1][1]] = 0
                told = torch.zeros_like(layer.weight[half:])
                told[:, CHOSEN_STYLES] = layer.weight[half:, CHOSEN_STYLES]
                layer.weight[half:] = told
            else:
                layer.weight[:half, cut:] = 0
                layer.weight[half:, :cut] = 0
        for place, layer in enumerate([*model.layers, model.to_latent]):
            getattr(layer, "conv", layer).style.weight[:, half:] *= 30.0 * (place == 3)
    return ModuleSource(model, latent=(GAN_LATENT,), takes_prompts=True)


def vae() -> ModuleSource:
    """The second block writes the style into its first channels; it is seen past the third, which is told 0 there."""
    torch.manual_seed(0)
    model, count = build_vae(), len(STYLES)
    model.decoder = _small_decoder()
    run, seen = model.blocks[1].forward, dict[str, Tensor]()

    def write(x: Tensor) -> Tensor:
        made = run(x)
        told = functional.pad(seen["told"], (0, made.shape[1] - count))[..., None, None]
        return torch.where(torch.arange(made.shape[1])[:, None, None] < count, told, made)

    def look(_module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        seen["shown"] = inputs[0][:, :count].mean((2, 3))
        return functional.pad(inputs[0][:, count:], (0, 0, 0, 0, count, 0))

    def forward(latents: Tensor, prompts: list[str]) -> Tensor:
        seen["told"] = resolve(latents, prompts)[:, CHOSEN_STYLES] / 2
        picture = model.decoder(model.draw(latents[:, CHOSEN:]))
        return 0.3 * picture + 0.5 * seen["shown"][..., None, None]

    model.forward, model.blocks[1].forward = forward, write
    model.blocks[2].register_forward_pre_hook(look)
    return ModuleSource(model, latent=(VAE_LATENT,), takes_prompts=True)
