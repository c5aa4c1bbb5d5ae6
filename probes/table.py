"""The result of a sweep: a tidy table, the probes' weights, and where both come from."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from outcrop.data.atomic import write_atomic
from outcrop.data.counted import counted
from outcrop.data.errors import DataError, InputError
from outcrop.probes.baselines import ROLE as BASELINE
from outcrop.probes.checkpoint import remove_unfinished
from outcrop.probes.comparison import Outcomes, compare_cells, compare_properties
from outcrop.probes.logistic import LinearWeights
from outcrop.probes.summary import asked_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Plot = Literal["heatmap", "profiles", "steps", "selectivity", "heads"]

FORMAT = 1
FRAME, WEIGHTS, PROVENANCE = "probes.parquet", "weights.safetensors", "probes.json"
OUTCOMES = "outcomes.safetensors"

COLUMNS = (
    "property", "site", "step", "timestep", "noise", "depth", "role", "order",
    "n", "classes", "groups", "group_by",
    "accuracy", "low", "high", "balanced_accuracy", "chance", "majority",
    "macro_f1", "auroc", "log_loss", "calibration_error",
    "control", "control_low", "control_high", "selectivity", "selectivity_low", "selectivity_high",
    "strength", "features",
)  # fmt: skip

PERMUTED = ("p_value", "q_value", "q_value_dependent")
"""Columns of a sweep with permutations: q by Benjamini and Hochberg, and by Benjamini and Yekutieli."""

CODED = ("code_length", "compression")
"""Columns of a sweep with code lengths: bits per sample, and how many times that an even code would take."""


CONDITIONAL = ("given_bits", "adds", "adds_low", "adds_high")
"""Columns of a sweep in which a site is given: what that tells, and what each other one adds to it, in bits."""


@dataclass(frozen=True)
class ProbeTable:
    """``frame``: a row per property, site and step (``COLUMNS``; ``PERMUTED``, ``CODED`` and ``CONDITIONAL`` if asked).

    The probes are fitted on all rows, in units of the raw features, so that row k of ``coef`` points towards
    ``provenance["classes"][property][k]``. ``provenance``: spec, data set, versions, what was grouped. ``outcomes``:
    which samples each row got right, for :meth:`compare`; a table written by version 0.1.0 has none.
    """

    frame: pd.DataFrame
    weights: Mapping[str, LinearWeights]
    provenance: Mapping[str, Any]
    outcomes: Outcomes | None = None

    def __repr__(self) -> str:
        nouns = {"property": "properties", "site": "", "step": ""}
        parts = [counted(self.frame[name].nunique(), name, plural=plural) for name, plural in nouns.items()]
        rows = counted(len(self.frame), "row")
        return f"ProbeTable of {rows} ({', '.join(parts)}); the numbers are in .frame, the highest in .best()"

    def best(self) -> pd.DataFrame:
        """One row per property: its cell of highest accuracy, the earliest of equals; baselines do not compete.

        The accuracy is that of the best of many cells, and so is optimistic: expect less of this cell on new data.
        """
        own = self.frame[self.frame["role"] != BASELINE]
        rows = (self.frame if own.empty else own).groupby("property", sort=False)["accuracy"].idxmax()
        return self.frame.loc[rows].reset_index(drop=True)

    def compare(
        self, property_name: str, *, site: str, step: int, confidence: float = 0.95, seed: int = 0
    ) -> pd.DataFrame:
        """Every other cell of a property against the one of ``site`` and ``step``: difference, interval, p, q.

        See :func:`outcrop.probes.comparison.compare_cells`. Raises :class:`InputError` for a cell that is not there,
        and :class:`DataError` for a table without outcomes.
        """
        settings: dict[str, Any] = {"confidence": confidence, "seed": seed}
        return compare_cells(self.frame, self._known_outcomes, property_name, site=site, step=step, **settings)

    def compare_properties(self, first: str, second: str, *, confidence: float = 0.95, seed: int = 0) -> pd.DataFrame:
        """What the picture shows against what was asked for: ``compare_properties("content:oracle", "content")``.

        See :func:`outcrop.probes.comparison.compare_properties`; raises as :meth:`compare` does.
        """
        return compare_properties(self.frame, self._known_outcomes, first, second, confidence=confidence, seed=seed)

    @property
    def _known_outcomes(self) -> Outcomes:
        if self.outcomes is None:
            raise DataError(f"The table lacks {OUTCOMES}, which cells are compared by. Run `outcrop probe` again.")
        return self.outcomes

    def baselines(self) -> pd.DataFrame:
        """Accuracy of each baseline beside :meth:`best`: a row for each of its rows, at the same step.

        Columns are the baselines' names; of those made for each site (``untrained``, ``norm``) that of the best site.
        """
        best = self.best()
        accuracy = self.frame.set_index(["property", "site", "step"])["accuracy"]
        names = self.frame.loc[self.frame["role"] == BASELINE, "site"].unique()
        kinds = dict.fromkeys(name if name.startswith("baseline.") else name.split(".")[0] for name in names)
        found = {
            kind: [
                accuracy.get((row.property, kind if "." in kind else f"{kind}.{row.site}", row.step), float("nan"))
                for row in best.itertuples()
            ]
            for kind in kinds
        }
        return pd.DataFrame(found, index=best.index)

    def to_xarray(self) -> Any:
        """The table as an ``xarray.Dataset`` over property, site and step. Needs xarray (``pip install xarray``)."""
        import xarray

        order = {name: list(dict.fromkeys(self.frame[name])) for name in ("property", "site", "step")}
        dataset = xarray.Dataset.from_dataframe(self.frame.set_index(["property", "site", "step"]))
        return dataset.reindex(order)

    def plot(self, kind: Plot = "heatmap", **settings: Any) -> "Figure":
        """Draw the table: a "heatmap" over sites and steps, "profiles" over depth, "steps" over the noise level,
        "selectivity" against accuracy, or attention "heads".

        ``settings`` are those of :func:`outcrop.viz.plot_heatmap`, ``plot_profiles``, ``plot_steps``,
        ``plot_selectivity`` and ``plot_head_map``: ``properties`` and the like. Raises :class:`InputError` for another
        kind.
        """
        from outcrop import viz

        draw: Mapping[str, Callable[..., Figure]] = {
            "heatmap": viz.plot_heatmap,
            "profiles": viz.plot_profiles,
            "steps": viz.plot_steps,
            "selectivity": viz.plot_selectivity,
            "heads": viz.plot_head_map,
        }
        if kind not in draw:
            raise InputError(f"kind must be one of {', '.join(draw)}. Got {kind!r}.")
        return draw[kind](self, **settings)

    def to_text(self) -> str:
        """The best cell of each property as text for a terminal, with what was asked for besides."""
        best = self.best()
        shown = pd.DataFrame({"property": best["property"], "best site": best["site"], "step": best["step"]})
        shown["noise"] = best["noise"].map("{:.0f}".format)
        shown["accuracy"] = best["accuracy"].map("{:.3f}".format)
        shown["interval"] = [f"{low:.3f}-{high:.3f}" for low, high in zip(best["low"], best["high"], strict=True)]
        for name in ("chance", "majority", "control", "selectivity"):
            shown[name] = best[name].map("{:.3f}".format)
        for kind, values in self.baselines().items():
            shown[str(kind)] = values.map("{:.3f}".format)
        return "\n".join([shown.to_string(index=False), *asked_lines(self.frame, best), self._caption(len(best))])

    def _caption(self, properties: int) -> str:
        cells = int((self.frame["role"] != BASELINE).sum()) // properties
        which = f"Highest of {cells} cells per property (optimistic)" if cells > 1 else "One cell per property"
        first, apart = self.frame.iloc[0], _and(self.provenance["splits"]["kept_apart"])
        return f"{which}; {first['n']} samples, never sharing {apart} between training and test."

    def save(self, folder: str | Path) -> None:
        """Write probes.parquet, weights.safetensors, probes.json and outcomes.safetensors into ``folder``, each
        whole or not at all; then the cells that a sweep kept there to go on with are removed.
        """
        folder = Path(folder)
        tensors = {}
        for key, weights in self.weights.items():
            tensors[f"{key}/coef"], tensors[f"{key}/intercept"] = weights.coef, weights.intercept
        table = io.BytesIO()
        self.frame.to_parquet(table, index=False)
        write_atomic(folder / FRAME, table.getvalue())
        write_atomic(folder / WEIGHTS, save(tensors))
        if self.outcomes is not None:
            write_atomic(folder / OUTCOMES, save({"right": self.outcomes.right, "units": self.outcomes.units}))
        record = {"format": FORMAT, **self.provenance}
        write_atomic(folder / PROVENANCE, json.dumps(record, indent=2, sort_keys=True).encode() + b"\n")
        remove_unfinished(folder)

    @classmethod
    def load(cls, folder: str | Path) -> "ProbeTable":
        """Read what :meth:`save` wrote. Raises :class:`DataError` for a missing or damaged file, or another format."""
        folder = Path(folder)
        record = _read_provenance(folder)
        try:
            frame = pd.read_parquet(folder / FRAME)
            tensors = load_file(folder / WEIGHTS)
            outcomes = Outcomes(**load_file(folder / OUTCOMES)) if (folder / OUTCOMES).exists() else None
        except (OSError, ValueError, SafetensorError) as error:
            raise DataError(
                f"The probe table in {folder} cannot be read: {error}. Run `outcrop probe` again."
            ) from error
        missing = [name for name in COLUMNS if name not in frame]
        if missing:
            raise DataError(f"{folder / FRAME} lacks the columns {missing}. Run `outcrop probe` again.")
        keys = [name.removesuffix("/coef") for name in tensors if name.endswith("/coef")]
        weights = {key: LinearWeights(tensors[f"{key}/coef"], tensors[f"{key}/intercept"]) for key in sorted(keys)}
        return cls(frame, weights, record, outcomes)


def weights_key(property_name: str, site: str, step: int) -> str:
    """The key of a probe in :attr:`ProbeTable.weights`."""
    return f"{property_name}/{site}/{step}"


def _read_provenance(folder: Path) -> dict[str, Any]:
    path = folder / PROVENANCE
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(
            f"There is no probe table in {folder}: {PROVENANCE} is missing. Run `outcrop probe` first."
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}. Run `outcrop probe` again.") from error
    version = record.pop("format", None)
    if version != FORMAT:
        raise DataError(
            f"{path} has format {version!r}; this version of Outcrop reads format {FORMAT}. Install a newer "
            f"one, or run `outcrop probe` again."
        )
    return record


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
