"""Noise levels against what the schedulers themselves do to a latent."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
)

from outcrop.capture.noise import evenly, signal_and_noise, step_records
from outcrop.data.errors import InputError

STEPS = 10
SCHEDULERS = {
    "ddim": DDIMScheduler,
    "ddim, zero terminal SNR": lambda: DDIMScheduler(rescale_betas_zero_snr=True, timestep_spacing="trailing"),
    "euler": EulerDiscreteScheduler,
    "DPM++, Karras": lambda: DPMSolverMultistepScheduler(use_karras_sigmas=True),
    "DPM++, flow matching": lambda: DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    "LCM": LCMScheduler,
    "flow matching": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_factors_are_those_by_which_the_scheduler_mixes_image_and_noise(name: str) -> None:
    scheduler = SCHEDULERS[name]()
    scheduler.set_timesteps(STEPS)
    mix = scheduler.scale_noise if name == "flow matching" else scheduler.add_noise
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    for step, timestep in enumerate(scheduler.timesteps):
        alpha, sigma = signal_and_noise(scheduler, step, float(timestep))
        at = timestep.reshape(1)
        image = mix(one, at, zero) if name == "flow matching" else mix(one, zero, at)
        noise = mix(zero, at, one) if name == "flow matching" else mix(zero, one, at)
        assert alpha == pytest.approx(image.item(), abs=1e-5)
        assert sigma == pytest.approx(noise.item(), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_noise_falls_and_the_signal_rises_from_step_to_step(name: str) -> None:
    scheduler = SCHEDULERS[name]()
    scheduler.set_timesteps(STEPS)
    records = step_records(scheduler, range(STEPS))
    noise, snr = [step.noise for step in records], [step.log_snr for step in records]
    assert noise == sorted(noise, reverse=True)
    assert snr == sorted(snr)
    assert all(0 <= level <= 100 for level in noise)
    for step in records:
        if abs(step.log_snr) < 20:
            assert step.noise == pytest.approx(100 / (1 + math.exp(step.log_snr / 2)))


def test_pure_noise_is_a_hundred() -> None:
    scheduler = SCHEDULERS["ddim, zero terminal SNR"]()
    scheduler.set_timesteps(STEPS)
    (first,) = step_records(scheduler, [0])
    assert first.noise == pytest.approx(100, abs=1e-3)
    assert first.log_snr == -20


def test_recorded_steps_are_numbered_from_zero() -> None:
    scheduler = SCHEDULERS["ddim"]()
    scheduler.set_timesteps(STEPS)
    records = step_records(scheduler, (0, 4, 9))
    assert [step.index for step in records] == [0, 1, 2]
    assert [step.timestep for step in records] == [float(scheduler.timesteps[k]) for k in (0, 4, 9)]


def test_a_scheduler_without_noise_levels_is_refused() -> None:
    class Odd:
        timesteps = (1, 0)

    with pytest.raises(InputError, match="noise levels of Odd are not known"):
        step_records(Odd(), [0])


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("count", [None, 1, 2, 5, 20, 50])
def test_recorded_steps_are_spread_from_the_first_to_the_last(steps: int, count: int | None) -> None:
    chosen = evenly(steps, count)
    assert len(chosen) == len(set(chosen)) == min(steps, count or steps)
    assert list(chosen) == sorted(chosen)
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (0, steps - 1)
        gaps = [after - before for before, after in pairwise(chosen)]
        assert max(gaps) - min(gaps) <= 1
