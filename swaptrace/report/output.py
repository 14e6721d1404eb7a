"""Where reports are written to: stdout, or a file that is no recording."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from swaptrace.errors import EnvironmentProblem


@contextlib.contextmanager
def complaining(output: Path | None, what: str) -> Iterator[None]:
    """Raises EnvironmentProblem for what cannot be written to `output`. what: is being written, in words."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if output is None or error.errno == errno.ENOMEM:  # stdout, memory: see swaptrace.cli
            raise
        raise EnvironmentProblem(
            f"cannot write {what}: {error.strerror}: {error.filename or output}", "choose another place with -o"
        ) from None


@contextlib.contextmanager
def writing(output: Path | None, what: str) -> Iterator[TextIO]:
    """The file to write to; stdout if that is None. Raises EnvironmentProblem."""
    with complaining(output, what):
        if output is None:
            yield sys.stdout
            sys.stdout.flush()
            return
        with output.open("w", encoding="utf-8") as file:
            yield file


def is_same(one: Path, other: Path) -> bool:
    """Whether both are one file that is there. What cannot be looked at is told of when it is read or written."""
    try:
        return one.samefile(other)
    except OSError:
        return False
