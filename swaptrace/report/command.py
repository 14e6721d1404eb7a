"""report: trace reader, analysis and a renderer, joined."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from swaptrace.analysis.analysis import Analysis
from swaptrace.analysis.results import TraceResult
from swaptrace.errors import EnvironmentProblem, UsageProblem
from swaptrace.trace.reader import TraceReader

__all__ = ["analyse", "report"]


def analyse(
    path: Path, *, since: float | None = None, until: float | None = None, device: str | None = None
) -> TraceResult:
    """A trace's results. since and until: seconds after its start. Raises BadInput, or UsageProblem for the device."""
    reader = TraceReader(path)
    start = reader.header.start.time
    analysis = Analysis(
        reader.header,
        since=start + round(since * 1e9) if since is not None else None,
        until=start + round(until * 1e9) if until is not None else None,
    )
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("analysing (the first run also compiles, which takes a while)", total=reader.bytes)
        for batch in reader:
            analysis.feed(batch)
            progress.update(task, completed=reader.bytes_read)
    result = analysis.finish(reader.trailer, str(path), device)
    if device is not None and not result.areas:
        known = ", ".join(sorted({area.path for area in analysis.areas()})) or "none"
        raise UsageProblem(f"the trace has no swap area {device}", f"its swap areas: {known}")
    return result


def report(
    trace: Path, form: str, output: Path | None, *, since: float | None, until: float | None, device: str | None
) -> None:
    """Analyse and render: text or JSON to stdout or a file, HTML and PNG files to a folder."""
    result = analyse(trace, since=since, until=until, device=device)
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
