"""What all investigations share: machines to boot, results to keep, a page to write."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kernels import CHECKOUT, KERNELS
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from swaptrace.report import style

BUILD = CHECKOUT / "build" / "investigations"
PUBLISHED = CHECKOUT / "reports" / "investigations"
GUEST_SECONDS = 2400  # two machines share what processors there are

Results = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """What is published: the sentences that the figures say, the charts (the first one stands first), and the rest."""

    headline: str
    charts: Mapping[str, Figure]
    text: str


class Investigation(Protocol):
    """A module of this folder. What its guest does is in one of the same name, with _guest: do(folder)."""

    TITLE: str
    KERNELS: Sequence[str]  # that are booted
    ALONE: bool  # whether there is something to publish before any was

    @staticmethod
    def modelled() -> Results:
        """What takes no machine to know."""

    @staticmethod
    def measured(folder: Path) -> Results:
        """What one kernel's guest has left in its folder."""

    @staticmethod
    def misses(results: Results) -> list[str]:
        """What should be equal and is not, a sentence each."""

    @staticmethod
    def page(results: Results) -> Page: ...


def boot(name: str, kernel: str) -> int:
    """Run an investigation's guest under a kernel; the exit status of tests/vm/run."""
    folder = BUILD / name / kernel
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = ["tests/vm/run", "--kernel", kernel, "--timeout", str(GUEST_SECONDS), "--out", str(folder), "--"]
    command += [sys.executable, "tests/vm/investigate_guest.py", name, str(folder)]
    with (folder / "guest.log").open("w") as log:
        return subprocess.call(command, cwd=CHECKOUT, stdout=log, stderr=subprocess.STDOUT)


def results_of(investigation: Investigation, name: str, folder: Path, kernels: Sequence[str]) -> Results:
    """Those of these kernels, new; of others, those that are published in the folder."""
    published = folder / "results.json"
    before = json.loads(published.read_text())["kernels"] if published.exists() else {}
    found = {kernel: investigation.measured(BUILD / name / kernel) for kernel in kernels}
    both = before | found
    return {
        "model": investigation.modelled(),
        "kernels": {kernel: both[kernel] for kernel in KERNELS if kernel in both},
    }


def write(investigation: Investigation, name: str, folder: Path, results: Results) -> list[str]:
    """results.json, the charts and README.md; what is missed."""
    results = json.loads(json.dumps(results))  # a page is of what is published, and of nothing else
    page, missed = investigation.page(results), investigation.misses(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results) + "\n")
    for chart, drawn in page.charts.items():
        (folder / f"{chart}.png").write_bytes(style.as_png(drawn))
    (folder / "README.md").write_text(_readme(investigation.TITLE, name, page, missed))
    return missed


def _readme(title: str, name: str, page: Page, missed: Sequence[str]) -> str:
    first, *_ = page.charts
    verdict = "All that should be equal is." if not missed else "**Not equal:**\n\n" + listed(missed)
    return f"""# {title}

<!-- Written by tests/vm/investigate.py from results.json: change those, not this. -->

![{title}]({first}.png)

{page.headline}

```
make investigations ONLY={name}
```

does all of it again, writes this folder, and fails if something is not equal that should be. {verdict}

{page.text.strip()}
"""


def write_index(folder: Path) -> None:
    """The list of all pages that there are, by their titles."""
    pages = sorted(folder.glob("*/README.md"))
    rows = [f"[{page.read_text().splitlines()[0].removeprefix('# ')}]({page.parent.name}/README.md)" for page in pages]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(
        "# Investigations\n\n<!-- Written by tests/vm/investigate.py: change that, not this. -->\n\n"
        "Questions about the kernel, answered by recordings and by the model; `make investigations` does all of it "
        f"again.\n\n{listed(rows)}\n"
    )


def percent_axis(axes: Axes) -> None:
    """Shares, from nothing on, in percent."""
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def day_of(path: Path) -> str:
    """The day on which something was measured."""
    return time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime))


def listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"
