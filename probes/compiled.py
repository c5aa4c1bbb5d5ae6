"""Compile loops over arrays to machine code, once per machine.

The softmax and the recursions of the solver are chains of ten cheap operations an element. As calls into NumPy each is
a walk through memory of its own; as one compiled loop over a block that stays in the cache they cost a third to a half,
and can compute what NumPy's functions round away (see :mod:`outcrop.probes.kernels`).
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit, types
from numba.extending import overload

Function = TypeVar("Function", bound=Callable[..., Any])

FAST = {"contract", "nsz", "arcp", "nnan"}
"""Fused products, reciprocals and no care of NaN (inputs are finite); sums keep their order."""

SUMS = FAST | {"reassoc"}
"""For long sums of products: in any order, so that they run in vectors."""

LOWEST = np.float32(-87.0)


def compiled(function: Function) -> Function:
    """``function`` as machine code that is kept on disk where the folder can be written."""
    return _compile(function, FAST)


def compiled_sum(function: Function) -> Function:
    """The same for sums of products, whose order may change."""
    return _compile(function, SUMS)


def _compile(function: Function, fast: set[str]) -> Function:
    settings: dict[str, Any] = {"fastmath": fast, "error_model": "numpy", "nogil": True}
    try:
        result: Function = njit(cache=True, **settings)(function)
    except RuntimeError:  # no folder to keep it in: compiled again in each process
        result = njit(**settings)(function)
    return result


def exponential(x: Any) -> Any:
    """Euler's number to the power of ``x`` <= 0."""
    return np.exp(x)


def log_one_plus(x: Any) -> Any:
    """ln(1 + x) for ``x`` >= 0."""
    return np.log1p(x)


@overload(exponential, jit_options={"fastmath": FAST})
def _exponential(x: Any) -> Any:
    if x == types.float32:
        return _exponential_of_single
    return _exponential_of_double


@overload(log_one_plus, jit_options={"fastmath": FAST})
def _log_one_plus(x: Any) -> Any:
    if x == types.float32:
        return _log_of_single
    return _log_of_double


def _exponential_of_double(x: Any) -> Any:
    return math.exp(x)


def _log_of_double(x: Any) -> Any:
    return math.log1p(x)


def _exponential_of_single(x: Any) -> Any:
    """2^k e^f, |f| <= ln 2 / 2, the latter as a polynomial (Cephes, expf): within 2 roundings; 0 below e^-87."""
    within = max(LOWEST, x)
    k = np.floor(within * np.float32(1.44269504) + np.float32(0.5))
    f = within - k * np.float32(0.693359375) + k * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4) * f + np.float32(1.3981999507e-3)
    p = p * f + np.float32(8.3334519073e-3)
    p = p * f + np.float32(4.1665795894e-2)
    p = p * f + np.float32(1.6666665459e-1)
    p = p * f + np.float32(5.0000001201e-1)
    p = p * f * f + f + np.float32(1)
    bits = (np.int32(k) + np.int32(127)) << np.int32(23)
    return p * np.int32(bits).view(np.float32) if x > LOWEST else np.float32(0)


def _log_of_single(x: Any) -> Any:
    """Exponent and mantissa of u = 1 + x, the latter by a polynomial (Cephes, logf), and what u has rounded away."""
    u = np.float32(1) + x
    bits = np.float32(u).view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = np.int32(bits - (np.int32(exponent) << np.int32(23))).view(np.float32) - np.float32(1)
    p = np.float32(7.0376836292e-2) * f + np.float32(-1.1514610310e-1)
    p = p * f + np.float32(1.1676998740e-1)
    p = p * f + np.float32(-1.2420140846e-1)
    p = p * f + np.float32(1.4249322787e-1)
    p = p * f + np.float32(-1.6668057665e-1)
    p = p * f + np.float32(2.0000714765e-1)
    p = p * f + np.float32(-2.4999993993e-1)
    p = p * f + np.float32(3.3333331174e-1)
    square = f * f
    lost = (x - (u - np.float32(1))) / u
    return f * square * p - np.float32(0.5) * square + f + np.float32(exponent) * np.float32(0.69314718) + lost
