"""Every recorded row carries its sample, step and half: a model whose activation is what it was given says so."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from outcrop.capture.guidance import GuidanceLayout, observe_layout
from outcrop.capture.hooks import Recorder
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site
from outcrop.data.errors import DataError, InputError

STEPS, SAMPLES = 4, 3
SITE = Site("echo", "block", 0, (3,))
PROMPTS = ["11", "12", "12"]
NEGATIVES = ["-21", "-22", "-23"]


class Echo(nn.Module):
    """Puts out, per row, the latent (its sample), the timestep and the prompt that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.echo = nn.Identity()

    def forward(self, latents: Tensor, timestep: float, text: Tensor) -> Tensor:
        return self.echo(torch.cat([latents, torch.full_like(latents, timestep), text], dim=1))


Sampler = Callable[[Echo, Tensor, float, Tensor, Tensor], None]


def uncond_first(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
    model(torch.cat([x, x]), t, torch.cat([uncond, cond]))


def cond_first(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
    model(torch.cat([x, x]), t, torch.cat([cond, uncond]))


def twice(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
    model(x, t, cond)
    model(x, t, uncond)


def twice_uncond_first(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
    model(x, t, uncond)
    model(x, t, cond)


def thrice(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
    """Guidance with a second, perturbed conditional prediction."""
    uncond_first(model, x, t, cond, uncond)
    model(x, t, cond + 1000 * (t < STEPS))


SAMPLERS = {
    uncond_first: (("uncond", "cond"),),
    cond_first: (("cond", "uncond"),),
    twice: (("cond",), ("uncond",)),
    twice_uncond_first: (("uncond",), ("cond",)),
    thrice: (("uncond", "cond"), ("cond",)),
}


def generate(sampler: Sampler, model: Echo, prompts: Sequence[str], negatives: Sequence[str], *, steps: int) -> None:
    latents = torch.arange(1.0, len(prompts) + 1)[:, None]
    texts = [torch.tensor([[float(word)] for word in words]) for words in (prompts, negatives)]
    for step in range(steps):
        sampler(model, latents, float(step), *texts)


def layout_of(sampler: Sampler, model: Echo) -> GuidanceLayout:
    def run(texts: Sequence[str]) -> None:
        generate(sampler, model, texts, ["0"] * len(texts), steps=2)

    return observe_layout(model, run, ("11", "12", "11"), steps=lambda: 2)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_layout_is_seen_from_what_the_prompt_changes(sampler: Sampler) -> None:
    assert layout_of(sampler, Echo()).calls == SAMPLERS[sampler]


@pytest.mark.parametrize("half", ["cond", "uncond", "both"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_row_says_its_own_sample_step_and_half(sampler: Sampler, half: str) -> None:
    model, recorded_steps = Echo(), (0, 1, 3)
    recorder = Recorder(
        model,
        [SITE],
        steps=recorded_steps,
        reduction=Reduction("full"),
        dtype="float32",
        half=half,
        layout=layout_of(sampler, model),
    )
    with recorder:
        recorder.begin(SAMPLES)
        generate(sampler, model, PROMPTS, NEGATIVES, steps=STEPS)
        rows = recorder.take()["echo"]
    texts = {"cond": PROMPTS, "uncond": NEGATIVES}
    halves = ["uncond", "cond"] if half == "both" else [half]
    expected = [
        [[[sample + 1, step, float(texts[part][sample])] for part in halves] for sample in range(SAMPLES)]
        for step in recorded_steps
    ]
    np.testing.assert_array_equal(rows.reshape(np.shape(expected)), expected)
    assert recorder.calls == STEPS


def test_interleaved_rows_are_refused() -> None:
    def interleaved(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
        model(x.repeat_interleave(2, dim=0), t, torch.stack([uncond, cond], dim=1).flatten(0, 1))

    with pytest.raises(InputError, match=r"came to the model as 4 rows, of which \[1\] belong to the first"):
        layout_of(interleaved, Echo())


def test_a_prompt_that_changes_nothing_is_told() -> None:
    def deaf(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
        model(torch.cat([x, x]), t, torch.cat([0 * uncond, 0 * cond]))

    with pytest.raises(InputError, match="The prompt changes nothing in what Echo is given"):
        layout_of(deaf, Echo())


def test_a_model_without_prompts_has_one_prediction() -> None:
    def plain(model: Echo, x: Tensor, t: float, cond: Tensor, uncond: Tensor) -> None:
        model(x, t, 0 * cond)

    layout = layout_of(plain, Echo())
    assert layout.calls == (("cond",),)
    settings = {"steps": (0,), "reduction": Reduction("full"), "dtype": "float32"}
    recorder = Recorder(Echo(), [SITE], half="both", layout=layout, **settings)
    with pytest.raises(InputError, match="Echo is not run without the prompt here"), recorder:
        pass


def test_a_step_that_lacks_a_call_is_no_step() -> None:
    model = Echo()
    layout = layout_of(twice, model)
    settings = {"steps": (0, 1), "reduction": Reduction("full"), "dtype": "float32", "half": "both"}
    with Recorder(model, [SITE], layout=layout, **settings) as recorder:
        recorder.begin(SAMPLES)
        generate(twice, model, PROMPTS, NEGATIVES, steps=1)
        model(torch.ones(SAMPLES, 1), 1.0, torch.ones(SAMPLES, 1))
        assert recorder.calls == -1
        with pytest.raises(DataError, match="ran at 1 of the 2 steps"):
            recorder.take()
