"""Linear probes: what is decodable, at which site and step."""

from outcrop.probes.alignment import alignment_matrix
from outcrop.probes.erasure import Eraser, EraserFitter
from outcrop.probes.logistic import LinearWeights
from outcrop.probes.properties import ConfoundedWarning
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe
from outcrop.probes.table import ProbeTable
from outcrop.probes.transfer import transfer_matrix

__all__ = [
    "ConfoundedWarning",
    "Eraser",
    "EraserFitter",
    "LinearWeights",
    "ProbeSpec",
    "ProbeTable",
    "alignment_matrix",
    "probe",
    "transfer_matrix",
]
