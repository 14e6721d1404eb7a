"""diff: the readings of both sides, their comparison and a renderer, joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from swaptrace.console import Console
from swaptrace.diff.diff import compare
from swaptrace.diff.document import Comparison
from swaptrace.diff.recordings import read
from swaptrace.errors import UsageProblem
from swaptrace.report.command import Selection
from swaptrace.report.output import is_same, writing


def diff(
    a: Sequence[Path], b: Sequence[Path], form: str, output: Path | None, selection: Selection, everything: bool
) -> None:
    """Compare the runs of two sides, and render what has changed: text, JSON or HTML, to stdout or a file.

    selection: what part of each run: since, until and devices.
    """
    output = None if output == Path("-") else output
    for path in (*a, *b):
        if output is not None and is_same(output, path):
            raise UsageProblem(f"{output} is one of the recordings", "choose another place with -o")
    found = compare(*read((a, b), selection))
    with writing(output, "the comparison") as file:
        if form == "json":
            file.write(json.dumps(as_json(found), indent=1, allow_nan=False) + "\n")
        elif form == "html":
            from swaptrace.diff.html import page

            file.write(page(found, everything=everything))
        else:
            from swaptrace.diff.text import print_text

            console = Console() if output is None else Console(file=file, width=100)
            print_text(found, console, everything=everything)


def as_json(found: Comparison) -> object:
    """The document, ready for json.dumps()."""
    return msgspec.to_builtins(found)
