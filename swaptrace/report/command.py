"""report: trace reader, analysis and a renderer, joined."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from swaptrace import units
from swaptrace.analysis.analysis import Analysis, Machine, machine_of
from swaptrace.console import Console
from swaptrace.dimensions import DIMENSIONS
from swaptrace.engine import zsmalloc
from swaptrace.engine.worker import ahead, cores
from swaptrace.errors import UsageProblem, to_stderr
from swaptrace.events import EventBatch, Mark
from swaptrace.progress import LiveLine, bar
from swaptrace.report.output import complaining, is_same
from swaptrace.report.when import When, after_start, named, seconds_after_start
from swaptrace.results.file import read_results
from swaptrace.results.results import AreaResult, TraceResult, WhatIf
from swaptrace.trace.header import Header, Kind
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.stream import StreamFile

if TYPE_CHECKING:
    from swaptrace.report.by import Breakdown


@dataclass(frozen=True)
class Selection:
    """What of a trace to report. since and until: see swaptrace.report.when. what_ifs: KEY=VALUE[,KEY=VALUE...] each.

    devices and policies: all if empty. by: one of DIMENSIONS; sort: one of the columns of its tables, top: how many
    groups they show. age: whether to tell how long entries are idle.
    """

    since: When | None = None
    until: When | None = None
    devices: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    what_ifs: tuple[str, ...] = ()
    by: str = ""
    sort: str | None = None
    top: int | None = None
    age: bool = False


class Follower(Protocol):
    """Makes something else of a trace while it is analysed. lives: whether it asks the analysis for slots' lives."""

    lives: bool

    def begin(self, header: Header, analysis: Analysis, since: int | None, until: int | None) -> None:
        """What is counted: from the one on, until before the other, CLOCK_MONOTONIC (ns)."""

    def feed(self, batch: EventBatch) -> None:
        """The analysis has taken in this batch."""


_EVERYTHING = Selection()


def analyse(path: Path, selection: Selection = _EVERYTHING, follower: Follower | None = None) -> TraceResult:
    """The results of a trace, or those that a file of results holds, which has no events to follow.

    Raises BadInput, or UsageProblem for a selection that does not fit.
    """
    if not selection.by and (selection.sort or selection.top is not None):
        raise UsageProblem("--sort and --top are of the tables that --by makes", "give --by, too")
    if isinstance(selection.since, float) and isinstance(selection.until, float):
        after_start(selection.since, selection.until)  # no file is needed to say so
    file = StreamFile(path)
    is_results = file.header.kind == Kind.RESULTS
    return _select(_results(file, selection) if is_results else _trace(file, selection, follower), selection)


def _trace(file: StreamFile, selection: Selection, follower: Follower | None) -> TraceResult:
    reader = TraceReader(file)
    start = reader.header.start.time
    since_s, until_s = part_of(reader.header, reader.path, selection)
    since, until = clock_of(reader.header, since_s), clock_of(reader.header, until_s)
    by = DIMENSIONS.get(selection.by)
    machine = machine_of(reader.header)
    lives = follower is not None and follower.lives
    analysis = Analysis(
        reader.header,
        since=since,
        until=until,
        machine=machine,
        threads=cores(),
        by=by,
        lives=lives,
        ages=selection.age,
    )
    others = {
        text: Analysis(reader.header, since=since, until=until, machine=_other(reader.header, text), threads=cores())
        for text in selection.what_ifs
    }
    if follower is not None:
        follower.begin(reader.header, analysis, since, until)
    with bar("analysing", reader.bytes) as done:
        for batch in ahead(iter(reader)) if cores() > 1 else reader:
            for one in (analysis, *others.values()):
                one.feed(batch)
            if follower is not None:
                follower.feed(batch)
            done(reader.bytes_read)
    if since_s and since is not None and since >= (end := analysis.recorded_until(reader.trailer)):
        raise too_late(file.path, selection.since, end - start)
    result = analysis.finish(reader.trailer, str(file.path), reader.damage)
    result = replace(result, trace=result.trace | {"since_s": since_s, "until_s": until_s})
    for other in others.values():
        other.finish(reader.trailer)
    pools = {text: other.what_if() for text, other in others.items()}
    areas = [
        _with_what_ifs(area, {text: found for text, each in pools.items() if (found := each[number]) is not None})
        for number, area in enumerate(result.areas)
    ]
    return replace(result, areas=areas) if pools else result


def clock_of(header: Header, seconds: float | None) -> int | None:
    """A moment after the start of the recording by CLOCK_MONOTONIC, ns."""
    return None if seconds is None else header.start.time + round(seconds * 1e9)


def too_late(path: Path, since: When | None, length: int) -> UsageProblem:
    """The error for a part that begins after the end. length: of the recording, ns."""
    return UsageProblem(
        f"{path}: nothing was recorded after --since {named(since)}: the recording is {units.duration(length)} long",
        "give less than that, in seconds after its start",
    )


def part_of(header: Header, path: Path, selection: Selection) -> tuple[float | None, float | None]:
    """The part of the recording that is asked for, in seconds after its start."""

    def marks() -> Iterator[Mark]:
        return (mark for batch in TraceReader(path) for mark in batch.marks)

    since, until = (
        None if when is None else seconds_after_start(when, option, header, marks)
        for option, when in (("--since", selection.since), ("--until", selection.until))
    )
    return after_start(since, until)


def _with_what_ifs(area: AreaResult, found: dict[str, WhatIf]) -> AreaResult:
    """An area with the what-ifs that were asked for, and with the reason for what is not known of them."""
    why = area.not_told.get("pool") or area.absent.get("pool")
    without = {f"what_if.{text}.mem_used_total" for text, each in found.items() if each.mem_used_total is None}
    absent = dict.fromkeys(without if found else {"what_if"}, why) if why else {}
    return replace(area, what_if=found, absent=area.absent | absent)


def _results(file: StreamFile, selection: Selection) -> TraceResult:
    """Of a file of results, which has no events: it cannot be cut, or replayed with another pool."""
    if selection.since is not None or selection.until is not None or selection.what_ifs or selection.by:
        raise UsageProblem(
            f"{file.path} holds results, without events: --since, --until, --what-if and --by need those",
            "record with -o as well as --summary",
        )
    result = read_results(file)
    if selection.age and result.areas and all(area.age is None for area in result.areas):
        raise UsageProblem(
            f"{file.path} holds results that do not tell how long entries are idle",
            "record with --age as well as --summary",
        )
    return result


def no_area(device: str, known: Iterable[str]) -> UsageProblem:
    """The error for a swap area that the recording does not have."""
    areas = ", ".join(dict.fromkeys(known)) or "none"
    return UsageProblem(f"the recording has no swap area {device}", f"its swap areas: {areas}")


def _select(result: TraceResult, selection: Selection) -> TraceResult:
    """Only the devices and the policies that were asked for. Each option has to find something."""
    for device in selection.devices:
        if not any(device in (area.device, area.store) for area in result.areas):
            raise no_area(device, (area.device for area in result.areas))
    chosen = [
        number
        for number, area in enumerate(result.areas)
        if not selection.devices or area.device in selection.devices or area.store in selection.devices
    ]
    areas = [replace(result.areas[number], shown=selection.policies) for number in chosen]
    if (whose := result.attributed) is not None:
        result = replace(result, attributed=replace(whose, areas=tuple(whose.areas[number] for number in chosen)))
    for policy in selection.policies:
        if areas and not any(policy in area.policies or policy in area.not_predicted for area in areas):
            known = ", ".join(dict.fromkeys(name for area in areas for name in area.policies)) or "none"
            raise UsageProblem(f"the recording does not tell what the policy {policy} does", f"it tells of: {known}")
    areas = [area.as_shown for area in areas]
    for text in selection.what_ifs:
        if areas and not any(text in area.what_if for area in areas):
            reasons = {f"{area.device}: {area.absent['what_if']}": None for area in areas if "what_if" in area.absent}
            raise UsageProblem(
                f"--what-if {text}: no swap area here has a pool that can be replayed ({'; '.join(reasons)})",
                "leave out --what-if, or choose another area with --device",
            )
    return replace(result, areas=areas)


_WHAT_IF = {
    "chain": "4..16",
    "rule": "least_waste|used_percent",
    "fullness": "tenths|quarters",
    "writeback": "a time (90s, 15m, 1h, 2d)",
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_S = 10**9


def _other(header: Header, text: str) -> Machine:
    """The machine of a what-if: that of the trace, but for what the text changes.

    A chain without a rule is one of least_waste: kernels with the other rule have chains of 4 only.
    """
    machine = machine_of(header)
    known = machine.geometry or zsmalloc.geometry(header.page_size)
    wanted: dict[str, str] = {}
    for item in text.split(","):
        key, _, value = item.partition("=")
        if key not in _WHAT_IF or not value:
            raise _no_what_if(text, f"{item!r} is none of " + ", ".join(f"{name}=..." for name in _WHAT_IF))
        if key in wanted:
            raise _no_what_if(text, f"{key} is there twice")
        wanted[key] = value
    try:
        rule = zsmalloc.ChainRule(wanted["rule"]) if "rule" in wanted else None
        fullness = zsmalloc.FullnessRule[wanted["fullness"].upper()] if "fullness" in wanted else known.fullness_rule
        if "chain" in wanted:
            chain, rule = _number(wanted["chain"]), rule or zsmalloc.ChainRule.LEAST_WASTE
        else:
            chain, rule = known.chain_size, rule or known.chain_rule
        geometry = zsmalloc.geometry(header.page_size, chain, rule, fullness)
        write_back = _nanoseconds(wanted["writeback"]) if "writeback" in wanted else None
    except (ValueError, KeyError):
        values = ", ".join(f"{name} is {range_}" for name, range_ in _WHAT_IF.items() if name in wanted)
        raise _no_what_if(text, f"not a value that is known: {values}") from None
    of_pool = bool(wanted.keys() - {"writeback"})  # or else its pool is as the machine has it, known or not
    return replace(machine, geometry=geometry if of_pool else machine.geometry, write_back=write_back)


def _nanoseconds(text: str) -> int:
    """A time as in `15m`. Raises ValueError, or KeyError for a unit that there is not."""
    seconds = _number(text[:-1]) * _UNITS[text[-1:]]
    if not 0 < seconds <= _MOST_S:
        raise ValueError(text)
    return seconds * 10**9


def _number(text: str) -> int:
    """Raises ValueError for what int() takes as well: signs, spaces, underscores, other scripts' digits."""
    if not (text.isascii() and text.isdecimal()) or text != str(int(text)):
        raise ValueError(text)
    return int(text)


def _no_what_if(text: str, why: str) -> UsageProblem:
    wanted = ", ".join(f"{key}={values}" for key, values in _WHAT_IF.items())
    return UsageProblem(f"--what-if {text}: {why}", f"give {wanted}, several with commas")


def report(trace: Path, form: str, output: Path | None, selection: Selection) -> None:
    """Analyse and render: text, JSON or CSV to stdout or a file, HTML and PNG files to a folder."""
    output = _place(trace, form, output)
    if form == "text" and selection.by and (selection.age or selection.what_ifs):
        other = "--age" if selection.age else "--what-if"
        raise UsageProblem(
            f"--by shows tables of groups in place of those of areas, where {other} is",
            "leave one of them out, or choose --format json or html",
        )
    result = analyse(trace, selection)
    groups = _groups(result, selection)
    page = None
    with complaining(output, "the report"):
        if form == "html":
            with LiveLine("loading what draws the charts ..."):
                from swaptrace.report.html import write_html

            assert output is not None
            page = write_html(result, output, groups)
        elif form == "json":
            from swaptrace.report.as_json import as_json

            _write(json.dumps(as_json(result, groups), indent=1, allow_nan=False) + "\n", output)
        elif form == "csv":
            from swaptrace.report import by
            from swaptrace.report.as_csv import as_csv
            from swaptrace.report.words import warnings

            _write(as_csv(result) if groups is None else by.as_csv(groups), output)
            for warning in warnings(result):  # for which the table has no place
                to_stderr(warning)
        else:
            _text(result, groups, output)
    if page is not None:
        print(page)


def _place(trace: Path, form: str, output: Path | None) -> Path | None:
    """Where to write: None is stdout, which HTML with its pictures cannot go to. Never over the recording itself."""
    if form != "html":
        output = written = None if output == Path("-") else output
    elif output == Path("-"):
        raise UsageProblem("an HTML report is a folder, which stdout cannot take", "name a folder with -o")
    else:
        output = output or (trace.with_suffix(".report") if trace.name else Path("report"))
        written = output / "report.html"
    if written is not None and is_same(written, trace):
        raise UsageProblem(f"{written} is the recording itself", "choose another place with -o")
    return output


def _groups(result: TraceResult, selection: Selection) -> Breakdown | None:
    """Whose the pages are, if that was asked for."""
    if result.attributed is None:
        return None
    from swaptrace.report.by import breakdown

    return breakdown(result, selection.sort, selection.top)


def _text(result: TraceResult, groups: Breakdown | None, output: Path | None) -> None:
    from swaptrace.report.text import print_text

    if output is None:
        print_text(result, Console(), groups)
        return
    with output.open("w", encoding="utf-8") as file:
        print_text(result, Console(file=file, width=100), groups)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        output.write_text(text, encoding="utf-8")
