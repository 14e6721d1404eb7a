"""What swaptrace uses of Cython's pure Python mode, for mypy: C's numbers are Python's, decorators change nothing."""

import builtins
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

bint: TypeAlias = bool
int: TypeAlias = builtins.int
longlong: TypeAlias = builtins.int
uint: TypeAlias = builtins.int

compiled: bool
Py_ssize_t: TypeAlias = builtins.int
void: TypeAlias = None
uchar: TypeAlias = builtins.int

def cclass(cls: C) -> C: ...
def final(cls: C) -> C: ...
def cfunc(function: F) -> F: ...
def ccall(function: F) -> F: ...
def inline(function: F) -> F: ...
def exceptval(*, check: bool) -> Callable[[F], F]: ...

class _Nogil:
    def __call__(self, function: F) -> F: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

nogil: _Nogil
gil: _Nogil

T = TypeVar("T")

def cast(kind: type[T], value: T) -> T: ...
def declare(kind: type[T], value: T) -> T: ...
