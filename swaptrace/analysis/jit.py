"""numba, with the options that all per-event loops share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.cpu import CPUTargetOptions
from numpy.typing import NDArray

__all__ = ["Events", "Number", "Record", "njit"]

Number = Any  # a Python or NumPy integer: numba makes one machine type of them
Record = Any  # one element of Events, with its fields by name
Events = NDArray[np.void]  # array of swaptrace.events.EVENT

F = TypeVar("F", bound=Callable[..., Any])


def njit(function: F) -> F:
    """Compile a per-event loop, and keep the result on disk for the next run. It may use arrays, but not make any.

    numba counts a reference to each array of a state at every call, which was nine tenths of the time; loops that only
    borrow their caller's arrays need no counting, and this option leaves it out. Inlining leaves out the rest: a call
    passes each array of a state by value, seven words apiece.
    """
    options: dict[str, bool] = {"_nrt": False} if hasattr(CPUTargetOptions, "_nrt") else {}
    decorate: Any = numba.njit  # its hints do not know these options
    return cast(F, decorate(cache=True, nogil=True, forceinline=True, **options)(function))
