"""Figures of probe tables, of studies and of atlases, and the report."""

from outcrop.viz.agreement import plot_agreement
from outcrop.viz.alignment import plot_alignment
from outcrop.viz.architecture import plot_architecture
from outcrop.viz.atlas import plot_atlas
from outcrop.viz.curves import plot_dose_response, plot_learning_curve
from outcrop.viz.effect_map import plot_effect_map
from outcrop.viz.effects import plot_effects
from outcrop.viz.families import plot_families
from outcrop.viz.figures import save_figure, write_figure, write_figures
from outcrop.viz.heads import plot_head_map
from outcrop.viz.heatmap import plot_heatmap
from outcrop.viz.interventions import plot_interventions
from outcrop.viz.profiles import plot_profiles
from outcrop.viz.report import write_report
from outcrop.viz.selectivity import plot_selectivity
from outcrop.viz.steps import plot_steps
from outcrop.viz.transfer import plot_transfer
from outcrop.viz.word_maps import plot_word_maps

__all__ = [
    "plot_agreement",
    "plot_alignment",
    "plot_architecture",
    "plot_atlas",
    "plot_dose_response",
    "plot_effect_map",
    "plot_effects",
    "plot_families",
    "plot_head_map",
    "plot_heatmap",
    "plot_interventions",
    "plot_learning_curve",
    "plot_profiles",
    "plot_selectivity",
    "plot_steps",
    "plot_transfer",
    "plot_word_maps",
    "save_figure",
    "write_figure",
    "write_figures",
    "write_report",
]
