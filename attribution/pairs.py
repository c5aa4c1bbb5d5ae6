"""Pairs of a donor A and a receiver B: drawn from labelled prompts, and as a table."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from outcrop.attribution.study import Pair, PairPlan, Side
from outcrop.capture.prompts import LabelledPrompt, check_labels
from outcrop.data.errors import InputError
from outcrop.data.patterns import near_misses
from outcrop.data.samples import LabelValue, Sample


def draw_pairs(prompts: Sequence[LabelledPrompt], plan: PairPlan, *, share_seed: bool) -> tuple[Pair, ...]:
    """Pairs as ``plan`` says. Raises :class:`InputError` for prompts among which there are none."""
    labels = check_labels(prompts)
    differ = plan.differ or labels
    unknown = sorted(set(differ) - set(labels))
    if unknown:
        raise InputError(f"Pairs cannot differ in {unknown}: the prompts' labels are {list(labels)}.")
    donors = _donors(prompts, plan.donor)
    receivers = [
        one
        for one in prompts
        if all((one.labels[name] != value) == (name in differ) for name, value in plan.donor.items())
    ]
    if not receivers:
        raise InputError(
            f"No prompt can receive from donors of {plan.donor}: none differs from them in {list(differ)}."
        )
    rng = np.random.default_rng(plan.seed)
    order = [int(place) for _ in range(-(-plan.count // len(receivers))) for place in rng.permutation(len(receivers))]
    pairs: list[Pair] = []
    known: dict[int, list[LabelledPrompt]] = {}
    for number, place in enumerate(order[: plan.count]):
        receiver = receivers[place]
        if place not in known:
            known[place] = _possible(receiver, donors, differ)
        donor = known[place][int(rng.integers(len(known[place])))]
        seed = plan.first_seed + number
        other = seed if share_seed else plan.first_seed + plan.count + number
        pairs.append(Pair(donor=_side(donor, other), receiver=_side(receiver, seed)))
    return tuple(pairs)


def pair_table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row per pair: a_prompt, b_prompt, a_seed, b_seed, then a_<label> and b_<label> of every label."""
    rows = []
    for pair in pairs:
        sides = {"a": pair.donor, "b": pair.receiver}
        row: dict[str, object] = {f"{side}_prompt": one.prompt for side, one in sides.items()}
        row |= {f"{side}_seed": one.seed for side, one in sides.items()}
        rows.append(
            row | {f"{side}_{name}": value for side, one in sides.items() for name, value in one.labels.items()}
        )
    return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="pair"))


def as_sample(side: Side, *, seed: int | None = None) -> Sample:
    """What a source generates."""
    return Sample("0" * 16, side.prompt, side.seed if seed is None else seed, negative_prompt=side.negative_prompt)


def _donors(prompts: Sequence[LabelledPrompt], wanted: Mapping[str, LabelValue]) -> list[LabelledPrompt]:
    """The prompts with the ``wanted`` labels."""
    for name, value in wanted.items():
        known = sorted({str(prompt.labels[name]) for prompt in prompts if name in prompt.labels})
        if str(value) not in known:
            raise InputError(
                f"No prompt has {name} {value!r}, which donors are to have.{near_misses(str(value), known)} "
                f"Values of {name}: {', '.join(known) or 'none, it is no label'}."
            )
    return [prompt for prompt in prompts if all(prompt.labels[name] == value for name, value in wanted.items())]


def _possible(
    receiver: LabelledPrompt, prompts: Sequence[LabelledPrompt], differ: Sequence[str]
) -> list[LabelledPrompt]:
    """Donors that differ from ``receiver`` in ``differ`` alone, worded as it is where there are such."""
    fits = [
        other
        for other in prompts
        if all((other.labels[name] != value) == (name in differ) for name, value in receiver.labels.items())
        and other.text != receiver.text
    ]
    if not fits:
        raise InputError(
            f"No prompt differs from {receiver.text!r} in {', '.join(differ) or 'its words'} alone: give prompts for "
            "more combinations of labels."
        )
    return [other for other in fits if other.template == receiver.template] or fits


def _side(prompt: LabelledPrompt, seed: int) -> Side:
    return Side(prompt=prompt.text, seed=seed, negative_prompt=prompt.negative, labels=prompt.labels)
