"""The engine's loops as plain Python: what its files are, if nobody looks for the compiled ones.

What they take from C's side (cimports) is, in Python, in the modules of the same names; types are there for mypy only,
and arrays of records give rows with Python's integers, for NumPy's have the fields' widths and would overflow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import cython  # which has to be there before anything of cython.cimports
import numpy as np
from numpy.typing import NDArray

__all__ = ["switch_on"]

_ENGINE = Path(__file__).resolve().parents[2] / "swaptrace/engine"
_CIMPORTS = "cython.cimports."


def switch_on() -> None:
    """From now on in this process, and those that it starts. Nothing of the engine may have been imported."""
    assert "swaptrace.engine" not in sys.modules and not cython.compiled
    os.environ["SWAPTRACE_UNCOMPILED"] = "1"
    package = module_from_spec(ModuleSpec("cython.cimports", None, is_package=True))  # Cython's own is no module
    sys.modules["cython.cimports"] = package
    sys.meta_path.insert(0, _Finder())


class _Row:
    """One record of an array."""

    def __init__(self, row: np.void) -> None:
        self.__dict__[" record"] = row

    def __getattr__(self, name: str) -> int:
        return int(self.__dict__[" record"][name])

    def __setattr__(self, name: str, value: int) -> None:
        self.__dict__[" record"][name] = value


class _Records:
    """An array of records, as a loop sees it."""

    def __init__(self, array: NDArray[np.void]) -> None:
        self.array, self.shape = array, array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> _Row:
        return _Row(self.array[index])

    def __setitem__(self, index: int, row: _Row) -> None:
        self.array[index] = row.__dict__[" record"]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.void]:
        return self.array


class _Source(SourceFileLoader):
    """A loop's source."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if module.__name__ == "swaptrace.engine.records":
            for name in list(vars(module)):
                if name.endswith("_of"):
                    setattr(module, name, _Records)


class _CSide(Loader):
    """What is behind a cimport."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix(_CIMPORTS)
        if name == "swaptrace.engine.arrays":
            module.__dict__["__getattr__"] = _any_type
        elif not _is_package(name):
            module.__dict__["__getattr__"] = partial(getattr, import_module(name))


def _is_package(name: str) -> bool:
    return name in ("swaptrace", "swaptrace.engine")


def _any_type(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return object


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.startswith(f"{_CIMPORTS}swaptrace"):
            return ModuleSpec(fullname, _CSide(), is_package=_is_package(fullname.removeprefix(_CIMPORTS)))
        folder, _, name = fullname.rpartition(".")
        source = _ENGINE / f"{name}.py"
        if folder != "swaptrace.engine" or not source.exists():
            return None
        return spec_from_file_location(fullname, source, loader=_Source(fullname, str(source)))
