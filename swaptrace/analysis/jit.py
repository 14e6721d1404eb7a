"""numba, with the options that all per-event loops share, and where it keeps what it has compiled.

numba takes a function from its cache if that function's own file has not changed. But the loops inline functions of
other files, and constants of others still are compiled into them. So the cache has a folder for each state of all files
that are compiled, or that constants come from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
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

_settings: Any = numba.config  # has no type hints
_PACKAGE = Path(__file__).parents[1]
_CONSTANTS = ("analysis/histogram.py", "areas.py", "events.py")  # of files that are not compiled themselves
_PREFIX = "swaptrace-"
_KEPT = 3  # folders, the latest used: somebody may go to and fro between two states


def _key() -> str:
    """What all files hold that are compiled, or that constants come from, as a name."""
    key = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        name, contents = path.relative_to(_PACKAGE), path.read_bytes()
        if str(name) in _CONSTANTS or b"\n@njit" in contents:
            key.update(b"%s\0%s\0" % (os.fsencode(name), contents))
    return key.hexdigest()[:16]


def _places() -> Iterator[Path]:
    """Where the folders may be, best first."""
    if _settings.CACHE_DIR:  # what NUMBA_CACHE_DIR says
        yield Path(_settings.CACHE_DIR)
        return
    yield _PACKAGE / "__pycache__"
    yield Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "swaptrace"


def _folder() -> Path | None:
    """This state's folder, the latest used now; None if nothing can be written to."""
    for place in _places():
        folder = place / f"{_PREFIX}{_key()}"
        with contextlib.suppress(OSError, RuntimeError):  # the latter without a home
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            os.utime(folder)
            return folder
    return None


def _forget_others(place: Path) -> None:
    """Remove the folders of earlier states."""
    with contextlib.suppress(OSError):  # another process may do the same
        folders = sorted(place.glob(f"{_PREFIX}*"), key=lambda folder: folder.stat().st_mtime)
        for folder in folders[:-_KEPT]:
            shutil.rmtree(folder, ignore_errors=True)


_cache = _folder()
if _cache is not None:
    _settings.CACHE_DIR = str(_cache)
    _forget_others(_cache.parent)


def njit(function: F) -> F:
    """Compile a per-event loop, and keep the result on disk for the next run. It may use arrays, but not make any.

    numba counts a reference to each array of a state at every call, which was nine tenths of the time; loops that only
    borrow their caller's arrays need no counting, and this option leaves it out. Inlining leaves out the rest: a call
    passes each array of a state by value, seven words apiece.
    """
    options: dict[str, bool] = {"_nrt": False} if hasattr(CPUTargetOptions, "_nrt") else {}
    decorate: Any = numba.njit  # its hints do not know these options
    return cast(F, decorate(cache=_cache is not None, nogil=True, forceinline=True, **options)(function))
