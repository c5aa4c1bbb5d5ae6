"""Figures of probe tables, and the report."""

from outcrop.viz.agreement import plot_agreement
from outcrop.viz.architecture import plot_architecture
from outcrop.viz.atlas import plot_atlas
from outcrop.viz.curves import plot_dose_response, plot_learning_curve
from outcrop.viz.figures import save_figure, write_figure, write_figures
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.report import write_report
from outcrop.viz.steps import plot_steps
from outcrop.viz.transfer import plot_transfer

__all__ = [
    "plot_agreement",
    "plot_architecture",
    "plot_atlas",
    "plot_dose_response",
    "plot_heatmap",
    "plot_learning_curve",
    "plot_profiles",
    "plot_steps",
    "plot_transfer",
    "save_figure",
    "write_figure",
    "write_figures",
    "write_report",
]
