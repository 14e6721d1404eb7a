"""Rows of the tables that are made of a trace's events, while these are analysed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pyarrow as pa

from swaptrace.analysis.analysis import Analysis
from swaptrace.errors import UsageProblem
from swaptrace.events import EventBatch
from swaptrace.tables.areas import AREAS
from swaptrace.tables.columns import Table
from swaptrace.tables.events import EVENTS, EventRows
from swaptrace.tables.lifetimes import LIFETIMES, rows_of
from swaptrace.tables.series import SERIES
from swaptrace.trace.header import Header

#: All tables by name, the large ones first.
TABLES: dict[str, Table] = {table.name: table for table in (EVENTS, LIFETIMES, SERIES, AREAS)}
#: Those that files of results have not.
OF_EVENTS = (EVENTS.name, LIFETIMES.name)


def no_events(path: Path, tables: str) -> UsageProblem:
    """The error for a file of results of which these tables are asked for."""
    return UsageProblem(
        f"{path} holds results, without events: there are no {tables} in it", "record with -o as well as --summary"
    )


Put = Callable[[pa.RecordBatch], None]


class Rows:
    """A Follower of an analysis. events, lifetimes: what takes the rows of that table, if it is wanted; finish() after
    the analysis. devices: only these areas and stores; all if empty.
    """

    def __init__(self, events: Put | None = None, lifetimes: Put | None = None, devices: Collection[str] = ()) -> None:
        self.lives = lifetimes is not None
        self._put_events, self._put_lifetimes, self._devices = events, lifetimes, devices
        self._events: EventRows | None = None
        self._analysis: Analysis | None = None

    def begin(self, header: Header, analysis: Analysis, since: int | None, until: int | None) -> None:
        self._events = EventRows(header, self._devices, since, until)
        self._analysis = analysis

    def feed(self, batch: EventBatch) -> None:
        assert self._events is not None and self._analysis is not None
        if self._put_events is not None:
            self._put_events(self._events.rows(batch))
        if self._put_lifetimes is not None:
            for lived in self._analysis.lives():
                self._put_lifetimes(rows_of(lived, self._analysis, self._devices))

    def finish(self) -> None:
        """What is left at the end."""
        if self._put_lifetimes is not None and self._analysis is not None:
            for lives in (self._analysis.lives(), self._analysis.unfinished_lives()):
                for lived in lives:
                    self._put_lifetimes(rows_of(lived, self._analysis, self._devices))
