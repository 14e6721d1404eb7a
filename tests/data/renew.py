"""Write anew what the code makes of the fixtures: run it after a change that means to change that.

Usage: python -m tests.data.renew [KERNEL...]. Look at `git diff tests/data` before you commit: the difference is what
the change does to every user's figures. tests/unit/test_fixtures.py compares.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner
from matplotlib.figure import Figure

from swaptrace import cli
from swaptrace.kernel.layout import fullness_rule, layout, slots_by_discard
from swaptrace.kernel.probes import Choice
from swaptrace.report import html, interactive, style
from swaptrace.report.charts import CHARTS
from swaptrace.report.command import analyse
from swaptrace.report.pictures import draw
from tests.data.looks import looks
from tests.unit.fixtures import DATA, FORMATS, KERNELS, TRACE, Fixture, recorded

__all__ = ["OF_KERNELS", "OF_ONE_TRACE", "OF_TRACES"]

_ZSWAP_POOLS = 0x1000  # where its list would be


def probes(kernel: Fixture) -> dict[str, Any]:
    """By event: the functions that were chosen, with their programs, or why there are none."""
    return {name: _probes(kernel.choices(zswap=name == "zswap")) for name in ("zram", "zswap")}


def _probes(choices: list[Choice]) -> dict[str, Any]:
    return {
        choice.probe.event: {c.function: [c.entry, c.exit] for c in choice.chosen} or list(choice.problems)
        for choice in choices
    }


def constants(kernel: Fixture) -> dict[str, Any]:
    """What the BPF programs are compiled with, the rule by which the kernel's pools are, and how it chooses slots."""
    found: dict[str, Any] = dict(layout(kernel.types, zram=True, zswap=True, zswap_pools=_ZSWAP_POOLS))
    return found | {"fullness_rule": fullness_rule(kernel.types), "slots_by_discard": slots_by_discard(kernel.types)}


def report(kernel: Fixture, form: str) -> str:
    """`swaptrace report` of the kernel's trace, called in its folder."""
    with contextlib.chdir(DATA / kernel.name):
        output = Path(kernel.folder, f"report.{form}")
        result = CliRunner().invoke(cli.cli, ["report", TRACE, "--format", form, "-o", str(output)])
        assert result.exit_code == 0, result.output
        return output.read_text()


def ages(kernel: Fixture) -> str:
    """By area, what writing back idle entries would give, at every fourth threshold; and a what-if of one."""
    with contextlib.chdir(DATA / kernel.name):
        result = CliRunner().invoke(
            cli.cli, ["report", TRACE, "--format", "json", "--age", "--what-if", "writeback=1s", "-o", "-"]
        )
        assert result.exit_code == 0, result.output
    found = {}
    for area in json.loads(result.output)["areas"]:
        age = area["age"]
        if age is not None:
            age["thresholds"] = age["thresholds"][::4]
        found[f"{area['device']} ({area['swap_type']}.{area['generation']})"] = {
            "age": age, "what_if": area["what_if"], "unknown": area["unknown"].get("age")
        }  # fmt: skip
    return _json(found)


def page(kernel: Fixture) -> str:
    """The HTML report of the kernel's trace, with titles and captions but without what draws and how it looks."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(html.pictures, "draw", lambda _: Figure()),
        patch.object(style, "as_png", lambda _: b""),
        patch.object(interactive, "embedded", lambda _: "what is drawn"),
        contextlib.chdir(DATA / kernel.name),
    ):
        result = CliRunner().invoke(cli.cli, ["report", TRACE, "--format", "html", "-o", folder])
        assert result.exit_code == 0, result.output
        page = Path(folder, "report.html").read_text()
    return re.sub(r"(<(style|script)[^>]*>).*?(</\2>)", r"\1\3", page, flags=re.DOTALL)


def pictures(kernel: Fixture) -> str:
    """What the pictures of the page are made of: of each chart, the first area's that has something to see."""
    areas = analyse(DATA / kernel.name / TRACE).areas
    drawn = [
        line
        for chart in CHARTS
        for plot in [plot for plot in map(chart.plot, areas) if plot.panels][:1]
        for line in (f"-- {chart.name}", *looks(draw(plot)))
    ]
    return "\n".join([*drawn, "-- nothing", *looks(style.blank("No pages", "/dev/zram0")), ""])


def _json(found: object) -> str:
    return json.dumps(found, indent=1) + "\n"


#: What is kept beside each kernel's fixtures, and its trace if it has one: the file's name, and what makes its text.
OF_KERNELS = {
    "probes.json": lambda kernel: _json(probes(kernel)),
    "layout.json": lambda kernel: _json(constants(kernel)),
}
OF_TRACES = {
    "report.json": lambda kernel: report(kernel, "json"),
    "report.txt": lambda kernel: report(kernel, "text"),
    "report.html": page,
    "ages.json": ages,
}
OF_ONE_TRACE = {"6.12": {"pictures.txt": pictures}}  # which takes its time, and is the same code for all


def main() -> None:
    os.environ["TZ"] = "UTC"  # in which tests/conftest.py compares
    time.tzset()
    for name in sys.argv[1:] or (*KERNELS, *FORMATS):
        wanted = OF_TRACES if name in FORMATS else {**OF_KERNELS, **OF_TRACES, **OF_ONE_TRACE.get(name, {})}
        for file, make in wanted.items():
            (DATA / name / file).write_text(make(recorded(name)))
            print(f"{DATA / name / file}")


if __name__ == "__main__":
    main()
