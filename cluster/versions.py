"""What is installed, compared between processes: other versions may give other numbers."""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from outcrop.data.errors import ClusterError

ENGINE = ("outcrop", "distributed")
CAPTURE = (*ENGINE, "numpy", "h5py", "torch", "diffusers", "transformers")
PROBE = (*ENGINE, "numpy", "scipy", "scikit-learn", "numba")


def installed(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of ``packages`` in this process; ``none`` for what is missing."""
    return {"Python": platform.python_version()} | {name: _version(name) for name in packages}


def check_same(expected: Mapping[str, str], *, where: str) -> None:
    """Raises :class:`ClusterError` where this process, which is ``where``, has other versions than ``expected``."""
    found = installed([name for name in expected if name != "Python"])
    other = [
        f"{name} {found[name]} instead of {version}" for name, version in expected.items() if found[name] != version
    ]
    if other:
        raise ClusterError(
            f"{where} has {', '.join(other)}. Other versions may give other numbers: install the same ones on all "
            "machines of the cluster."
        )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
