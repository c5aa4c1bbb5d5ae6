"""Which layer of an image generator, at which step, encodes content, style and layout.

The names below are loaded when they are first used (PEP 562), so that ``import outcrop`` and ``outcrop --help`` are
instant and a data set opens without a deep-learning framework::

    import outcrop as oc

    ds = oc.open_dataset("runs/demo")
    table = oc.probe(ds)
    oc.plot_heatmap(table)
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outcrop import capture
    from outcrop.capture.spec import CaptureSpec
    from outcrop.data.dataset import Dataset, open_dataset
    from outcrop.data.errors import ConflictError, DataError, InputError, OutcropError, StorageError
    from outcrop.data.share import share
    from outcrop.data.transfer import pull, push
    from outcrop.probes.sweep import ProbeSpec, probe
    from outcrop.probes.table import ProbeTable
    from outcrop.viz.architecture import plot_architecture
    from outcrop.viz.atlas import plot_atlas
    from outcrop.viz.embedding import Atlas, AtlasSpec, atlas
    from outcrop.viz.figures import write_figures
    from outcrop.viz.heatmap import plot_heatmap
    from outcrop.viz.profiles import plot_profiles
    from outcrop.viz.report import write_report

__all__ = [
    "Atlas",
    "AtlasSpec",
    "CaptureSpec",
    "ConflictError",
    "DataError",
    "Dataset",
    "InputError",
    "OutcropError",
    "ProbeSpec",
    "ProbeTable",
    "StorageError",
    "atlas",
    "capture",
    "open_dataset",
    "plot_architecture",
    "plot_atlas",
    "plot_heatmap",
    "plot_profiles",
    "probe",
    "pull",
    "push",
    "share",
    "write_figures",
    "write_report",
]

_HOMES = {
    "Atlas": "outcrop.viz.embedding",
    "AtlasSpec": "outcrop.viz.embedding",
    "CaptureSpec": "outcrop.capture.spec",
    "ConflictError": "outcrop.data.errors",
    "DataError": "outcrop.data.errors",
    "Dataset": "outcrop.data.dataset",
    "InputError": "outcrop.data.errors",
    "OutcropError": "outcrop.data.errors",
    "ProbeSpec": "outcrop.probes.sweep",
    "ProbeTable": "outcrop.probes.table",
    "StorageError": "outcrop.data.errors",
    "atlas": "outcrop.viz.embedding",
    "open_dataset": "outcrop.data.dataset",
    "plot_architecture": "outcrop.viz.architecture",
    "plot_atlas": "outcrop.viz.atlas",
    "plot_heatmap": "outcrop.viz.heatmap",
    "plot_profiles": "outcrop.viz.profiles",
    "probe": "outcrop.probes.sweep",
    "pull": "outcrop.data.transfer",
    "push": "outcrop.data.transfer",
    "share": "outcrop.data.share",
    "write_figures": "outcrop.viz.figures",
    "write_report": "outcrop.viz.report",
}
_PACKAGES = ("attribution", "capture", "data", "probes", "viz", "zoo")  # capture can be called like a function, too


def __getattr__(name: str) -> object:
    if name == "__version__":
        return version("outcrop")
    if name in _PACKAGES:
        return import_module(f"outcrop.{name}")
    if name not in _HOMES:
        message = f"module 'outcrop' has no attribute {name!r}; it offers {', '.join(__all__)}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
