"""Results while a recording goes on: a sink that keeps a file of them up to date."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from swaptrace.analysis.analysis import Analysis
from swaptrace.engine.worker import Worker
from swaptrace.errors import EnvironmentProblem, Problem
from swaptrace.events import EventBatch
from swaptrace.results.file import encode
from swaptrace.running import Moment, Sink, Source
from swaptrace.trace.header import Header, Trailer
from swaptrace.trace.writer import already_there, beside, open_private

_EVERY = 60.0  # seconds


class ResultsWriter(Sink):
    """Analyses what it is fed, and writes the results: at once, a second later, every minute, when asked, at the end.

    Whoever reads the file finds the results of one moment, whole: they are written beside it, and take its place then.
    Raises UsageProblem if the file exists and `force` is not set, EnvironmentProblem if it cannot be written. Once it
    has been, a full disk (say) leaves the file as it is: `complain` is told, and the next minute tries again. ages:
    whether to follow how long entries are idle.
    """

    def __init__(
        self, path: Path, header: Header, complain: Callable[[str], None], *, force: bool = False, ages: bool = False
    ) -> None:
        self.path = path
        self.size = 0  # of the file, bytes
        self._header = header
        self._analysis = Analysis(header, ages=ages)
        self._complain = complain
        self._failed: Problem | None = None  # why there is no analysis any more
        self._writing = Worker(True)  # the disk may be slow, and the ring is not to wait for it
        self._asked = False
        self._next = time.monotonic()
        if os.path.lexists(path) and (not force or not path.is_file()):
            raise already_there(path, "--summary")
        self._replace(encode(header, self._analysis.results(Moment(header.start.time))))

    def feed(self, batch: EventBatch) -> None:
        if self._failed is None:
            try:
                self._analysis.feed(batch)
            except Problem as problem:  # too much memory: what else is recorded is not to end with that
                self._failed = problem
                self._complain(f"no more results from here on: {problem}")

    def tick(self, source: Source) -> None:
        if (self._asked or time.monotonic() >= self._next) and self._failed is None:
            self._asked, self._next = False, time.monotonic() + _EVERY
            content = encode(self._header, self._analysis.results(source.moment()))
            try:
                self._writing.wait()
            except EnvironmentProblem as problem:  # of the last time
                self._complain(str(problem))
            self._writing.start(self._replace, content)

    def close(self, trailer: Trailer) -> None:
        with contextlib.suppress(EnvironmentProblem):  # of the last time: this one tells by itself
            self._writing.wait()
        if self._failed is not None:
            raise self._failed
        self._replace(encode(self._header, self._analysis.finish(trailer)))

    @contextlib.contextmanager
    def asked_by_signal(self) -> Iterator[None]:
        """Until this is left, SIGUSR1 asks for the results of the moment."""
        before = signal.signal(signal.SIGUSR1, lambda *_: self.ask())
        try:
            yield
        finally:
            signal.signal(signal.SIGUSR1, before)

    def ask(self) -> None:
        """Have the results of the moment written, within a second or so."""
        self._asked = True

    def _replace(self, content: bytes) -> None:
        """Write the file anew: whole, or not at all."""
        place = beside(self.path)
        try:
            with open_private(place, force=False) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            place.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                place.unlink()
            raise EnvironmentProblem(
                f"cannot write to {self.path}: {error.strerror or error}"
                + ("; it holds what it held before" if self.size else ""),
                "free some room on that disk, or choose another file with --summary FILE",
            ) from None
        self.size = len(content)
