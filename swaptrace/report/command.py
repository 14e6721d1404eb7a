"""report: trace reader, analysis and a renderer, joined."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from swaptrace.analysis.analysis import Analysis, Machine, machine_of
from swaptrace.analysis.results import TraceResult
from swaptrace.analysis.worker import ahead, cores
from swaptrace.errors import EnvironmentProblem, UsageProblem
from swaptrace.report.compiling import compiling_shown
from swaptrace.store import zsmalloc
from swaptrace.summary.file import SummaryReader, is_summary
from swaptrace.summary.results import History
from swaptrace.summary.results import result as summary_result
from swaptrace.trace.header import Header
from swaptrace.trace.reader import TraceReader

__all__ = ["Selection", "analyse", "report"]


@dataclass(frozen=True)
class Selection:
    """What of a trace to report. since and until: seconds after its start. what_ifs: KEY=VALUE[,KEY=VALUE...] each."""

    since: float | None = None
    until: float | None = None
    device: str | None = None
    policies: tuple[str, ...] = ()
    what_ifs: tuple[str, ...] = ()


_EVERYTHING = Selection()


def analyse(path: Path, selection: Selection = _EVERYTHING) -> TraceResult:
    """A trace's or a summary's results. Raises BadInput, or UsageProblem for a selection that does not fit."""
    if is_summary(path):
        return _select(_summary(path, selection), selection)
    reader = TraceReader(path)
    start = reader.header.start.time
    since, until = (
        None if value is None else start + round(value * 1e9) for value in (selection.since, selection.until)
    )

    def analysis_of(machine: Machine) -> Analysis:
        return Analysis(reader.header, since=since, until=until, machine=machine, threads=cores())

    analysis = analysis_of(machine_of(reader.header))
    others = {text: analysis_of(_other(reader.header, text)) for text in selection.what_ifs}
    console = Console(stderr=True)
    with compiling_shown(console) as progress:
        task = progress.add_task("analysing", total=reader.bytes)
        for batch in ahead(iter(reader)) if cores() > 1 else reader:
            for one in (analysis, *others.values()):
                one.feed(batch)
            progress.update(task, completed=reader.bytes_read)
    result = analysis.finish(reader.trailer, str(path))
    for other in others.values():
        other.finish(reader.trailer)
    pools = {text: other.what_if() for text, other in others.items()}
    areas = [
        replace(area, what_if={text: found for text, each in pools.items() if (found := each[number]) is not None})
        for number, area in enumerate(result.areas)
    ]
    return _select(replace(result, areas=areas), selection)


def _summary(path: Path, selection: Selection) -> TraceResult:
    """A summary has no events: it cannot be cut, or replayed with another pool."""
    if selection.since is not None or selection.until is not None or selection.what_ifs:
        raise UsageProblem(
            f"{path} is a summary, without events: --since, --until and --what-if need those",
            "record without --summary",
        )
    reader = SummaryReader(path)
    history = History(reader.last, reader.looked, reader.times, reader.slots, reader.sizes)
    return summary_result(reader.header, reader.trailer, history, reader.leaks, epoch=reader.epoch, path=str(path))


def _select(result: TraceResult, selection: Selection) -> TraceResult:
    """Only the device and the policies that were asked for."""
    areas = [
        replace(
            area,
            policies={
                name: p for name, p in area.policies.items() if not selection.policies or name in selection.policies
            },
        )
        for area in result.areas
        if selection.device in (None, area.device, area.store)
    ]
    if not areas and selection.device is not None:
        known = ", ".join(sorted({area.device for area in result.areas})) or "none"
        raise UsageProblem(f"the trace has no swap area {selection.device}", f"its swap areas: {known}")
    return replace(result, areas=areas)


def _other(header: Header, text: str) -> Machine:
    """The machine of a what-if: that of the trace, but for what the text changes."""
    machine = machine_of(header)
    known = machine.geometry or zsmalloc.geometry(header.page_size)
    chain, rule, fullness = known.chain_size, known.chain_rule, known.fullness_rule
    try:
        for item in text.split(","):
            key, value = item.split("=")
            if key == "chain":
                chain, rule = int(value), zsmalloc.ChainRule.LEAST_WASTE
            elif key == "rule":
                rule = zsmalloc.ChainRule(value)
            elif key == "fullness":
                fullness = zsmalloc.FullnessRule[value.upper()]
            else:
                raise ValueError(f"{key} is not chain, rule or fullness")
        geometry = zsmalloc.geometry(header.page_size, chain, rule, fullness)
    except (ValueError, KeyError) as error:
        raise UsageProblem(
            f"--what-if {text}: {error}",
            "give chain=4..16, rule=least_waste|used_percent, fullness=tenths|quarters, several with commas",
        ) from None
    return replace(machine, geometry=geometry)


def report(trace: Path, form: str, output: Path | None, selection: Selection) -> None:
    """Analyse and render: text or JSON to stdout or a file, HTML and PNG files to a folder."""
    result = analyse(trace, selection)
    try:
        if form == "html":
            from swaptrace.report.html import write_html

            page = write_html(result, output or trace.with_suffix(".report"))
            print(page)
        elif form == "json":
            from swaptrace.report.as_json import as_json

            _write(json.dumps(as_json(result), indent=1, allow_nan=False) + "\n", output)
        else:
            _text(result, output)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write the report: {error.strerror}: {error.filename or output}", "choose another place with -o"
        ) from None


def _text(result: TraceResult, output: Path | None) -> None:
    from swaptrace.report.text import print_text

    if output is None:
        print_text(result, Console())
        return
    with output.open("w") as file:
        print_text(result, Console(file=file, width=100))


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        output.write_text(text)
