"""Figures of probe tables, and the report."""

from outcrop.viz.architecture import plot_architecture
from outcrop.viz.figures import save_figure, write_figures
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.report import write_report
from outcrop.viz.steps import plot_steps

__all__ = [
    "plot_architecture",
    "plot_heatmap",
    "plot_profiles",
    "plot_steps",
    "save_figure",
    "write_figures",
    "write_report",
]
