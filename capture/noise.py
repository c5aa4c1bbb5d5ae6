"""Noise levels that models with different schedulers share: log-SNR, and a scale from 0 (clean) to 100 (pure noise)."""

import math
from collections.abc import Sequence
from typing import Any

from outcrop.data.errors import InputError
from outcrop.data.schema import StepRecord

LIMIT = 20.0


def step_records(scheduler: Any, recorded: Sequence[int]) -> tuple[StepRecord, ...]:
    """The recorded steps of a scheduler whose timesteps are set; ``recorded`` are indices into them."""
    records = []
    for index, step in enumerate(recorded):
        timestep = float(scheduler.timesteps[step])
        alpha, sigma = signal_and_noise(scheduler, step, timestep)
        records.append(
            StepRecord(
                index=index,
                timestep=timestep,
                log_snr=_log_snr(alpha, sigma),
                noise=100 * sigma / (alpha + sigma),
            )
        )
    return tuple(records)


def signal_and_noise(scheduler: Any, step: int, timestep: float) -> tuple[float, float]:
    """The factors of image and noise in the latent at a step: x = alpha x0 + sigma e.

    Variance-preserving schedulers (DDPM, DDIM, DPM-Solver) hold ``alphas_cumprod``; flow matching has
    alpha = 1 - sigma (Liu et al. 2022); samplers in sigma space (Euler, Karras et al. 2022) have alpha = 1.
    """
    name = type(scheduler).__name__
    convert: Any = getattr(scheduler, "_sigma_to_alpha_sigma_t", None)  # of DPM-Solver and kin
    sigmas: Any = getattr(scheduler, "sigmas", None)
    if sigmas is not None and "FlowMatch" in name:
        sigma = float(sigmas[step])
        return 1 - sigma, sigma
    if sigmas is not None and ("Euler" in name or "Heun" in name or "LMS" in name or "KDPM" in name):
        return 1.0, float(sigmas[step])
    if sigmas is not None and convert is not None:
        alpha, sigma = convert(sigmas[step])
        return float(alpha), float(sigma)
    products: Any = getattr(scheduler, "alphas_cumprod", None)
    if products is None:
        raise InputError(
            f"The noise levels of {name} are not known: it has neither sigmas nor alphas_cumprod. "
            "Give the pipeline a scheduler of the DDIM, DPM-Solver, Euler or flow-matching family."
        )
    product = float(products[round(timestep)])
    return math.sqrt(product), math.sqrt(1 - product)


def evenly(steps: int, count: int | None) -> tuple[int, ...]:
    """``count`` of ``steps`` indices, evenly spaced, with the first and the last; all if ``count`` is left out."""
    if count is None or count >= steps:
        return tuple(range(steps))
    if count == 1:
        return (steps // 2,)
    return tuple(round(k * (steps - 1) / (count - 1)) for k in range(count))


def _log_snr(alpha: float, sigma: float) -> float:
    if alpha <= 0:
        return -LIMIT
    if sigma <= 0:
        return LIMIT
    return max(-LIMIT, min(LIMIT, 2 * math.log(alpha / sigma)))
