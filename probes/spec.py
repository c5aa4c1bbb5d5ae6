"""What to probe and how."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from outcrop.data.errors import InputError
from outcrop.probes.baselines import Baseline
from outcrop.probes.checks import check_names, check_sequence, check_whole, is_number

LEAST_FOLDS = 3
NAMES = ("properties", "sites", "group_by", "baselines")
STRENGTHS = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class ProbeSpec:
    """The question of a sweep.

    ``properties``: label columns (all with 2 to 50 classes); ``sites``: globs (all); ``steps``: indices (all);
    ``group_by``: sample columns of which training and test share no value, or combinations of columns, as in
    ``"content * style"`` (by default template and seed, as far as they differ between samples);
    ``strengths``: scikit-learn's C, of which one is chosen inside each training fold;
    ``controls``: independent draws of the control task, of which the mean counts; ``permutations`` for p-values, none
    by default; ``code_length``: also measure how many bits the labels cost; ``baselines``: sites made from pictures,
    prompts and lengths (:func:`outcrop.probes.baselines.with_baselines`); ``given``: a site (``baseline.prompt``, say),
    over which the information that each other one adds is measured; ``confidence`` and ``bootstraps`` of the intervals;
    ``device``: where PyTorch solves ("cuda", "cuda:1", "cpu"), by default NumPy on all cores.
    Raises :class:`InputError` for values that make no sense.
    """

    properties: tuple[str, ...] | None = None
    sites: tuple[str, ...] | None = None
    steps: tuple[int, ...] | None = None
    group_by: tuple[str, ...] | None = None
    folds: int = 5
    strengths: tuple[float, ...] = STRENGTHS
    controls: int = 2
    permutations: int = 0
    code_length: bool = False
    baselines: tuple[Baseline, ...] = ()
    given: str | None = None
    seed: int = 0
    confidence: float = 0.95
    bootstraps: int = 1000
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("properties", "sites", "steps", "group_by", "strengths", "baselines"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _without_repeats(name, value))
        for name in ("properties", "sites", "steps", "group_by", "strengths"):
            if getattr(self, name) == ():
                raise InputError(f"{name} must name at least one. Got an empty sequence.")
        _check_numbers(self)
        if self.folds < LEAST_FOLDS:
            raise InputError(
                f"folds must be at least {LEAST_FOLDS}: strengths are chosen on folds inside the training folds. "
                f"Got {self.folds}."
            )
        if not all(is_number(own) and own > 0 for own in self.strengths):
            raise InputError(f"strengths must be positive and finite. Got {self.strengths}.")
        if not isinstance(self.code_length, bool | np.bool_):
            raise InputError(f"code_length must be True or False. Got {self.code_length!r}.")
        for name in ("given", "device"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise InputError(f"{name} must be a name, or None. Got {value!r}.")


def _without_repeats(name: str, value: object) -> tuple[object, ...]:
    """``value`` as a tuple, each once. Raises :class:`InputError` for what is no sequence, and for odd steps."""
    found = tuple(dict.fromkeys(check_sequence(name, value)))
    if name == "steps" and not all(isinstance(step, Integral) and not isinstance(step, bool) for step in found):
        raise InputError(f"steps must be whole numbers, the index of a recorded step. Got {found}.")
    return check_names(name, found) if name in NAMES else found


def _check_numbers(spec: ProbeSpec) -> None:
    check_whole("folds", spec.folds)
    for name in ("controls", "bootstraps"):
        check_whole(name, getattr(spec, name), least=1)
    check_whole("permutations", spec.permutations)
    check_whole("seed", spec.seed)
    if spec.permutations < 0:
        raise InputError(f"permutations must not be negative (0: no p-values). Got {spec.permutations}.")
    if spec.seed < 0:
        raise InputError(f"seed must not be negative. Got {spec.seed}.")
    if not is_number(spec.confidence) or not 0 < spec.confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1. Got {spec.confidence!r}.")
