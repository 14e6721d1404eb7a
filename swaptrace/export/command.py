"""export: a recording for other programs. Reader, analysis, tables and a format, joined."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from swaptrace.errors import UsageProblem, to_stderr
from swaptrace.export.files import WholeFiles
from swaptrace.export.formats import FORMATS, TableWriter
from swaptrace.report.command import Follower, Selection, analyse
from swaptrace.report.output import is_same
from swaptrace.report.words import warnings
from swaptrace.results.results import TraceResult
from swaptrace.stopping import Stop, signals
from swaptrace.tables.areas import areas
from swaptrace.tables.rows import OF_EVENTS, TABLES, Put, Rows, no_events
from swaptrace.tables.series import series
from swaptrace.trace.header import Header, Kind, to_json, visible
from swaptrace.trace.stream import StreamFile

#: Formats of one file, and the suffixes that these have.
SUFFIXES = {"perfetto": ".pftrace", "openmetrics": ".openmetrics"}
STDOUT = Path("-")


@dataclass(frozen=True)
class Wanted:
    """to: the format. output: a folder for tables, else a file; beside the recording if None. tables: all if empty.

    force: whether what is there may be overwritten.
    """

    to: str
    output: Path | None = None
    tables: Sequence[str] = ()
    selection: Selection = field(default_factory=Selection)
    force: bool = False


def export(path: Path, wanted: Wanted) -> None:
    """Write a recording in another format, and print where that is.

    Raises BadInput, UsageProblem or EnvironmentProblem: what was there before is there still then, and no more.
    """
    file = StreamFile(path)
    places = _places(file, wanted)
    for place in places.values():
        if is_same(place, path) or is_same(place.parent, path):
            raise UsageProblem(f"{place} is the recording itself", "choose another place with -o")
    written = [place for place in places.values() if place != STDOUT]
    stop = Stop()
    with signals(stop), stop.interruptible(), WholeFiles(force=wanted.force) as files:
        files.check(*written)
        result = (_one_file if wanted.to in SUFFIXES else _tables)(file, wanted, files, places)
    for warning in warnings(result):  # for which there is no place in most of it
        to_stderr(warning)
    for place in written:
        print(visible(str(place)))


def _places(file: StreamFile, wanted: Wanted) -> dict[str, Path]:
    """Where everything goes: tables by name, or the one file."""
    if wanted.to in SUFFIXES:
        if wanted.tables:
            what = f"--what is of tables, and {wanted.to} has none"
            raise UsageProblem(what, "leave it out, or give --to parquet or csv")
        return {wanted.to: wanted.output or file.path.with_suffix(SUFFIXES[wanted.to])}
    names = _tables_of(file, wanted.tables)
    if wanted.output == STDOUT:
        if wanted.to != "csv" or len(names) != 1:
            remedy = "name one with --what, with --to csv, or a folder with -o"
            raise UsageProblem("standard output takes one table, as CSV", remedy)
        return {names[0]: STDOUT}
    folder = wanted.output or file.path.with_suffix(".export")
    return {name: folder / f"{name}.{wanted.to}" for name in names}


def _tables_of(file: StreamFile, asked: Sequence[str]) -> list[str]:
    """The names of the tables that are wanted, in the order of TABLES."""
    names = [name for name in TABLES if not asked or name in asked]
    if file.header.kind is not Kind.RESULTS:
        return names
    if asked and (lacking := [name for name in names if name in OF_EVENTS]):
        raise no_events(file.path, " and ".join(lacking))
    return [name for name in names if name not in OF_EVENTS]


def _opened(files: WholeFiles, place: Path) -> IO[bytes]:
    return sys.stdout.buffer if place == STDOUT else files.open(place)


# -- tables


def _tables(file: StreamFile, wanted: Wanted, files: WholeFiles, places: dict[str, Path]) -> TraceResult:
    if STDOUT not in places.values():
        files.folder(next(iter(places.values())).parent)
    header = {"swaptrace.header": to_json(file.header)}
    writers: dict[str, TableWriter] = {}

    def writer(name: str, metadata: dict[str, str]) -> TableWriter:
        schema = TABLES[name].schema.with_metadata(metadata)
        writers[name] = FORMATS[wanted.to](_opened(files, places[name]), schema)
        return writers[name]

    puts: dict[str, Put] = {name: writer(name, header).write for name in OF_EVENTS if name in places}
    rows = Rows(puts.get("events"), puts.get("lifetimes"), wanted.selection.devices)
    result = analyse(file.path, wanted.selection, rows)
    rows.finish()
    told = json.dumps({**result.trace, "losses": result.lost, "missed": result.missed}, default=str)
    for name, make in (("series", series), ("areas", areas)):
        if name in places:
            into = writer(name, header | {"swaptrace.trace": told})
            for batch in make(result).to_batches():
                into.write(batch)
    for one in writers.values():
        one.close()
    return result


# -- one file


def _one_file(file: StreamFile, wanted: Wanted, files: WholeFiles, places: dict[str, Path]) -> TraceResult:
    follower, write = _perfetto(file.header) if wanted.to == "perfetto" else (None, _openmetrics)
    opened = _opened(files, places[wanted.to])
    result = analyse(file.path, wanted.selection, follower)
    write(opened, result)
    return result


def _perfetto(header: Header) -> tuple[Follower, Callable[[IO[bytes], TraceResult], None]]:
    from swaptrace.export.perfetto import Happened, protobufs, write

    protobufs()  # if they are not there, that is said before all the work
    happened = Happened()
    return happened, lambda file, result: write(file, header, result, happened)


def _openmetrics(file: IO[bytes], result: TraceResult) -> None:
    from swaptrace.export.openmetrics import as_openmetrics

    file.write(as_openmetrics(result))
