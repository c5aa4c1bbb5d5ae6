"""Probes: what is decodable, at which site and step."""

from outcrop.probes.alignment import alignment_by_size, alignment_matrix
from outcrop.probes.baselines import with_baselines
from outcrop.probes.degenerate import DegenerateWarning
from outcrop.probes.erasure import Eraser, EraserFitter
from outcrop.probes.estimator import LinearProbe
from outcrop.probes.geometry import Angles, mean_directions, property_angles, subspace_angles
from outcrop.probes.joined import Joined, transfer_across
from outcrop.probes.learning import learning_curve, samples_needed
from outcrop.probes.logistic import LinearWeights
from outcrop.probes.nullspace import erasure_effect, removed_directions
from outcrop.probes.properties import ConfoundedWarning
from outcrop.probes.reference import reference_accuracies
from outcrop.probes.regression import regress
from outcrop.probes.spatial import CellMap, spatial_probe
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import ProbeTable
from outcrop.probes.transfer import transfer_matrix

__all__ = [
    "Angles",
    "CellMap",
    "ConfoundedWarning",
    "DegenerateWarning",
    "Eraser",
    "EraserFitter",
    "Joined",
    "LinearProbe",
    "LinearWeights",
    "ProbeSpec",
    "ProbeTable",
    "alignment_by_size",
    "alignment_matrix",
    "erasure_effect",
    "learning_curve",
    "mean_directions",
    "probe",
    "property_angles",
    "reference_accuracies",
    "regress",
    "removed_directions",
    "samples_needed",
    "spatial_probe",
    "subspace_angles",
    "transfer_across",
    "transfer_matrix",
    "with_baselines",
]
