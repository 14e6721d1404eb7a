"""One virtual machine per kernel does all scenarios of guest.py; the tests look at what it left.

A machine that cannot run virtual machines fails these tests: it does not skip them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from swaptrace.analysis.analysis import Analysis
from swaptrace.dimensions import DIMENSIONS, Dimension
from swaptrace.events import EventBatch
from swaptrace.machine.sysfs import read_block_state
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.trace.reader import TraceReader
from tests.kernel.advice_table import Tried, lines

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "vm"))
import kernels as table  # noqa: E402
from kernels import Feature, Part  # noqa: E402

_CHOSEN = os.environ.get("SWAPTRACE_KERNELS", "").split()  # names, or `all`
KERNELS = list(table.KERNELS) if _CHOSEN in ([], ["all"]) else _CHOSEN


def kernels_for(part: Part) -> list[str]:
    """Those that are chosen; if none are, those that the table has it run on."""
    return KERNELS if _CHOSEN else [name for name, kernel in table.KERNELS.items() if part in kernel.parts]


@dataclass
class Scenario:
    """One folder that guest.py left: its trace, analysed, and the kernel's figures beside it."""

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "facts.json").read_text()))

    @cached_property
    def workload(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "workload.json").read_text()))

    @cached_property
    def reader(self) -> TraceReader:
        return TraceReader(self.folder / "trace")

    @cached_property
    def batches(self) -> list[EventBatch]:
        return list(self.reader)

    @cached_property
    def events(self) -> NDArray[np.void]:
        return EventBatch.concatenate(self.batches).events

    @cached_property
    def analysis(self) -> Analysis:
        return self._analysed(None)

    def _analysed(self, by: Dimension | None) -> Analysis:
        analysis = Analysis(self.reader.header, by=by)
        for batch in self.batches:
            analysis.feed(batch)
        return analysis

    @cached_property
    def result(self) -> TraceResult:
        return self.analysis.finish(self.reader.trailer)

    def by(self, dimension: str) -> TraceResult:
        """The same, with whose the pages are."""
        return self._analysed(DIMENSIONS[dimension]).finish(self.reader.trailer)

    @property
    def area(self) -> AreaResult:
        """The area on zram0."""
        return next(area for area in self.result.areas if area.zram == "zram0")

    @cached_property
    def block_state(self) -> NDArray[np.int64]:
        return read_block_state("zram0", (self.folder / "block_state").read_bytes())[0]

    def has(self, feature: Feature) -> bool:
        """Whether the kernel that was recorded has it."""
        return feature in table.of_release(self.reader.header.kernel).has

    def output(self, name: str) -> str:
        return (self.folder / name).read_text()

    def mm_stat(self, name: str, when: str | None = None) -> int:
        """A figure of the device's mm_stat, at the end or at another moment that the scenario noted."""
        names = ("orig_data_size", "compr_data_size", "mem_used_total", "", "", "same_pages", "", "huge_pages")
        facts = self.facts[when] if when else self.facts
        return int(facts["mm_stat"][names.index(name)])

    def notify_free(self, when: str | None = None) -> int:
        return int((self.facts[when] if when else self.facts)["io_stat"][3])

    def miss_free(self, when: str | None = None) -> int:
        """debug_stat is "version: 1" and a line with two numbers."""
        return int((self.facts[when] if when else self.facts)["debug_stat"][3])


@dataclass
class Guest:
    """What one kernel's run left."""

    kernel: str
    folder: Path

    @property
    def row(self) -> table.Kernel:
        return table.KERNELS[self.kernel]

    def scenario(self, name: str) -> Scenario:
        folder = self.folder / name
        assert folder.is_dir(), f"the guest did not get as far as {name}; see {self.folder}/guest.log"
        return Scenario(folder)


def run_in_guest(
    kernel: str, folder: Path, script: str, timeout: int, *arguments: str, machine: tuple[str, ...] = ()
) -> None:
    """Run a script in a virtual machine; what it leaves is in the folder, which is emptied first.

    machine: further options of tests/vm/run.

    With SWAPTRACE_KEEP, look again at what the last run left.
    """
    if os.environ.get("SWAPTRACE_KEEP"):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = ["tests/vm/run", "--kernel", kernel, "--timeout", str(timeout), "--out", str(folder), *machine, "--"]
    with (folder / "guest.log").open("w") as log:
        status = subprocess.call(
            [*command, sys.executable, script, str(folder), *arguments],
            cwd=CHECKOUT, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert status == 0, f"exit status {status}: {(folder / 'guest.log').read_text()[-2000:]}"


Boots = dict[tuple[str, str], Future[Any]]

_POOL = pytest.StashKey[ThreadPoolExecutor]()
_BOOTS = pytest.StashKey[Boots]()
_ORDER = ("unit", "browser", "kernel", "vm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests first, while the machines run. Last those that boot machines of their own."""
    items.sort(key=lambda item: _ORDER.index(item.path.parent.name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the machines of all chosen tests.

    As many run at once as there are processors (or SWAPTRACE_GUESTS), for each is mostly one emulated processor's work;
    the next one starts when one ends, whatever tests are looked at then. Nothing that is compared depends on time.
    """
    if session.config.option.collectonly:
        return
    at_once = int(os.environ.get("SWAPTRACE_GUESTS", 0)) or len(os.sched_getaffinity(0))
    pool = session.config.stash[_POOL] = ThreadPoolExecutor(at_once)
    modules = dict.fromkeys(item.module for item in session.items if hasattr(item.module, "machines"))
    jobs = {(module.__name__, name): job for module in modules for name, job in module.machines().items()}
    session.config.stash[_BOOTS] = {name: pool.submit(job) for name, job in jobs.items()}


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _POOL in session.config.stash:
        session.config.stash[_POOL].shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def boots(request: pytest.FixtureRequest) -> Boots:
    """What the machines have left, by the test module and by what its machines() calls them."""
    return request.config.stash[_BOOTS]


# -- a table of kernels and tests, at the end

_STARTED = time.time()
_WHOLE_RUN = re.compile(r"whole run ([\d.]+) s")
_OUTCOMES = pytest.StashKey[dict[tuple[str, str], str]]()
_MACHINES = {
    "guest",
    "whole_guest",
    "degraded_guest",
    "audited",
    "areas",
    "written_back",
    "zswap",
    "stressed",
    "tried",
}  # the fixtures whose parameter is a kernel


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OUTCOMES] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    kernel = next((parameters[name] for name in _MACHINES if name in parameters), None)
    if kernel is not None and (report.when == "call" or report.failed):
        name = item.nodeid.split("::", 1)[1].split("[")[0]
        outcomes = item.config.stash[_OUTCOMES]
        before = outcomes.get((name, kernel))
        outcomes[name, kernel] = "FAILED" if report.failed or before == "FAILED" else report.outcome
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    outcomes = config.stash[_OUTCOMES]
    kernels = [kernel for kernel in table.KERNELS if any(kernel == k for _, k in outcomes)]
    names = list(dict.fromkeys(name for name, _ in outcomes))
    if not names:
        return
    terminalreporter.section("kernels")
    width = max(map(len, names)) + 2
    terminalreporter.write_line("".ljust(width) + "".join(kernel.ljust(8) for kernel in kernels))
    for name in names:
        cells = [{"passed": "ok"}.get(found := outcomes.get((name, kernel), "-"), found) for kernel in kernels]
        terminalreporter.write_line(name.ljust(width) + "".join(cell.ljust(8) for cell in cells))
    times = [str(_machine_seconds(kernel, _STARTED)) for kernel in kernels]
    terminalreporter.write_line("machines, seconds".ljust(width) + "".join(time.ljust(8) for time in times))
    for kernel in kernels:
        if said := table.unpinned(table.KERNELS[kernel]):
            terminalreporter.write_line(f"not as pinned: {said}", yellow=True)
    _print_advice(terminalreporter, kernels)


def _print_advice(reporter: pytest.TerminalReporter, kernels: list[str]) -> None:
    """What test_audit.py has noted of commands that were run as printed."""
    reports = [*reporter.getreports("passed"), *reporter.getreports("failed")]
    tried = [value for report in reports for _, value in report.user_properties if isinstance(value, Tried)]
    if tried:
        reporter.section("advice of the audit")
        for line in lines(tried, [kernel for kernel in kernels if any(kernel == each.kernel for each in tried)]):
            reporter.write_line(line)


def _machine_seconds(kernel: str, since: float) -> int:
    """How long the kernel's machines ran, boot included, as tests/vm/run has said."""
    logs = [log for log in (CHECKOUT / "build").glob(f"*/{kernel}/guest.log") if log.stat().st_mtime > since]
    return round(sum(float(found[1]) for log in logs for found in _WHOLE_RUN.finditer(log.read_text())))
