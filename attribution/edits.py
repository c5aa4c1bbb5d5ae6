"""What an intervention does to an activation: functions from tensors to a new tensor."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from outcrop.attribution.donations import Donation
from outcrop.attribution.interventions import (
    Ablation,
    ActivationPatch,
    AnyIntervention,
    Erasure,
    Matrix,
    Steering,
    Vector,
)
from outcrop.capture.guidance import Part
from outcrop.capture.sites import Site
from outcrop.data.errors import InputError

NEGLIGIBLE = 1e-10
"""Directions of a subspace with a singular value below this share of the largest count as none."""


@dataclass(frozen=True)
class Moment:
    """A step and a part of guidance."""

    step: int
    part: Part


@dataclass(frozen=True)
class Reference:
    """Mean and standard deviation of a site over the pictures of a study: by moment (*feature)."""

    mean: Mapping[Moment, Tensor]
    deviation: Mapping[Moment, Tensor]


Change = Callable[[Tensor, Tensor, Moment], Tensor]
"""From a receiver's activations (n, *feature), the donors' and the moment to new activations (n, *feature)."""


@dataclass(frozen=True)
class Material:
    """What edits draw on beside the batch itself: ``seeds`` (n,) of the receivers, references and donations by site."""

    seeds: Sequence[int] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)
    donations: Mapping[str, Donation] = field(default_factory=dict)


def change_of(record: AnyIntervention, site: Site, material: Material) -> Change:
    """The change that ``record`` makes at ``site``. Raises :class:`InputError` for shapes that do not fit."""
    change = _change(record, site, material)
    turned = getattr(record, "turned", None)
    if turned is None:
        return change
    rotation = _rotation(_channels(site), turned, site.name)
    return lambda own, donor, moment: own + _along_channels(change(own, donor, moment) - own, rotation.to(own))


def _change(record: AnyIntervention, site: Site, material: Material) -> Change:
    match record:
        case ActivationPatch():
            return _patch(record, site, material)
        case Ablation():
            return _ablation(record, site, material)
        case Steering():
            direction = _spread(record.direction, site)
            return lambda own, _donor, _moment: own + record.dose * direction.to(own)
        case Erasure():
            return _erasure(record, site)
    raise AssertionError(f"{record.kind} does not write a site's activation")


def _patch(record: ActivationPatch, site: Site, material: Material) -> Change:
    keep = _mask(record, site)
    project = _projection(record.subspace, site) if record.subspace is not None else None
    donation = material.donations.get(site.name) if record.dataset else None

    def change(own: Tensor, donor: Tensor, moment: Moment) -> Tensor:
        if donation is not None:
            donor = donation.at(moment.step, moment.part).to(own)
        if project is not None:
            donor = own + _along_channels(donor - own, project.to(own))
        return donor if keep is None else torch.where(keep.to(own.device), donor, own)

    return change


def _ablation(record: Ablation, site: Site, material: Material) -> Change:
    if record.value == "zero":
        return lambda own, _donor, _moment: torch.zeros_like(own)
    if record.value == "resample":
        return lambda _own, donor, _moment: donor
    salt = zlib.crc32(site.name.encode())

    def mean(own: Tensor, _donor: Tensor, moment: Moment) -> Tensor:
        return material.references[site.name].mean[moment].to(own).expand_as(own)

    def noise(own: Tensor, _donor: Tensor, moment: Moment) -> Tensor:
        reference = material.references[site.name]
        draws = [
            np.random.default_rng([seed, salt, moment.step, moment.part == "cond"]).standard_normal(own.shape[1:])
            for seed in material.seeds
        ]
        drawn = torch.from_numpy(np.stack(draws)).to(own)
        return reference.mean[moment].to(own) + reference.deviation[moment].to(own) * drawn

    return mean if record.value == "mean" else noise


def _erasure(record: Erasure, site: Site) -> Change:
    _check_width(len(record.mean), site, "An erasure")
    mean, into, away = (torch.tensor(part) for part in (record.mean, record.into, record.away))
    matrix = away @ into

    def change(own: Tensor, _donor: Tensor, _moment: Moment) -> Tensor:
        centred = own - _at_channels(mean.to(own), own.ndim)
        return own - _along_channels(centred, matrix.to(own))

    return change


@lru_cache(maxsize=64)
def _rotation(channels: int, seed: int, site: str) -> Tensor:
    """A random orthogonal matrix (channel, channel), all equally likely (Mezzadri 2007, arXiv:math-ph/0609050)."""
    drawn = np.random.default_rng([seed, zlib.crc32(site.encode())]).standard_normal((channels, channels))
    basis, triangle = np.linalg.qr(drawn)
    return torch.from_numpy(basis * np.sign(np.diag(triangle))).float()


def _mask(record: ActivationPatch, site: Site) -> Tensor | None:
    """Where the donor's activation is taken, to be broadcast to (n, *feature)."""
    if record.region is not None:
        if len(site.shape) != 3:
            raise InputError(f"A region needs a map (channel, height, width). {site.name} puts out {site.shape}.")
        top, left, bottom, right = record.region
        rows, columns = ((torch.arange(extent) + 0.5) / extent for extent in site.shape[1:])
        keep: Tensor = ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))
        return keep
    if record.tokens is not None:
        if len(site.shape) != 2 or not all(-site.shape[0] <= token < site.shape[0] for token in record.tokens):
            raise InputError(f"tokens {record.tokens} are not among those of {site.name}, which puts out {site.shape}.")
        keep = torch.zeros(site.shape[0], 1, dtype=torch.bool)
        keep[list(record.tokens)] = True
        return keep
    return None


def _projection(rows: Matrix, site: Site) -> Tensor:
    """The projection (channel, channel) on the span of ``rows``."""
    for row in rows:
        _check_width(len(row), site, "A subspace")
    basis = torch.linalg.svd(torch.tensor(rows, dtype=torch.float64), full_matrices=False)
    sizes: Tensor = basis.S / basis.S.max()
    held = basis.Vh[sizes > NEGLIGIBLE]
    projection: Tensor = (held.T @ held).float()
    return projection


def _spread(direction: Vector, site: Site) -> Tensor:
    """The direction, to be broadcast to (n, *feature)."""
    channels = _channels(site)
    values = torch.tensor(direction)
    if len(direction) == channels:
        return _at_channels(values, 1 + len(site.shape))
    side = round((len(direction) / channels) ** 0.5)
    if len(site.shape) == 3 and side and side * side * channels == len(direction):
        return functional.interpolate(values.view(1, channels, side, side), size=site.shape[1:], mode="nearest")
    raise InputError(
        f"A direction for {site.name}, which puts out {site.shape}, must have {channels} values, or k x k times as "
        f"many for a map. Got {len(direction)}."
    )


def _channels(site: Site) -> int:
    return site.shape[0] if len(site.shape) == 3 else site.shape[-1]


def _check_width(width: int, site: Site, what: str) -> None:
    if width != _channels(site):
        raise InputError(f"{what} for {site.name} must have {_channels(site)} values a channel. Got {width}.")


def _at_channels(values: Tensor, ndim: int) -> Tensor:
    """A value a channel, to be broadcast to (n, channel, height, width) or (n, ..., channel)."""
    return values[:, None, None] if ndim == 4 else values


def _along_channels(values: Tensor, matrix: Tensor) -> Tensor:
    """``matrix`` (channel, channel) at every position."""
    if values.ndim == 4:
        return torch.einsum("dc,nchw->ndhw", matrix, values)
    return values @ matrix.T
