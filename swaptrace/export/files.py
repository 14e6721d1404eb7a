"""Files that are there whole, or not at all: each is written beside its place, and takes it at the end."""

from __future__ import annotations

import contextlib
import os
from io import BufferedWriter
from pathlib import Path
from types import TracebackType

from swaptrace.errors import NO_ROOM, EnvironmentProblem, UsageProblem
from swaptrace.trace.writer import already_there, beside, for_user, open_private


class WholeFiles:
    """Used in a `with`: its files take their places when that ends well, and are removed when it does not.

    Like a trace, they are for the user behind sudo, and for nobody else. Raises UsageProblem for a place that is taken,
    unless `force` is set, and EnvironmentProblem for one that cannot be written to, or has no room left.
    """

    def __init__(self, *, force: bool) -> None:
        self._force = force
        self._files: list[tuple[Path, Path, BufferedWriter]] = []  # place, where it is until then
        self._folder: Path | None = None

    def folder(self, path: Path) -> None:
        """Make sure that there is such a folder: one that is made here goes again if nothing comes of it."""
        try:
            if os.path.lexists(path) and not path.is_dir():
                raise UsageProblem(f"{path} is no folder", "choose another place with -o")
            if not path.is_dir():
                path.mkdir(mode=0o700)
                self._folder = path
                for_user(path)
        except OSError as error:
            raise _cannot_write(path, error) from None

    def check(self, *paths: Path) -> None:
        """Raises UsageProblem for a place that is taken."""
        for path in paths:
            if not os.path.lexists(path):
                continue
            if not self._force:
                raise already_there(path)
            if path.is_symlink() or not path.is_file():  # a link would be replaced, not what it leads to
                raise UsageProblem(f"{path} is no regular file", "choose another place with -o (-: stdout)")

    def open(self, path: Path) -> BufferedWriter:
        """A file that is to be there."""
        try:
            place = beside(path)
            file = open_private(place, force=False)
        except OSError as error:
            raise _cannot_write(path, error) from None
        self._files.append((path, place, file))
        return file

    def __enter__(self) -> WholeFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._remove()
        if isinstance(error, OSError) and self._files and error.errno in NO_ROOM:
            raise _cannot_write(self._files[0][0], error) from None

    def _finish(self) -> None:
        for path, _, file in self._files:
            try:
                file.flush()
                os.fsync(file.fileno())
                file.close()
            except OSError as error:
                raise _cannot_write(path, error) from None
        for path, place, _ in self._files:
            try:
                place.replace(path)
            except OSError as error:
                raise _cannot_write(path, error) from None
        self._folder = None

    def _remove(self) -> None:
        """What did not take its place. Who still writes to it, buffers and libraries at their end, writes nowhere."""
        for _, place, file in self._files:
            if not file.closed:
                with Path(os.devnull).open("wb") as nowhere:
                    os.dup2(nowhere.fileno(), file.fileno())
            with contextlib.suppress(OSError):
                place.unlink()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


def _cannot_write(path: Path | str, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(f"cannot write to {path}: {error.strerror or error}", "choose another place with -o")
