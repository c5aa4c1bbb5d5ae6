"""Lets the package ``outcrop.capture`` be called, so that ``oc.capture(...)`` mirrors the command of that name."""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outcrop.capture.run import Progress
    from outcrop.capture.spec import CaptureSpec
    from outcrop.data.dataset import Dataset


class CallablePackage(ModuleType):
    """A package whose call is :func:`outcrop.capture.run.capture`."""

    def __call__(
        self, spec: "CaptureSpec", out: str | Path, *, progress: "Progress | None" = None, memory: int | None = None
    ) -> "Dataset":
        """See :func:`outcrop.capture.run.capture`."""
        from outcrop.capture.run import capture

        return capture(spec, out, progress=progress, memory=memory)
