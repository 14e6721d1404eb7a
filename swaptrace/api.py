"""The Python interface: a recording as Arrow and pandas tables. `swaptrace.open()` makes a Recording.

What is stable, docs/api.md says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from swaptrace.errors import UsageProblem
from swaptrace.trace.header import Header, Kind
from swaptrace.trace.stream import StreamFile
from swaptrace.units import MOST_SECONDS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from swaptrace.report.command import Selection
    from swaptrace.results.results import TraceResult


class Recording:
    """A trace, or a file of results (`record --summary`), which has no events.

    path: of the file. header: how and where it was recorded; header.kind tells which of both it is. Whatever is wrong
    with the file, or with what is asked for, is a swaptrace.errors.Problem.
    """

    def __init__(
        self,
        path: Path,
        *,
        since: float | str | None = None,
        until: float | str | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        """See swaptrace.open()."""
        self.path = path
        self.header: Header = StreamFile(path).header
        self._since, self._until = _moment("since", since), _moment("until", until)
        self._devices = (devices,) if isinstance(devices, str) else tuple(devices)

    def __repr__(self) -> str:
        return f"swaptrace.open({str(self.path)!r})"

    # -- tables

    def events(self) -> pa.RecordBatchReader:
        """The table `events`, batch by batch: however long the recording, one of them is in memory at a time.

        A trace that is damaged ends where the damage begins: see warnings().
        """
        import pyarrow as pa

        from swaptrace.tables.events import EVENTS

        self._needs_events("events")
        return pa.RecordBatchReader.from_batches(EVENTS.schema, self._events())

    def lifetimes(self) -> pd.DataFrame:
        """The table `lifetimes`, whole: a row for each life of a slot."""
        import pyarrow as pa

        from swaptrace.report.command import analyse
        from swaptrace.tables.lifetimes import LIFETIMES
        from swaptrace.tables.rows import Rows

        self._needs_events("lifetimes")
        batches: list[pa.RecordBatch] = []
        rows = Rows(lifetimes=batches.append, devices=self._devices)
        analyse(self.path, self._selection, rows)
        rows.finish()
        return _frame(pa.Table.from_batches(batches, LIFETIMES.schema))

    def series(self) -> pd.DataFrame:
        """The table `series`: at most 1024 rows a swap area."""
        from swaptrace.tables.series import series

        return _frame(series(self._result))

    def areas(self) -> pd.DataFrame:
        """The table `areas`: every figure of the report, a row each."""
        from swaptrace.tables.areas import areas

        return _frame(areas(self._result))

    def warnings(self) -> list[str]:
        """What to know before any of it is believed: that the file is cut off or damaged, or that events were lost."""
        from swaptrace.report.words import warnings

        return warnings(self._result)

    # -- how

    @property
    def _selection(self) -> Selection:
        from swaptrace.report.command import Selection

        return Selection(since=self._since, until=self._until, devices=self._devices)

    @cached_property
    def _result(self) -> TraceResult:
        from swaptrace.report.command import analyse

        return analyse(self.path, self._selection)

    def _needs_events(self, table: str) -> None:
        if self.header.kind is Kind.RESULTS:
            from swaptrace.tables.rows import no_events

            raise no_events(self.path, table)

    def _events(self) -> Iterator[pa.RecordBatch]:
        from swaptrace.report.command import clock_of, no_area, part_of, too_late
        from swaptrace.tables.events import EventRows
        from swaptrace.trace.reader import TraceReader

        start = self.header.start.time
        since, until = (clock_of(self.header, seconds) for seconds in part_of(self.header, self.path, self._selection))
        rows, reader = EventRows(self.header, self._devices, since, until), TraceReader(self.path)
        for batch in reader:
            yield rows.rows(batch)
        for device in rows.not_seen:
            raise no_area(device, rows.devices)
        end = reader.trailer.end.time if reader.trailer is not None else rows.last
        if since is not None and since >= end > start:
            raise too_late(self.path, self._since, end - start)


def _frame(table: pa.Table) -> pd.DataFrame:
    """As pandas, with nullable types: a column of whole numbers is one, whether some are missing or not."""
    import pandas as pd
    import pyarrow as pa

    types = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.unify_dictionaries().to_pandas(types_mapper=types.get)
    return frame


def _moment(name: str, when: float | str | None) -> float | str | None:
    """Whole seconds are seconds, too. Raises UsageProblem for what is no number of them."""
    if when is None or isinstance(when, str):
        return when
    if not 0 <= when <= MOST_SECONDS:
        raise UsageProblem(f"{name}={when}: that is no number of seconds", "give one of 0 or more, a time, or a mark")
    return float(when)
