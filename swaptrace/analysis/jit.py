"""numba, with the options that all per-event loops share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Events", "Number", "Record", "njit"]

Number = Any  # a Python or NumPy integer: numba makes one machine type of them
Record = Any  # one element of Events, with its fields by name
Events = NDArray[np.void]  # array of swaptrace.events.EVENT

F = TypeVar("F", bound=Callable[..., Any])


def njit(function: F) -> F:
    """Compile a per-event loop, and keep the result on disk for the next run."""
    compiled: Any = numba.njit(cache=True, nogil=True)(function)
    return cast(F, compiled)
