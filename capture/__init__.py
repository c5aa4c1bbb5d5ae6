"""Running a generator and recording its activations. The package itself can be called: ``oc.capture(spec, out)``."""

import sys

from outcrop.capture.callable import CallablePackage
from outcrop.capture.run import capture
from outcrop.capture.source import open_source
from outcrop.capture.spec import CaptureSpec, SeedPlan, parse_spec

__all__ = ["CaptureSpec", "SeedPlan", "capture", "open_source", "parse_spec"]

# `oc.capture` must be the verb and `outcrop.capture` the package: see docs/decisions/0003-callable-capture.md.
sys.modules[__name__].__class__ = CallablePackage
